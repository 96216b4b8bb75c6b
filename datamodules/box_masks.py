"""Masks of boxes in COCO's format: polygons, and runs of pixels, packed or not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

Shape = (
    list[list[float]] | dict[str, Any]
)  # polygons x1, y1, x2, y2 ..., or runs {"size": [height, width], "counts": ...}
REMEDY = 'pip install -e ".[defects]"'


def coco_masks() -> ModuleType:
    """The module ``pycocotools.mask``; ValueError with the remedy where it is missing."""
    try:
        from pycocotools import mask
    except ImportError as error:
        raise ValueError(f"masks in COCO's format need the package pycocotools ({error}): {REMEDY}") from error
    return mask


def shape_of(row: Mapping[str, Any], file: Path) -> Shape | None:
    """The ``segmentation`` of an annotation; None where it has none. ValueError where it is neither polygons nor runs."""
    given = row.get("segmentation")
    if not given:
        return None
    if isinstance(given, dict) and is_size(given.get("size")) and isinstance(given.get("counts"), list | str):
        return given
    if isinstance(given, list) and all(map(is_polygon, given)):
        return given
    raise ValueError(
        f"{file} has a segmentation of annotation {row.get('id')!r} that is neither polygons ([[x1, y1, x2, y2, x3, y3]]) nor "
        'runs ({"size": [height, width], "counts": ...}): mend or remove it'
    )


def is_size(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(side, int) and side > 0 for side in value)


def is_polygon(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) >= 6
        and len(value) % 2 == 0
        and all(isinstance(number, int | float) and math.isfinite(number) for number in value)
    )


def pixels_of(shape: Shape, size: tuple[int, int], source: object) -> np.ndarray:
    """The pixels of a mask on an image of ``size`` (height, width): bool [H, W].

    ValueError names the ``source`` where runs are of another size, or do not fill it.
    """
    masks = coco_masks()
    if isinstance(shape, dict):
        if tuple(shape["size"]) != size:
            raise ValueError(
                f"{source} has a mask of {shape['size'][1]} x {shape['size'][0]} pixels on an image of {size[1]} x {size[0]}: it "
                "was drawn on another size, export images and masks again"
            )
        counts = shape["counts"]
        if isinstance(counts, list) and (sum(counts) != size[0] * size[1] or min(counts) < 0):
            raise ValueError(f"{source} has a mask whose runs are {sum(counts)} pixels of {size[0] * size[1]}: mend it")
    try:
        packed = masks.frPyObjects(shape, *size) if not is_packed(shape) else shape
        found = masks.decode(masks.merge(packed) if isinstance(packed, list) else packed)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{source} has a mask that cannot be read ({error}): mend or remove it") from error
    return found.astype(bool)


def is_packed(shape: Shape) -> bool:
    return isinstance(shape, dict) and isinstance(shape["counts"], str)


def packed(pixels: np.ndarray) -> dict[str, Any]:
    """A mask bool [H, W] as COCO's packed runs: {"size": [H, W], "counts": text}."""
    found = coco_masks().encode(np.asfortranarray(pixels.astype(np.uint8)))
    return {"size": [int(side) for side in found["size"]], "counts": found["counts"].decode("ascii")}
