"""The masks of boxes as one picture of classes for each image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from datamodules.box_masks import coco_masks, pixels_of
from datamodules.boxes import Inspected
from datamodules.file_rows import FileRows
from datamodules.notices import warn_once
from datamodules.orientation import DrawnOn, read_stored_picture
from generative.rendering.masks import NO_CLASS
from generative.rendering.pictures import TURNS


def have_masks(found: Sequence[Inspected], where: Path) -> bool:
    """Whether all boxes have a mask. It is said where only some have, and where the package that reads them is missing."""
    shapes = [shape for one in found for shape in one.shapes]
    there = sum(shape is not None for shape in shapes)
    if there < len(shapes) and there:
        warn_once(f"{where}: {len(shapes) - there} of {len(shapes)} boxes have no mask: masks are not shown")
    if not there or there < len(shapes):
        return False
    try:
        coco_masks()
    except ValueError as error:  # such sets were shown by their boxes before masks were read
        warn_once(f"{where}: masks are not shown; {error}")
        return False
    return True


def mask_rows(found: Sequence[Inspected], side: int) -> FileRows:
    """uint8 [N, side, side]: classes counted from 1, 0 where there is no box's mask, 255 beside the image."""
    inspected = {one.image: one for one in found}

    def decode(path: Path) -> Tensor:
        return torch.from_numpy(mask_of(inspected[path], side))

    return FileRows([one.image for one in found], decode, (side, side))


def mask_of(one: Inspected, side: int) -> np.ndarray:
    """The masks of an image, the larger below the smaller, brought to ``side`` pixels as the image is: uint8 [side, side]."""
    picture = read_stored_picture(one.image)
    turned = picture.drawn_on(one.size) is DrawnOn.STORED
    size = picture.size if turned else picture.upright
    source = f"{one.source}, for {one.image.name},"
    shapes = [pixels_of(shape, size, source) for shape in one.shapes if shape is not None]
    drawn = np.zeros(size, np.uint8)
    for place in sorted(range(len(shapes)), key=lambda place: -int(shapes[place].sum())):
        drawn[shapes[place]] = one.labels[place] + 1
    mask = Image.fromarray(drawn)
    if turned:
        mask = mask.transpose(TURNS[picture.orientation])
    scale = side / max(mask.size)
    width, height = (max(1, round(edge * scale)) for edge in mask.size)
    canvas = np.full((side, side), NO_CLASS, np.uint8)
    canvas[:height, :width] = np.asarray(mask.resize((width, height), Image.Resampling.NEAREST))
    return canvas
