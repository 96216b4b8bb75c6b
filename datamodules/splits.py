"""The splits of a set of one's own: which of its parts is tested on, and what is held out where there is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import Tensor

from datamodules.batches import ChosenRows
from datamodules.notices import warn_once
from datamodules.prepared_set import MOST_IN_MEMORY

Item = TypeVar("Item")
Place = TypeVar("Place")
HELD_OUT = 10  # of a set without a test split one image of ten is held out
TEST_NAMES = ("test", "valid", "val", "validation")  # of the part that is tested on: the first that is there
PARTS = ("train", *TEST_NAMES)
WHOLE = (0.0, 1.0)  # of the training images
REST = "rest"  # the split of those outside of the part that is trained on
GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


def check_part(part: Sequence[float]) -> tuple[float, float]:
    """``part`` as (from, to); ValueError unless it is a share of the whole that has something in it."""
    if len(part) != 2 or not 0.0 <= part[0] < part[1] <= 1.0:
        raise ValueError(f"train_part is [from, to] with 0 <= from < to <= 1, got {list(part)}")
    return float(part[0]), float(part[1])


def lies_in_part(count: int, part: tuple[float, float]) -> Tensor:
    """Which of ``count`` images lie in a ``part`` of 1: bool [count].

    The place of image i is the fraction of i times the golden ratio: neighbours lie far apart, so that each part has an even
    share of a set that is in the order of its classes, and parts that do not overlap have no image in common.
    """
    places = torch.arange(count, dtype=torch.float64) * GOLDEN % 1.0
    return (places >= part[0]) & (places < part[1])


def both_splits(
    data_dir: Path,
    *,
    place_of: Callable[[str], Place | None],
    read: Callable[[Place, str], list[Item]],
    read_whole: Callable[[], list[Item]],
    image_of: Callable[[Item], Path],
) -> dict[str, list[Item]]:
    """The images of "train" and "test", both read at once: what is wrong with one ends a run before it starts.

    ``place_of`` says where a part of :data:`PARTS` lies, ``read`` reads what lies there. Where no part is called train,
    ``read_whole`` reads the whole set. Without a part to test on, some images are held out. ValueError where an image
    (the file ``image_of`` an item) is in both splits.
    """
    places: Mapping[str, Place] = {part: place for part in PARTS if (place := place_of(part)) is not None}
    if "train" not in places:
        train, test_part = read_whole(), None
    else:
        train, test_part = read(places["train"], "train"), part_to_test_on(places, data_dir)
    if test_part is None:
        return {split: hold_out_files(train, split, data_dir) for split in ("train", "test")}
    test = read(places[test_part], test_part)
    check_apart(real_paths(map(image_of, train)), real_paths(map(image_of, test)), data_dir)
    return {"train": train, "test": test}


def part_to_test_on(there: Collection[str], where: object) -> str | None:
    """Which of the parts that are ``there`` is tested on, said where it is not called test; None: hold out."""
    name = next((name for name in TEST_NAMES if name in there), None)
    if name not in (None, "test"):
        warn_once(f"{where} has no test split: {name} stands for it")
    others = [other for other in TEST_NAMES if other in there and other != name]
    if others:
        warn_once(f"{', '.join(others)} of {where} is neither trained nor tested on: {name} is the test split")
    return name


def check_apart(ours: Iterable[str], theirs: Iterable[str], where: object) -> None:
    """ValueError where an image is in the lists of both splits: what is tested on must not be trained on."""
    both = sorted(set(ours) & set(theirs))
    if both:
        raise ValueError(
            f"{len(both)} images of {where}, such as {both[0]}, are in the lists of both splits: take them out of one"
        )


def real_paths(files: Iterable[Path]) -> list[str]:
    """Where links lead: the same image under two names is one."""
    return [str(file.resolve()) for file in files]


def hold_out_files(whole: Sequence[Item], split: str, where: object) -> list[Item]:
    """The part that ``split`` is of a set without a test split: for "test" every tenth, the last of fewer than ten."""
    every = min(HELD_OUT, len(whole))
    test = list(whole[every - 1 :: every]) if len(whole) > 1 else []
    if not test:
        raise ValueError(f"{where} has no test split, and {len(whole)} images, of which none can be held out for it")
    warn_once(f"{where} has no test split: {len(test)} of its {len(whole)} images, every {every}th, are held out")
    return test if split == "test" else [item for number, item in enumerate(whole) if number % every != every - 1]


def hold_out_images(images: Tensor, labels: Tensor, *, split: str, has_classes: bool) -> tuple[Tensor, Tensor]:
    """The part of a set without a test split that ``split`` is: for "test" a tenth, else the rest."""
    if not has_classes:  # the last tenth: a view, which leaves a large set on the disk
        cut = len(images) - len(images) // HELD_OUT
        part = slice(cut, None) if split == "test" else slice(cut)
        return images[part], labels[part]
    is_test = torch.arange(len(images)) % HELD_OUT == HELD_OUT - 1  # every tenth: of each class
    return chosen_rows(images, labels, is_test if split == "test" else ~is_test)


def chosen_rows(images: Tensor, labels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Images and labels where ``mask`` [N] is true; a large set stays on the disk."""
    chosen = mask.nonzero()[:, 0]
    if isinstance(images, Tensor) and images.numel() <= MOST_IN_MEMORY:  # else rows of files, or of several sets
        return images[chosen], labels[chosen]
    return cast(Tensor, ChosenRows(images, chosen)), labels[chosen]  # indexed like one


def check_classes_shown(classes: Sequence[int] | None) -> None:
    """ValueError unless ``classes``, those of a set that are shown, are one or more, each once; None: all."""
    if classes is not None and (not classes or len({*classes}) < len(classes)):
        raise ValueError(f"datamodule.classes names at least one class, each once, got {classes}")


def rows_of_classes(
    images: Tensor, labels: Tensor, classes: Sequence[int] | None, *, num_classes: int, of: str
) -> tuple[Tensor, Tensor]:
    """The images and labels of ``classes`` in their order, None: all; ValueError where the split ``of`` has none of one."""
    if classes is None:
        return images, labels
    for number in classes:
        if not num_classes or not (labels == number).any():
            known = f"classes 0 to {num_classes - 1}" if num_classes else "no classes"
            raise ValueError(f"the {of} has no image of class {number}: it has {known}")
    return chosen_rows(images, labels, torch.isin(labels, torch.tensor(classes)))
