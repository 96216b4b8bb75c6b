"""Boxes and their masks in COCO's format, as labelling tools write it: read and checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datamodules.box_masks import Shape, shape_of
from datamodules.notices import warn_once


@dataclass(frozen=True)
class ListedImage:
    """An image of a file of boxes: left, top, right and bottom edges in pixels, the names of their classes, their masks."""

    name: str
    size: tuple[int, int] | None  # height and width, where the file states them
    boxes: list[tuple[float, ...]] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    shapes: list[Shape | None] = field(default_factory=list)


def read_coco(file: Path, *, keep_crowds: bool) -> tuple[list[ListedImage], list[str]]:
    """The images that ``file`` lists, in the order of their names, and its classes that have boxes, in the file's order.

    Boxes marked ``iscrowd`` are left out, said with their number, unless ``keep_crowds``. ValueError says what is no
    COCO, which id stands twice, and which box or image does not belong.
    """
    try:
        facts = json.loads(file.read_text(encoding="utf-8-sig"))  # Windows puts a mark before the text
        images = listed_images(facts["images"], file)
        names = {key: str(row["name"]) for key, row in by_id(facts["categories"], "category", file).items()}
        rows = facts["annotations"]
        crowds = [] if keep_crowds else [row for row in rows if row.get("iscrowd")]
        for row in rows:
            if keep_crowds or not row.get("iscrowd"):
                image = images.get(row["image_id"])
                if image is None:
                    raise ValueError(f"{file} has boxes of image {row['image_id']!r}, which it does not list: mend it")
                if row["category_id"] not in names:
                    raise ValueError(
                        f"{file} has boxes of category {row['category_id']!r}, which it does not list: mend it"
                    )
                image.boxes.append(edges_of(row, file))
                image.classes.append(names[row["category_id"]])
                image.shapes.append(shape_of(row, file))
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{file} is not in COCO's format of boxes (images, categories, annotations): {type(error).__name__} {error}"
        ) from error
    if crowds:
        warn_once(
            f"{len(crowds)} boxes of {file} are marked iscrowd, not of one thing: left out; if your tool marks single things "
            "so, as some do where a mask was painted, give +datamodule.keep_crowds=true"
        )
    check_unit(images.values(), file)
    used = {name for image in images.values() for name in image.classes}
    ordered = sorted(images.values(), key=lambda image: image.name)
    return ordered, [name for name in dict.fromkeys(names.values()) if name in used]


def by_id(rows: Sequence[Mapping[str, Any]], kind: str, file: Path) -> dict[Any, Mapping[str, Any]]:
    """The rows under their ids, which may have holes; ValueError where two have one id."""
    found: dict[Any, Mapping[str, Any]] = {}
    for row in rows:
        if row["id"] in found:
            raise ValueError(
                f"{file} gives the {kind} id {row['id']!r} twice: what refers to it could be of either; number them anew"
            )
        found[row["id"]] = row
    return found


def listed_images(rows: Sequence[Mapping[str, Any]], file: Path) -> dict[Any, ListedImage]:
    images = {}
    for key, row in by_id(rows, "image", file).items():
        height, width = row.get("height"), row.get("width")  # some tools state neither, or 0
        images[key] = ListedImage(str(row["file_name"]), (int(height), int(width)) if height and width else None)
    return images


def edges_of(row: Mapping[str, Any], file: Path) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a row's ``bbox``, which is left, top, width and height."""
    what = f"box {row.get('bbox')!r} of annotation {row.get('id')!r}"
    try:
        left, top, width, height = map(float, row["bbox"])
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{file} has the {what}: give left, top, width and height in pixels") from error
    if not all(map(math.isfinite, (left, top, width, height))) or width < 0 or height < 0:
        raise ValueError(
            f"{file} has the {what}, and a box is its left, top, width and height: none is negative or infinite"
        )
    return left, top, left + width, top + height


def check_unit(images: Any, file: Path) -> None:
    """ValueError where all boxes lie within one pixel: they are shares of the image's size."""
    edges = [edge for image in images for box in image.boxes for edge in box]
    if edges and min(edges) >= 0 and max(edges) <= 1:
        raise ValueError(
            f"the boxes of {file} are all within 0 and 1, shares of the image's size: COCO's are in pixels, mend the file"
        )
