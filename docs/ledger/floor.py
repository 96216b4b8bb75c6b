"""What a perfect generator of the digits would score: real digits against other real digits, at the published count.

python -m docs.ledger.floor      writes docs/results/data/digits_floor.jsonl, of which `make claims` makes the README's words

Two disjoint parts cannot both have all the images. But the Frechet distance of two sets of n images from one source is
all bias and falls as 1 / n: so that of random halves, times their n over the published count. Thirds and quarters are
measured beside them and must say the same.
"""

from __future__ import annotations

import json
import statistics
from typing import Any

import torch

from docs.ledger.results import DOCS, results_path
from generative.randomness import permutation
from launch.data_sets import make_datamodule
from metrics.evaluation import Instruments, evaluate
from metrics.features import Pixels
from metrics.image_sets import ImagesInMemory
from metrics.splits import real_images

FLOOR = "data/digits_floor"  # of docs/results
METRICS = ("fd", "precision", "recall")
PARTS = (2, 3, 4)  # the whole set is cut into so many, of which two are compared
SPLITS = 20


def floor(images: ImagesInMemory, *, parts: int, splits: int) -> dict[str, Any]:
    """Two of ``parts`` equal parts of a set against each other: means over random splits, and the distance at its whole count."""
    size = len(images) // parts
    found: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for split in range(splits):
        order = torch.from_numpy(permutation(split, 0, len(images), name="floor"))
        one, other = (
            ImagesInMemory(images.name, images.select(numbers.tolist())) for numbers in order[: 2 * size].split(size)
        )
        for metric, value in evaluate(one, other, Instruments(extractor=Pixels(images.shape), metrics=METRICS)).items():
            found[metric].append(value)
    means = {metric: statistics.fmean(values) for metric, values in found.items()}
    return {
        "data": images.name,
        "data_hash": images.fingerprint(),
        "extractor": "pixels",
        "num_images": size,
        "splits": splits,
        **means,
        "fd_spread": statistics.stdev(found["fd"]),
        "at": len(images),
        "fd_at": means["fd"] * size / len(images),
    }


def main() -> None:
    images = real_images(make_datamodule("digits"), "all")
    lines = [floor(images, parts=parts, splits=SPLITS) for parts in PARTS]
    output = results_path(FLOOR)
    output.write_text("".join(json.dumps(line) + "\n" for line in lines))
    print(output.relative_to(DOCS.parent), *lines, sep="\n")


if __name__ == "__main__":
    main()
