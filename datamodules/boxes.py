"""Base of the sets whose images carry boxes: inspection images, whole, each with what was found on it."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datamodules.base import ImageDataModule
from datamodules.batches import Rows
from datamodules.files import FileRows, decoded, size_of
from datamodules.prepared import MOST_IN_MEMORY
from datamodules.presets import fit


@dataclass(frozen=True)
class Inspected:
    """An image file and the boxes on it: left, top, right and bottom edges in its pixels, and their classes."""

    image: Path
    boxes: Sequence[Sequence[float]]
    labels: Sequence[int]
    source: Path  # that states the boxes


class BoxedImages(ImageDataModule):
    """A subclass finds the images of a split and their boxes, and states ``target_classes``, their names.

    An image is brought into ``resolution`` x ``resolution`` pixels whole, above or beside black. Batches hold "boxes"
    [B, K, 4] and "box_label" [B, K] of K the largest number of boxes on an image of the split. No label: what is on an
    image is its boxes.
    """

    num_classes = 0

    def __init__(
        self,
        *,
        data_dir: str,
        resolution: int,
        channels: int,
        batch_size: int,
        seed: int,
        flip: bool = False,
        crop_padding: int = 0,
        num_workers: int = 0,
    ) -> None:
        super().__init__(
            batch_size=batch_size, seed=seed, flip=flip, crop_padding=crop_padding, num_workers=num_workers
        )
        if resolution < 1:
            raise ValueError(f"resolution must be at least 1 pixel, got {resolution}")
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 (grey) or 3 (colour), got {channels}")
        self.data_dir, self.resolution = Path(data_dir).expanduser(), resolution
        self.image_shape = (channels, resolution, resolution)
        self.found_targets: dict[str, Mapping[str, Rows]] = {}

    @abstractmethod
    def find(self, split: str) -> Sequence[Inspected]:
        """The images of ``split`` in a fixed order; ValueError says what is missing."""

    def further_targets(self, split: str, found: Sequence[Inspected]) -> Mapping[str, Rows]:
        """What the set knows of its images beside their boxes."""
        return {}

    def load(self, split: str) -> tuple[Rows, Tensor]:
        found = self.find(split)
        if not found:
            raise ValueError(f"the {split} split of {self.data_dir} has no images")
        boxes, labels = self.boxes_of(found)
        self.found_targets[split] = {"boxes": boxes, "box_label": labels, **self.further_targets(split, found)}
        return self.pictures([one.image for one in found]), torch.zeros(len(found), dtype=torch.int64)

    def targets(self, split: str) -> Mapping[str, Rows]:
        self.split(split)
        return self.found_targets[split]

    def pictures(self, files: Sequence[Path]) -> Rows:
        """Read at once where memory allows, so that a damaged file is named before anything trains."""
        rows = FileRows(
            files, partial(read_picture, channels=self.image_shape[0], side=self.resolution), self.image_shape
        )
        return rows[:] if math.prod(rows.shape) <= MOST_IN_MEMORY else rows

    def boxes_of(self, found: Sequence[Inspected]) -> tuple[Tensor, Tensor]:
        """[N, K, 4] in pixels of the pictures and [N, K]; ValueError names the box that no image can have."""
        most = max(len(one.labels) for one in found)
        boxes = torch.zeros(len(found), most, 4)
        labels = torch.full((len(found), most), -1, dtype=torch.int64)
        for number, one in enumerate(found):
            height, width = size_of(one.image)
            for place, (edges, label) in enumerate(zip(one.boxes, one.labels, strict=True)):
                left, top, right, bottom = edges
                if not (0 <= left < right <= width and 0 <= top < bottom <= height):
                    raise ValueError(
                        f"{one.source} has a box from ({left:g}, {top:g}) to ({right:g}, {bottom:g}) on {one.image.name}, "
                        f"which has {width} x {height} pixels: mend or remove it"
                    )
                if not 0 <= label < len(self.target_classes):
                    raise ValueError(
                        f"{one.source} has a box of class {label} on {one.image.name}, and there are {len(self.target_classes)} "
                        f"classes: {', '.join(self.target_classes)}"
                    )
                boxes[number, place] = torch.tensor(edges) * (self.resolution / max(width, height))
                labels[number, place] = label
        return boxes, labels


def read_picture(file: Path, *, channels: int, side: int) -> Tensor:
    """uint8 [channels, side, side]; ValueError names a file that cannot be read."""
    pixels = np.array(fit(decoded(file).convert("L" if channels == 1 else "RGB"), side))
    return torch.from_numpy(pixels.reshape(side, side, channels)).permute(2, 0, 1)
