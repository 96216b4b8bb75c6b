"""What the synthesiser is shown: defects with boxes, masks where there are some, and faultless images.

A set is DeepPCB's folder or a folder with boxes in COCO's format, laid out as ``datamodule=inspection`` has it; masks are
polygons or run lengths of the file, faultless twins files of the same names below ``clean/``. Only its training split is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.coco import by_id, edges_of
from datamodules.deeppcb import LISTS, DeepPCB
from datamodules.inspection import BESIDE, WHOLE, Pictures, as_classes, one_of
from datamodules.notices import warn_once
from datamodules.splits import TEST_NAMES, both_splits
from generative.randomness import permutation
from generative.rendering.containers.formats import is_image
from generative.rendering.defects.libraries import needed
from generative.rendering.files import in_order
from generative.rendering.pictures import read_header, read_picture

CLEAN = "clean"  # the folder of twins beside a set
SIDE_OF_DEEPPCB = 640
GREY_WITHIN = 24  # levels between red, green and blue of a grey picture that was stored in colour


@dataclass(frozen=True)
class Example:
    """A defect: its class, its box (left, top, right, bottom in pixels) on ``image``, and what else is known of it.

    ``segmentation`` is COCO's; ``twin`` the same picture without a fault.
    """

    name: str
    image: Path
    box: tuple[float, float, float, float]
    source: Path
    segmentation: Any = None
    twin: Path | None = None

    def mask(self, shape: tuple[int, int]) -> np.ndarray | None:
        """The mask that the set gives, bool [H, W], or None; ValueError for one that is empty or of another size."""
        if not self.segmentation:
            return None
        coco = needed("pycocotools.mask", "reading masks of COCO files")
        height, width = shape
        runs = self.segmentation
        try:
            if isinstance(runs, list):
                runs = coco.merge(coco.frPyObjects(runs, height, width))
            elif isinstance(runs["counts"], list):
                runs = coco.frPyObjects(runs, *runs["size"])
            mask: np.ndarray = coco.decode(runs).astype(bool)
        except Exception as error:  # pycocotools raises what its C code comes to
            raise ValueError(
                f"{self.source} has a mask of {self.image.name} that is neither polygons nor run lengths of COCO ({error}): "
                "export it again"
            ) from error
        if mask.shape != shape:
            raise ValueError(
                f"{self.source} has a mask of {mask.shape[1]} x {mask.shape[0]} pixels on {self.image.name}, which has {width} x "
                f"{height}: export images and masks again"
            )
        if not mask.any():
            raise ValueError(
                f"{self.source} has an empty mask of {self.name!r} on {self.image.name}: draw it again, or remove it"
            )
        return mask


@dataclass(frozen=True)
class Examples:
    """The defects of a set's training images, in the order of their files, and the names of their classes."""

    path: Path
    classes: tuple[str, ...]
    all: list[Example] = field(default_factory=list)


def read_examples(path: Path) -> Examples:
    """The training defects of a set; ValueError says what is missing."""
    if not path.is_dir():
        raise ValueError(
            f"{path} is no folder: give DeepPCB's, or one with boxes in COCO's format (train.json and train/)"
        )
    found = examples_of_deeppcb(path) if is_deeppcb(path) else examples_of_coco(path)
    if not found.all:
        raise ValueError(f"{path} has no box or mask of a defect: label some first, 20 of a class are a good start")
    return found


def is_deeppcb(path: Path) -> bool:
    return any((place / LISTS["train"]).exists() for place in (path, path / "PCBData"))


def deeppcb_boards(path: Path) -> list[tuple[Any, Path]]:
    """The training boards of DeepPCB, each with its faultless board."""
    boards = DeepPCB(data_dir=str(path), resolution=SIDE_OF_DEEPPCB, batch_size=1, seed=0).find("train")
    return [(board, board.image.with_name(board.image.name.replace("_test.", "_temp."))) for board in boards]


def examples_of_deeppcb(path: Path) -> Examples:
    names = DeepPCB.target_classes
    found = [
        Example(names[label], board.image, edges(box), board.source, twin=template)
        for board, template in deeppcb_boards(path)
        for box, label in zip(board.boxes, board.labels, strict=True)
    ]
    return Examples(path, names, found)


def edges(box: Sequence[float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = map(float, box)
    return left, top, right, bottom


def examples_of_coco(path: Path) -> Examples:
    """The training split of a set in COCO's format: every tenth image is left to the test where the set has no splits."""

    def place_of(part: str) -> Path | None:
        return one_of(
            [path / name for name in (f"{part}.json", f"{part}/{BESIDE}", f"annotations/instances_{part}.json")]
        )

    def read_whole() -> list[tuple[Path, list[Example]]]:
        whole = one_of([path / name for name in WHOLE])
        if whole is None:
            raise ValueError(
                f"no boxes of defects are in {path}: put COCO's format into {path / 'train.json'} and the images into "
                f"{path / 'train'}, or give the folder of DeepPCB"
            )
        return read_part(path, whole, "default")

    images = both_splits(
        path, place_of=place_of, read=partial(read_part, path), read_whole=read_whole, image_of=lambda one: one[0]
    )["train"]
    found = [example for _, examples in images for example in examples]
    return Examples(path, tuple(sorted({example.name for example in found})), found)


def read_part(root: Path, file: Path, part: str) -> list[tuple[Path, list[Example]]]:
    """The images that a COCO file lists, in the order of their names, each with its defects; crowds are left out."""
    try:
        facts = json.loads(file.read_text(encoding="utf-8-sig"))
        images = by_id(facts["images"], "image", file)
        names = {key: str(row["name"]) for key, row in by_id(facts["categories"], "category", file).items()}
        rows: dict[Any, list[Mapping[str, Any]]] = {key: [] for key in images}
        for row in facts["annotations"]:
            if not row.get("iscrowd"):
                rows[row["image_id"]].append(row)
        listed = sorted(images.items(), key=lambda item: str(item[1]["file_name"]))
        paths = Pictures(root, file, part).find([str(image["file_name"]) for _, image in listed])
        found = []
        for (key, image), path in zip(listed, paths, strict=True):
            twin = twin_of(root, part, str(image["file_name"]), path)
            found.append((
                path,
                [
                    Example(names[row["category_id"]], path, edges_of(row, file), file, row.get("segmentation"), twin)
                    for row in rows[key]
                ],
            ))  # fmt: skip
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{file} is not in COCO's format (images, categories, annotations): {type(error).__name__} {error}"
        ) from error
    return found


def twin_of(root: Path, part: str, name: str, path: Path) -> Path | None:
    """The faultless picture of an image, by its name."""
    places = [root / CLEAN / part / path.name, root / CLEAN / name, root / CLEAN / path.name]
    return next((place for place in places if place.is_file() and place != path), None)


def choose(examples: Examples, *, num_real: int, seed: int, fewer: bool = False) -> dict[str, list[Example]]:
    """``num_real`` defects of each class: at most one an image while they last, and fewer of a seed are among more of it.

    ValueError where a class has not so many, unless ``fewer`` allows that.
    """
    if num_real < 1:
        raise ValueError(f"--num-real must be at least 1, got {num_real}")
    chosen = {}
    for name in examples.classes:
        ordered = spread(examples, name, seed)
        if not ordered:
            raise ValueError(
                f"the class {name!r} of {examples.path} has no example: label one, or take it off the list"
            )
        if len(ordered) < num_real and not fewer:
            raise ValueError(
                f"--num-real {num_real} is more than the {len(ordered)} training defects of {name!r} in {examples.path}: "
                f"give --num-real {len(ordered)}, or --allow-fewer"
            )
        chosen[name] = ordered[:num_real]
    return chosen


def spread(examples: Examples, name: str, seed: int) -> list[Example]:
    """All defects of a class in an order of the seed in which the first ones are of different images."""
    found = [example for example in examples.all if example.name == name]
    order = permutation(seed, 0, len(found), name=f"real subset of {name}")
    seen: dict[Path, int] = {}
    ranked: list[tuple[int, int, Example]] = []
    for place in order:
        example = found[int(place)]
        seen[example.image] = seen.get(example.image, 0) + 1
        ranked.append((seen[example.image], len(ranked), example))
    return [example for _, _, example in sorted(ranked, key=lambda row: row[:2])]


def clean_images(folder: Path) -> list[Path]:
    """The faultless pictures of a folder, in the order of their names; of DeepPCB the templates of its training boards."""
    if not folder.is_dir():
        raise ValueError(f"--clean {folder} is no folder: give one with pictures that show no defect")
    if is_deeppcb(folder):
        return [template for _, template in deeppcb_boards(folder)]
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and is_image(path)]
    names = [name for name in names if Path(name).parts[0] not in TEST_NAMES] or names
    tested = tested_names(folder.parent) if folder.name == CLEAN else set()
    if left := [name for name in names if Path(name).name in tested and Path(name).parts[0] != "train"]:
        warn_once(f"{len(left)} pictures of {folder}, such as {left[0]}, are twins of test images: not drawn on")
        names = sorted({*names} - {*left})
    if not names:
        raise ValueError(f"--clean {folder} has no images: put pictures that show no defect there")
    return [folder / name for name in in_order(names)]


def tested_names(root: Path) -> set[str]:
    """The names of the images that a set in COCO's format tests on: their twins are no ground for training images."""
    found: set[str] = set()
    for part in TEST_NAMES:
        for file in (root / f"{part}.json", root / part / BESIDE, root / "annotations" / f"instances_{part}.json"):
            if file.is_file():
                found |= {
                    Path(str(image["file_name"])).name for image in json.loads(file.read_text("utf-8-sig"))["images"]
                }
    return found


def pixels_of(path: Path, *, channels: int | None = None) -> np.ndarray:
    """The picture in a file, uint8 [H, W] in grey or [H, W, 3]; ``channels`` None: as it is stored.

    ValueError names one that cannot be read, has more than 8 bits, is in colour among grey ones, or is turned by its EXIF
    data, since nothing says whether masks and boxes are.
    """
    content = path.read_bytes()
    is_grey = read_header(content, str(path)).is_grey
    picture = read_picture(content, str(path), channels=1 if is_grey else 3)
    if picture.turned:
        raise ValueError(f"{path} is turned by its EXIF data: save it upright, and label it again if its boxes moved")
    found = np.array(picture.image)
    if channels == 3 and is_grey:
        return np.repeat(found[..., None], 3, axis=2)
    if channels == 1 and not is_grey:
        if int(np.ptp(found.astype(np.int16), axis=2).max()) > GREY_WITHIN:
            raise ValueError(f"{path} is in colour among grey pictures: save all in grey, or all in colour")
        return np.array(picture.image.convert("L"))
    return found


def check_box(example: Example, shape: tuple[int, ...]) -> None:
    """ValueError for a box that does not lie within its image, or has no area."""
    left, top, right, bottom = example.box
    height, width = shape[:2]
    if not (left < right and top < bottom and left >= -1 and top >= -1 and right <= width + 1 and bottom <= height + 1):
        raise ValueError(
            f"{example.source} has a box from ({left:g}, {top:g}) to ({right:g}, {bottom:g}) on {example.image.name}, which has "
            f"{width} x {height} pixels: mend or remove it"
        )


def names_for_config(classes: Sequence[str]) -> str:
    """What to give ``datamodule=inspection`` for these classes."""
    return as_classes(list(classes))
