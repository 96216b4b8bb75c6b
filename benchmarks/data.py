"""Batches of CIFAR-10 with flip and padded crop, against torchvision's ImageFolder in a DataLoader with two workers.

python benchmarks/data.py [--quick] [--folder CIFAR]: a Markdown table and, as the last line, a JSON object. CIFAR is a
folder of class folders (without one, noise of that size is written as JPEG). Both sides show 128 images a batch in
[-1, 1]; ours flips and crops the pixels of the peer to the bit when it is given the peer's random numbers, which is
checked first. The floor is the gathering of the bytes and their conversion, without augmentation.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import datasets, transforms
from torchvision.transforms import functional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.harness import Table, interleaved
from datamodules.batches import Augmentation, TrainingStream, as_batch
from datamodules.preparation import prepare
from datamodules.prepared_set import read_split
from generative.augmentation import DRAWS, flip_and_crop
from generative.randomness import Stream
from generative.schedules import Steps

BATCH, PADDING = 128, 4
COLUMNS = ["ratio", "cpu_ratio", "floor_share", "ours_images_s", "peer_images_s", "floor_images_s", "prepare_s"]


def write_noise(folder: Path, *, count: int) -> None:
    """JPEG files of ten class folders."""
    generator = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"{number % 10}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)


def check_pixels(folder: Path, images: Tensor) -> None:
    """The same random numbers give the peer's pixels: its own functions, an image at a time, on its own decoding."""
    files = datasets.ImageFolder(str(folder)).samples
    uniform = Stream(0, "augment").uniform(0, 32, DRAWS)
    ours = flip_and_crop(images[:32], uniform, flip=True, padding=PADDING, fill=0)
    for number, (row, column, mirrored) in enumerate(uniform.double().tolist()):
        with Image.open(files[number][0]) as picture:
            padded = functional.pad(picture.convert("RGB"), [PADDING])
        top, left = int(row * (2 * PADDING + 1)), int(column * (2 * PADDING + 1))
        cut = functional.crop(padded, top, left, 32, 32)
        theirs = functional.pil_to_tensor(functional.hflip(cut) if mirrored < 0.5 else cut)
        assert torch.equal(ours[number], theirs), f"image {number} differs from the peer's"


def our_batches(rows: dict[str, Tensor]) -> Iterator[Any]:
    return iter(
        TrainingStream(
            rows,
            batch_sizes=Steps([[0, BATCH]], name="batch_sizes"),
            seed=0,
            rank=0,
            world_size=1,
            first_number=lambda: 0,
            augmentation=Augmentation(0, flip=True, crop_padding=PADDING),
        )
    )


def their_batches(folder: Path) -> Iterator[Any]:
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=PADDING),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize([0.5] * 3, [0.5] * 3),
        ]
    )
    loader = DataLoader(
        datasets.ImageFolder(str(folder), transform),
        batch_size=BATCH,
        shuffle=True,
        num_workers=2,
        persistent_workers=True,
    )
    while True:
        yield from loader


def measure(table: Table, folder: Path, *, num_batches: int, repetitions: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        facts = prepare(folder, Path(place) / "set", resolutions=[32], preset="area")
        images, labels = read_split(Path(place) / "set", "train", 32)
        rows = {"image": images.contiguous(), "label": labels}
    check_pixels(folder, rows["image"])
    ours, theirs = our_batches(rows), their_batches(folder)
    indices = torch.randint(0, len(images), (BATCH,), generator=torch.Generator().manual_seed(0))
    times = interleaved(
        {
            # As many batches of ours as make its time comparable with the peer's.
            "ours": lambda: [batch["image"] for batch in islice(ours, 20 * num_batches)],
            "peer": lambda: [batch[0] for batch in islice(theirs, num_batches)],
            "floor": lambda: [as_batch(rows, indices, 0)["image"] for _ in range(20 * num_batches)],
        },
        repetitions=repetitions,
    )
    speed = {name: BATCH * num_batches * (1 if name == "peer" else 20) / taken.median for name, taken in times.items()}
    table.add(
        f"cifar10_batches_of_{BATCH}",
        {
            "ratio": speed["ours"] / speed["peer"],
            "cpu_ratio": 20 * times["peer"].cpu_median / times["ours"].cpu_median,
            "floor_share": speed["ours"] / speed["floor"],
            "ours_images_s": speed["ours"],
            "peer_images_s": speed["peer"],
            "floor_images_s": speed["floor"],
            "prepare_s": facts["seconds"],
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images, under a minute")
    parser.add_argument("--folder", type=Path, help="class folders of 32 x 32 images")
    given = parser.parse_args()
    table = Table(COLUMNS)
    with tempfile.TemporaryDirectory() as place:
        folder = given.folder
        if folder is None:
            folder = Path(place) / "noise"
            write_noise(folder, count=4_000 if given.quick else 20_000)
        measure(table, folder, num_batches=30 if given.quick else 150, repetitions=5)
    table.print_json()


if __name__ == "__main__":
    main()
