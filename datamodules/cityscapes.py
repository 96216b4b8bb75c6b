"""Cityscapes: streets from a car, 2048 x 1024 pixels, a class for each pixel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torchvision import datasets

from datamodules.segmentation import SegmentationDataModule
from generative.rendering.masks import NO_CLASS

FOLDERS = {"train": "train", "test": "val"}  # the labels of the published test split are secret
TABLE = [row for row in datasets.Cityscapes.classes if row.id >= 0]
NO_ID = 255  # -1 as a byte: license plates
LAST_TRAIN_ID = 18  # classes that count are 0 .. 18 by train id, 7 .. 33 by id
UNPACK_IDS = "the ids, labelIds, are needed: unpack gtFine_trainvaltest.zip again"


class Cityscapes(SegmentationDataModule):
    """2,975 images to train on and, as papers do, the 500 for validation to test on; the 19 classes that count.

    Images are brought to a height of ``resolution`` pixels (1024: as they are), twice as wide, by antialiased bilinear
    interpolation, masks by the nearest pixel. What is published in IoU is measured at 1024.
    """

    title = "Cityscapes"
    source = (
        "unpack leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip (cityscapes-dataset.com, for members) there"
    )
    counts = {"train": 2_975, "test": 500}  # noqa: RUF012
    values = {**{row.id: row.train_id for row in TABLE}, NO_ID: NO_CLASS}  # noqa: RUF012
    target_classes = tuple(row.name for row in sorted(TABLE, key=lambda row: row.train_id) if row.train_id != NO_CLASS)

    @property
    def canvas(self) -> tuple[int, int]:
        return self.resolution, 2 * self.resolution

    def pairs(self, split: str) -> list[tuple[Path, Path]]:
        images, masks = (self.data_dir / kind / FOLDERS[split] for kind in ("leftImg8bit", "gtFine"))
        for folder in (images, masks):
            if not folder.is_dir():
                raise ValueError(f"{self.explain()}; {folder} is missing")
        found = sorted(images.glob("*/*_leftImg8bit.png"))
        pairs = [
            (path, masks / path.parent.name / path.name.replace("_leftImg8bit", "_gtFine_labelIds")) for path in found
        ]
        for _, mask in pairs:
            train_ids = mask.with_name(mask.name.replace("_labelIds", "_labelTrainIds"))
            if not mask.exists() and train_ids.exists():
                raise ValueError(f"{mask} is missing, and {train_ids.name} is there: {UNPACK_IDS}")
        return pairs

    def check_values(self, seen: Mapping[int, Path]) -> None:
        super().check_values(seen)
        if not any(LAST_TRAIN_ID < value < NO_ID for value in seen):
            raise ValueError(
                f"{next(iter(seen.values()))} and the masks beside it hold no number from {LAST_TRAIN_ID + 1} on, such as trees or "
                f"sky, so these are train ids under the name of ids, and roads would count nowhere: {UNPACK_IDS}"
            )

    def shown_size(self, path: Path, size: tuple[int, int]) -> tuple[int, int]:
        if size[1] != 2 * size[0]:
            raise ValueError(f"{path} is {size[0]} x {size[1]} pixels, not twice as wide as high: fetch it again")
        return self.canvas
