"""Faultless twins of inspected images: files of the same name in the folder ``clean`` of a set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datamodules.notices import warn_once
from datamodules.orientation import read_stored_picture

CLEAN = "clean"


def twins_of(images: Sequence[Path], root: Path) -> list[Path]:
    """The twin of each image: ``clean/`` with the image's own path below ``root``, else ``clean/`` with its name.

    Nothing where no image has one, or only some, which is said. ValueError where a twin has another size than its image.
    """
    if not (root / CLEAN).is_dir():
        return []
    found = [twin_of(image, root) for image in images]
    there = [twin for twin in found if twin is not None]
    if len(there) < len(images):
        if there:
            lacking = images[found.index(None)].name
            warn_once(
                f"{root / CLEAN} has twins of {len(there)} of {len(images)} images, none of {lacking}: templates are not shown"
            )
        return []
    for image, twin in zip(images, there, strict=True):
        sizes = [read_stored_picture(path).upright for path in (image, twin)]
        if sizes[0] != sizes[1]:
            (height, width), (own_height, own_width) = sizes
            raise ValueError(
                f"{twin} has {own_width} x {own_height} pixels and its image {image.name} has {width} x {height}: a twin shows "
                "the same, so bring both to one size or take it out of the folder"
            )
    return there


def twin_of(image: Path, root: Path) -> Path | None:
    places = [root / CLEAN / image.name]
    if image.is_relative_to(root):
        places.insert(0, root / CLEAN / image.relative_to(root))
    return next((place for place in places if place.is_file()), None)
