"""ImageNet: photos of a thousand classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from datamodules.stored_images import StoredImages


class ImageNet(StoredImages):
    """1,281,167 photos of 1,000 classes. Folders are wnids and sorted wnids the classes, also where some are missing."""

    title = "ImageNet"
    num_classes = 1000
    counts = {"train": 1_281_167, "test": 50_000}  # noqa: RUF012 - the validation split is what papers test on
    source = (
        "put the class folders (wnids), or the archive of each, under train and val of one folder, beside a flat val "
        "LOC_val_solution.csv, and give that folder as SOURCE"
    )

    def check_classes(self, facts: dict[str, Any], split: str) -> None:
        """Any part of the thousand: the wnids say which."""

    def read_prepared(self, facts: dict[str, Any], split: str) -> tuple[Tensor, Tensor]:
        images, labels = super().read_prepared(facts, split)
        return images, imagenet_indices(facts["classes"])[labels]


def imagenet_indices(wnids: list[str]) -> Tensor:
    """The class indices 0 .. 999 of folders named by wnids; ValueError names one that is none."""
    from timm.data import ImageNetInfo  # a second of a program's start, for those who use it only

    places = {name: place for place, name in enumerate(ImageNetInfo().label_names())}
    unknown = next((name for name in wnids if name not in places), None)
    if unknown is not None or not wnids:
        raise ValueError(f"class folders of ImageNet are wnids such as n01440764, not {unknown or 'missing'}")
    return torch.tensor([places[name] for name in wnids])
