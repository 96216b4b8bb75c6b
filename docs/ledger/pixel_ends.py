"""The generators of docs/results/inpainting.md on their scale: before training, trained, and what other real images score.

python -m docs.ledger.pixel_ends RUN ...    writes docs/results/pggan/ends.jsonl, half a minute a run

All by raw pixels, COUNT images against as many of the training split. An untrained generator is that of the run's settings
and seed, with all sizes of its images in use.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from docs.ledger.midpoints import rounded
from docs.ledger.results import DOCS, Line, interval, read_results, write_results
from launch.build import build
from launch.checkpoint import load_method
from launch.errors import one_line_errors
from lightning_modules.base import Draws
from metrics.evaluation import Instruments, evaluate
from metrics.features import Pixels
from metrics.image_sets import ImagesInMemory, KeptImageSet, random_part
from metrics.splits import DataInSplits, real_images

PIXEL_ENDS = "pggan/ends"  # of docs/results
UNTRAINED, TRAINED, REAL = "untrained", "trained", "real"  # the key `end` of a line
COUNT = 10_000
AT_ONCE = 500  # samples
SEED = 0  # of the samples


def scores(images: KeptImageSet, data: DataInSplits) -> Line:
    reference = random_part(real_images(data, "train"), min(COUNT, len(data.split("train")[0])))
    instruments = Instruments(extractor=Pixels(images.shape), metrics=["fd", "precision", "recall"])
    told = {"count": len(images), "num_reference": len(reference), "extractor": "pixels", "reference": reference.name}
    return told | evaluate(images, reference, instruments)


def drawn(method: Draws) -> KeptImageSet:
    parts = [method.sample(first, min(AT_ONCE, COUNT - first), seed=SEED).cpu() for first in range(0, COUNT, AT_ONCE)]
    return ImagesInMemory("samples", torch.cat(parts).clamp(-1, 1))


def untrained(trained: Draws) -> Draws:
    """The networks of a run before it."""
    torch.manual_seed(trained.seed)
    config: dict[str, Any] = trained.run_config
    grown = {"growth": None} if "growth" in config["method"] else {}
    method = build(config | {"method": config["method"] | grown})[1]
    assert isinstance(method, Draws)
    return method.eval()


def ends(runs: Sequence[Path]) -> Iterator[Line]:
    """Lines of the real images of the test split, and of each run's generator; ValueError where a run draws nothing."""
    for number, run in enumerate(runs):
        method, data = load_method(run / "checkpoints" / "last.ckpt")
        if not isinstance(method, Draws):
            raise ValueError(f"{run} is a run of {type(method).__name__}, which draws no images")
        if number == 0:
            test = real_images(data, "test")
            yield {"end": REAL, **scores(random_part(test, min(COUNT, len(test))), data)}
        told = {"experiment": method.run_config.get("experiment_name"), "train_seed": method.seed}
        yield {"end": UNTRAINED, **told, "kimg": 0.0, **scores(drawn(untrained(method)), data)}
        yield {"end": TRAINED, **told, "kimg": method.images_seen / 1000, **scores(drawn(method), data)}


def ends_in_words(experiment: str) -> str:
    """Where the generators of an experiment lie between both ends; empty where that was not measured."""
    lines = read_results(PIXEL_ENDS)
    reference = next((line["reference"] for line in lines if line.get("experiment") == experiment), None)
    lines = [line for line in lines if line["reference"] == reference]
    found = {
        end: [line["fd"] for line in lines if line.get("experiment", experiment) == experiment and line["end"] == end]
        for end in (UNTRAINED, TRAINED, REAL)
    }
    if not all(found.values()):
        return ""
    before, (mean, half) = sum(found[UNTRAINED]) / len(found[UNTRAINED]), interval(found[TRAINED])
    return (
        f"Entry gate. FD in pixels of {lines[0]['count']:,} images: {before:.0f} before training, {mean:.1f} ± {half:.1f} after "
        f"it ({len(found[TRAINED])} generators), {found[REAL][0]:.1f} of other real images "
        "(`python -m docs.ledger.pixel_ends`)."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    given = parser.parse_args()
    with one_line_errors():
        lines = [{key: rounded(entry) for key, entry in line.items()} for line in ends(given.runs)]
        print(write_results(PIXEL_ENDS, lines).relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
