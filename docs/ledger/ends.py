"""The ends of the scale of docs/results/priors.md: what untrained generators score, and what other real images score.

python -m docs.ledger.ends --judge CHECKPOINT RUN ...    takes lines into docs/results/dcgan/priors_ends.jsonl, a minute a run

A run names a generator: its networks are built anew by its settings and seed, and measured as the task `midpoints` measures
the prior of a trained one. The real images are of the test split, as many as are drawn, against the same training images. A
trained generator should lie between both: half of the untrained one's Frechet distance is the gate of the page.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from docs.ledger.midpoints import rounded
from docs.ledger.results import DOCS, Line, read_results, results_path, write_results
from launch.build import build
from launch.checkpoint import load_method
from launch.errors import one_line_errors
from lightning_modules.base import Classifies, HasLatents, ImageData
from lightning_modules.tasks.midpoints import PRIOR, midpoints, reference
from metrics.evaluation import Instruments, evaluate
from metrics.features import FromClassifier
from metrics.image_sets import ImagesInMemory, random_part
from records.run_files import read_lines

ENDS = "dcgan/priors_ends"  # of docs/results
UNTRAINED, REAL = "untrained", "real"  # the key `end` of a line
END = ("end", "experiment", "normalization", "latent_dim", "prior", "train_seed", "sampling")  # tells one from another
COUNT, NUM_REFERENCE = 2500, 5000  # as `make priors` takes
SEED = 0  # of the latents, as `make priors` takes


def untrained(trained: HasLatents, data: ImageData, judge: Classifies) -> Iterator[Line]:
    """The prior's scores of the same networks before training, one line for each way of drawing."""
    torch.manual_seed(trained.seed)
    _, fresh = build(trained.run_config)
    assert isinstance(fresh, HasLatents)
    settings: dict[str, Any] = {"count": COUNT, "num_reference": NUM_REFERENCE, "only": [PRIOR.what]}
    with TemporaryDirectory() as folder:
        written, _ = midpoints(fresh.eval(), Path(folder), seed=SEED, datamodule=data, judge=[judge], **settings)
        yield from ({"end": UNTRAINED} | line for line in read_lines(written))


def real(data: ImageData, judge: Classifies) -> Line:
    """The scores of images of the test split, which a generator can hardly beat."""
    extractor = FromClassifier(judge)
    instruments = Instruments(extractor=extractor, metrics=["fd", "precision", "recall", "is"])
    images = random_part(ImagesInMemory(f"{data.name}:test", data.split("test")[0], mark="test images"), COUNT)
    told = {"count": COUNT, "num_reference": NUM_REFERENCE, "extractor_weights": extractor.weights}
    return (
        {"end": REAL, "data": images.name}
        | told
        | evaluate(images, reference(data, NUM_REFERENCE, instruments), instruments)
    )


def ends(runs: Sequence[Path], judge: Path) -> Iterator[Line]:
    """Lines of the real images and of the networks of each run; ValueError where a checkpoint is not of its kind."""
    classifier, _ = load_method(judge)
    if not isinstance(classifier, Classifies):
        raise ValueError(f"--judge takes a checkpoint of a classifier, and {judge} is a {type(classifier).__name__}")
    for number, run in enumerate(runs):
        method, data = load_method(run / "checkpoints" / "last.ckpt")
        if not isinstance(method, HasLatents):
            raise ValueError(f"{run} is a run of {type(method).__name__}, which draws no images of latents")
        if number == 0:
            yield real(data, classifier)
        yield from untrained(method, data, classifier)


def take_in(lines: Sequence[Line]) -> None:
    """Into the file, in place of earlier lines of the same networks or real images; ValueError where a judge differs."""
    new = {tuple(line.get(key) for key in END) for line in lines}
    kept = [line for line in read_results(ENDS) if tuple(line.get(key) for key in END) not in new]
    judges = {line["extractor_weights"] for line in (*kept, *lines)}
    if len(judges) > 1:
        raise ValueError(
            f"docs/results/{ENDS}.jsonl would have lines by several judges, {', '.join(sorted(judges))}: measure all ends by one"
        )
    in_order = sorted([*kept, *lines], key=lambda line: [str(line.get(key)) for key in END])
    write_results(ENDS, in_order)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--judge", type=Path, required=True)
    given = parser.parse_args()
    with one_line_errors():
        take_in([{key: rounded(entry) for key, entry in line.items()} for line in ends(given.runs, given.judge)])
        print(results_path(ENDS).relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
