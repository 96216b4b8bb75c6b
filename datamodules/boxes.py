"""Base of the sets whose images carry boxes: inspection images, whole, each with what was found on it."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.base import ImagesOnDisk
from datamodules.batches import Rows
from datamodules.box_masks import Shape
from datamodules.file_rows import FileRows, decode_colour
from datamodules.notices import warn_once
from datamodules.orientation import DrawnOn, StoredPicture, read_stored_picture
from datamodules.prepared_set import MOST_IN_MEMORY
from datamodules.presets import fit

LABELLED_OVERHANG = 1.0  # pixels that a box reaches over the border where a tool rounds its edges or counts them from 1

EXPLAINED = {
    DrawnOn.STORED: "images are turned by their EXIF orientation, and their boxes, which are those of the file as it is "
    "stored, with them",
    DrawnOn.EITHER: "images with boxes are turned by their EXIF orientation, and no size says whether their boxes are: "
    "taken as drawn on the upright picture",
}


@dataclass(frozen=True)
class Inspected:
    """An image file and the boxes on it: left, top, right and bottom edges in its pixels, and their classes.

    ``size``: the height and width of the image that the boxes were drawn on, where their source states it. ``shapes``: the
    mask of each box, where a set knows masks.
    """

    image: Path
    boxes: Sequence[Sequence[float]]
    labels: Sequence[int]
    source: Path  # that states the boxes
    size: tuple[int, int] | None = None
    shapes: Sequence[Shape | None] = ()


class BoxedImages(ImagesOnDisk):
    """A subclass finds the images of a split and their boxes. It states ``channels`` and ``target_classes``, their names.

    An image is brought into ``resolution`` x ``resolution`` pixels whole, above or beside black. Batches hold "boxes"
    [B, K, 4] and "box_label" [B, K] of K the largest number of boxes on an image of the split. No label: what is on an
    image is its boxes.

    A box that reaches up to ``max_overhang`` pixels over the border is cut there, one that reaches farther refused. Boxes
    without width or height, and those stated twice, are left out. All of it is said with its count.
    """

    num_classes = 0
    channels: int  # 1 (grey) or 3 (colour)

    def __init__(
        self,
        *,
        max_overhang: float = LABELLED_OVERHANG,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 (grey) or 3 (colour), got {self.channels}")
        if not max_overhang >= 0:
            raise ValueError(f"max_overhang must be at least 0 pixels, got {max_overhang}")
        self.max_overhang = max_overhang
        self.image_shape = (self.channels, self.resolution, self.resolution)
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
        check_listed_once(found)
        boxes, labels = self.boxes_of(found)
        self.found_targets[split] = {"boxes": boxes, "box_label": labels, **self.further_targets(split, found)}
        return self.pictures([one.image for one in found]), torch.zeros(len(found), dtype=torch.int64)

    def targets(self, split: str) -> Mapping[str, Rows]:
        self.split(split)
        return self.found_targets[split]

    def pictures(self, files: Sequence[Path]) -> Rows:
        """Read at once where memory allows, so that a damaged file is named before anything trains."""
        decode = partial(decode_square, channels=self.image_shape[0], side=self.resolution)
        return in_memory(FileRows(files, decode, self.image_shape))

    def boxes_of(self, found: Sequence[Inspected]) -> tuple[Tensor, Tensor]:
        """[N, K, 4] in pixels of the pictures and [N, K]; ValueError names the box that no image can have."""
        done: Counter[str] = Counter()
        kept = []
        for one in found:
            picture = read_stored_picture(one.image)
            scale = self.resolution / max(picture.size)
            kept.append([(torch.tensor(box) * scale, label) for box, label in self.boxes_within(one, picture, done)])
        for what, count in done.items():
            warn_once(f"{self.data_dir}: {count} {what}")
        most = max(map(len, kept))
        boxes = torch.zeros(len(found), most, 4)
        labels = torch.full((len(found), most), -1, dtype=torch.int64)
        for number, rows in enumerate(kept):
            for place, (box, label) in enumerate(rows):
                boxes[number, place], labels[number, place] = box, label
        return boxes, labels

    def boxes_within(
        self, one: Inspected, picture: StoredPicture, done: Counter[str]
    ) -> list[tuple[tuple[float, ...], int]]:
        """Boxes and classes in pixels of the upright picture; what was changed or left out is counted in ``done``."""
        height, width = picture.upright
        drawn_on = picture.drawn_on(one.size)
        if drawn_on is DrawnOn.NEITHER and one.size is not None:
            raise ValueError(
                f"{one.source} says that {one.image.name} has {one.size[1]} x {one.size[0]} pixels, and its file has {width} x "
                f"{height}: its boxes were drawn on another size, export images and boxes again"
            )
        if drawn_on is not DrawnOn.UPRIGHT and one.labels:
            done[EXPLAINED[drawn_on]] += 1
        rows: dict[tuple[tuple[float, ...], int], None] = {}
        for edges, label in zip(one.boxes, one.labels, strict=True):
            box = picture.turned(edges) if drawn_on is DrawnOn.STORED else tuple(edges)
            left, top, right, bottom = box
            if left == right or top == bottom:
                done["boxes without width or height: left out"] += 1
                continue
            overhang = max(-left, -top, right - width, bottom - height)
            if not (left < right and top < bottom and overhang <= self.max_overhang):
                cut = f", or give +datamodule.max_overhang={math.ceil(overhang)} to cut it at the border"
                raise ValueError(
                    f"{one.source} has a box from ({left:g}, {top:g}) to ({right:g}, {bottom:g}) on {one.image.name}, which has "
                    f"{width} x {height} pixels: mend or remove it{cut if math.isfinite(overhang) and overhang > 0 else ''}"
                )
            self.check_label(one, label)
            if overhang > 0:
                done[f"boxes reach over the border by up to {self.max_overhang:g} pixels: cut there"] += 1
                box = (max(0.0, left), max(0.0, top), min(width, right), min(height, bottom))
            if box[0] >= box[2] or box[1] >= box[3]:
                done["boxes of which nothing lies within the image: left out"] += 1
            elif (box, label) in rows:
                done["boxes stated twice: taken once"] += 1
            else:
                rows[box, label] = None
        return list(rows)

    def check_label(self, one: Inspected, label: int) -> None:
        if not 0 <= label < len(self.target_classes):
            raise ValueError(
                f"{one.source} has a box of class {label} on {one.image.name}, and there are {len(self.target_classes)} "
                f"classes: {', '.join(self.target_classes)}"
            )


def in_memory(rows: FileRows) -> Rows:
    """All rows, read at once, or the files of a set that is too large."""
    return rows[:] if math.prod(rows.shape) <= MOST_IN_MEMORY else rows


def check_listed_once(found: Sequence[Inspected]) -> None:
    """ValueError where an image stands twice among ``found``: it would count twice, each time with a part of its boxes."""
    sources: dict[Path, Path] = {}
    for one in found:
        image = one.image.resolve()
        if image in sources:
            both = sorted({str(sources[image]), str(one.source)})
            raise ValueError(f"{one.image} is listed twice (by {' and '.join(both)}): list it once, with all its boxes")
        sources[image] = one.source


def decode_square(file: Path, *, channels: int, side: int) -> Tensor:
    """uint8 [channels, side, side]; ValueError names a file that cannot be read."""
    pixels = np.array(fit(decode_colour(file).convert("L" if channels == 1 else "RGB"), side))
    return torch.from_numpy(pixels.reshape(side, side, channels)).permute(2, 0, 1)
