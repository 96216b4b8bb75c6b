"""docs/results/defects.md: what drawn defects are worth to a classifier, beside what else can be done with a few real ones.

python -m docs.ledger.defects --data data/deeppcb --num-real 5 10 20 --seeds 0 1 2 3 4 [--arms real rendered ...]

DATA is DeepPCB's folder, or one with boxes in COCO's format. A cell is an arm at one number of real defects a class and one
seed, which says which defects are known and where the weights start; ten seconds to half a minute of a core each. What was
measured before is left as it is, so a process that was killed goes on. Lines go to docs/results/defects/<set>.jsonl, and
the page and its pictures are made of them. --lines and --page write elsewhere, for a set of one's own:

python -m docs.ledger.defects --data FOLDER --num-real 10 20 --lines runs/gain.jsonl --page runs/gain.md
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from datamodules.base import ImageDataModule
from datamodules.deeppcb import DeepPCB
from datamodules.inspection import Inspection
from datamodules.synthesis.reading import SIDE_OF_DEEPPCB, is_deeppcb, pixels_of, read_examples
from docs.ledger.gain_arms import ARMS, OF_PAIRS, PICTURES, SIZE, STEPS, Bench
from docs.ledger.results import RESULTS, Line
from launch.errors import one_line_errors
from records.environment import environment

FOLDER = RESULTS / "defects"


def source_of(data: Path) -> ImageDataModule:
    """The set in a folder, at the size that its pictures have."""
    if is_deeppcb(data):
        return DeepPCB(data_dir=str(data), resolution=SIDE_OF_DEEPPCB, batch_size=1, seed=0)
    examples = read_examples(data)
    first = pixels_of(examples.all[0].image)
    return Inspection(
        data_dir=str(data), classes=list(examples.classes), channels=1 if first.ndim == 2 else 3,
        resolution=max(first.shape[:2]), batch_size=1, seed=0,
    )  # fmt: skip


def read_lines(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def cells(given: argparse.Namespace) -> Iterator[tuple[str, int, int]]:
    """(arm, number of real defects, seed) in the order of the numbers given, then of the seeds."""
    for num_real in given.num_real:
        for seed in given.seeds:
            yield from ((arm, num_real, seed) for arm in given.arms if arm != "template_difference")
    if "template_difference" in given.arms:
        yield ("template_difference", 0, 0)


def measure(given: argparse.Namespace, path: Path) -> None:
    bench = Bench(
        given.data,
        source_of(given.data),
        given.cache / given.data.resolve().name,
        given.size,
        given.steps,
        given.pictures,
    )
    if bench.train.twins is None:
        given.arms = [arm for arm in given.arms if arm not in OF_PAIRS]
    done = read_lines(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"set": given.data.resolve().name, "size": given.size, "steps": given.steps}
    if not any(line["arm"] == "test" for line in done):
        unseen = None if bench.unseen is None else "".join(str(int(one)) for one in bench.unseen)
        test = {"labels": bench.test.labels.tolist(), "origins": bench.test.origins.tolist(), "unseen": unseen}
        append(path, told | {"arm": "test", "classes": [*bench.names, "clean"]} | test)
    have = {(line["arm"], line.get("num_real"), line.get("seed")) for line in done}
    machine = {"processor": environment("cpu")["processor"], "threads": torch.get_num_threads()}
    for arm, num_real, seed in cells(given):
        if (arm, num_real, seed) not in have:
            line = told | {"arm": arm, "num_real": num_real, "seed": seed} | bench.cell(arm, num_real, seed)
            append(path, line | {"environment": machine})
            print(f"{arm}, {num_real} real, seed {seed}: {line.get('balanced_accuracy', line['auroc'])}", flush=True)


def append(path: Path, line: Line) -> None:
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def read_arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the set; none: only make the page")
    parser.add_argument(
        "--num-real", type=int, nargs="+", default=[5, 20, 10], help="defects of each class that are known"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--size", type=int, default=SIZE, help="pixels of a patch")
    parser.add_argument("--steps", type=int, default=STEPS, help="of every arm")
    parser.add_argument("--pictures", type=int, default=PICTURES, help="drawn for each recipe")
    parser.add_argument("--cache", type=Path, default=Path("runs/defects"), help="where drawn pictures are kept")
    parser.add_argument("--lines", type=Path, help="instead of docs/results/defects/<set>.jsonl")
    parser.add_argument("--page", type=Path, help="instead of docs/results/defects.md")
    return parser.parse_args(given)


def main(arguments: Sequence[str] | None = None) -> None:
    given = read_arguments(arguments)
    with one_line_errors():
        if given.data is not None:
            measure(given, given.lines or FOLDER / f"{given.data.resolve().name}.jsonl")


if __name__ == "__main__":
    main()
