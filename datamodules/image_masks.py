"""Images of one's own with a class for each pixel: a mask beside each image, of values or colours that stand for classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from datamodules.notices import warn_once
from datamodules.segmentation import MASK_MODES, SegmentationDataModule
from datamodules.splits import both_splits
from generative.rendering.containers.folders import Folder
from generative.rendering.masks import NO_CLASS
from generative.rendering.pictures import lets_through

MOST_LISTED = 8  # values of a message
LOSSY = {".jpg", ".jpeg", ".webp"}

Pair = tuple[Path, Path]


class ImageMasks(SegmentationDataModule):
    """``data_dir`` holds ``train/images`` and ``train/masks``, or ``images/train`` and ``masks/train``; the test split likewise.

    ``valid`` or ``val`` stands for ``test`` where there is none; without either, and where ``images`` and ``masks`` have no
    such folders, every tenth image is held out. A mask has the name of its image, then ``mask_suffix``, whatever their formats.

    ``classes`` are the names in the order of their numbers, ``values`` what each is in the masks: numbers, which are those of
    the palette where there is one, or colours [red, green, blue]; null: 0, 1, 2 ... A name that stands twice has both values.
    What ``ignore`` lists counts nowhere; any other value is refused. Images are shown whole, their longer edge brought to
    ``resolution`` pixels, above or beside black.
    """

    title = "a set of images with masks"
    source = "put the images into train/images and their masks, of the same names, into train/masks"
    remedy = "mend it"

    def __init__(
        self,
        *,
        classes: list[str],
        values: list[int | list[int]] | None = None,
        ignore: list[int | list[int]] | None = None,
        mask_suffix: str = "",
        **given: Any,
    ) -> None:
        super().__init__(**given)
        stated: list[Any] = list(range(len(classes))) if values is None else values
        ignored: list[Any] = ignore or []
        check_class_values(classes, stated, ignored)
        self.target_classes = tuple(dict.fromkeys(classes))
        self.by_colour = isinstance(stated[0], list)
        numbers = [self.target_classes.index(name) for name in classes]
        self.values = {
            **dict(zip(map(packed, stated), numbers, strict=True)),
            **dict.fromkeys(map(packed, ignored), NO_CLASS),
        }
        self.mask_suffix = mask_suffix

    def pairs(self, split: str) -> list[Pair]:
        return self.pairs_of_splits[split]

    @cached_property
    def pairs_of_splits(self) -> dict[str, list[Pair]]:
        return both_splits(
            self.data_dir,
            place_of=self.folders,
            read=lambda folders, part: self.paired(*folders),
            read_whole=self.whole_set,
            image_of=lambda pair: pair[0],
        )

    def whole_set(self) -> list[Pair]:
        """That of a set without parts; ValueError where there is none."""
        images, masks = self.data_dir / "images", self.data_dir / "masks"
        if not images.is_dir() or not masks.is_dir():
            raise ValueError(self.explain())
        return self.paired(images, masks)

    def folders(self, part: str) -> tuple[Path, Path] | None:
        """Those of the images and of the masks of a part; ValueError where only one is there, or both places are used."""
        places = [
            (self.data_dir / part / "images", self.data_dir / part / "masks"),
            (self.data_dir / "images" / part, self.data_dir / "masks" / part),
        ]
        there = [(images, masks) for images, masks in places if images.is_dir() or masks.is_dir()]
        if len(there) > 1:
            raise ValueError(f"{there[0][0]} and {there[1][0]} are both there: put the images of {part} into one")
        for images, masks in there:
            for folder in (images, masks):
                if not folder.is_dir():
                    raise ValueError(f"{folder} is missing: a mask is needed for each image of {part}")
            return images, masks
        return None

    def paired(self, images: Path, masks: Path) -> list[Pair]:
        """The files of each image and its mask, in the order of their names."""
        pictures, drawn = by_stem(images), by_stem(masks)
        pairs = [(path, drawn[mask]) for stem, path in pictures.items() if (mask := stem + self.mask_suffix) in drawn]
        alone = [stem for stem in pictures if stem + self.mask_suffix not in drawn]
        if alone:
            raise ValueError(
                f"{len(alone)} of the {len(pictures)} images in {images} have no mask in {masks}, such as "
                f"{pictures[alone[0]].name}, whose mask would be {Path(alone[0]).name}{self.mask_suffix}.png"
                f"{suffix_hint(alone[0], drawn)}: add masks, also of images with nothing on them, or take these images out"
            )
        if len(drawn) > len(pairs):
            used = {mask for _, mask in pairs}
            unused = [path for path in drawn.values() if path not in used]
            warn_once(f"{len(unused)} masks in {masks}, such as {unused[0].name}, have no image in {images}: left out")
        return pairs

    def shown_size(self, path: Path, size: tuple[int, int]) -> tuple[int, int]:
        scale = self.canvas[0] / max(size)
        return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))

    def numbers(self, path: Path, picture: Image.Image) -> np.ndarray:
        """Values, or colours as one number each; ValueError where a mask has colours and the classes have numbers."""
        if self.by_colour:
            return packed_colours(path, picture)
        if picture.mode in MASK_MODES:
            return np.asarray(picture)
        if picture.mode == "1":
            return np.asarray(picture.convert("L"))
        colours = packed_colours(path, picture)
        red = colours >> 16
        if not np.array_equal(colours, red * 0x010101):  # grey in three channels has numbers all the same
            found = values_in_words([unpacked(value) for value in np.unique(colours).tolist()])
            raise ValueError(
                f"{path} is in colour, of {found}, and datamodule.values are numbers: give a colour for each class, such as "
                "'datamodule.values=[[0,0,0],[255,0,0]]'"
            )
        return red.astype(np.uint8)

    def check_values(self, seen: Mapping[int, Path]) -> None:
        super().check_values(seen)
        there = {self.values[value] for value in seen}
        absent = [name for number, name in enumerate(self.target_classes) if number not in there]
        if absent:
            warn_once(f"{self.data_dir}: no pixel of {', '.join(absent)} in the masks that were looked at")

    def check_known(self, seen: Mapping[int, Path]) -> None:
        unknown = sorted(seen.keys() - self.values.keys())
        if not unknown:
            return
        show = unpacked if self.by_colour else int
        path = seen[unknown[0]]
        own, others = ([show(value) for value in unknown if (seen[value] == path) == there] for there in (True, False))
        stated = [show(value) for value, number in self.values.items() if number != NO_CLASS]
        lossy = "; its format changes values when it saves: draw masks as PNG" if path.suffix.lower() in LOSSY else ""
        raise ValueError(
            f"{path} holds {values_in_words(own)}{f' (other masks {values_in_words(others)})' if others else ''}, and "
            f"datamodule.values are {values_in_words(stated)} for {', '.join(self.target_classes)}: give the value of each "
            f"class in datamodule.values, and those of pixels that count nowhere in datamodule.ignore{lossy}"
        )


def check_class_values(classes: Sequence[str], values: Sequence[Any], ignored: Sequence[Any]) -> None:
    """ValueError unless there is a value, and another one, for each class, all numbers or all colours."""
    if not classes:
        raise ValueError("datamodule.classes is empty: give the names of the classes, such as [background,defect]")
    if len(values) != len(classes):
        raise ValueError(
            f"datamodule.values has {len(values)} entries and datamodule.classes {len(classes)}: give one for each class"
        )
    stated = [*values, *ignored]
    numbers = [value for value in stated if isinstance(value, int) and not isinstance(value, bool) and value >= 0]
    colours = [value for value in stated if isinstance(value, list) and is_colour(value)]
    if len(stated) not in (len(numbers), len(colours)):
        raise ValueError(
            "datamodule.values and datamodule.ignore must be all numbers from 0 on, or all colours [red, green, blue] of 0 to "
            f"255, got {list(values)} and {list(ignored)}"
        )
    twice = next((value for value in stated if stated.count(value) > 1), None)
    if twice is not None:
        raise ValueError(f"datamodule.values and datamodule.ignore name {twice} twice: a pixel has one class")
    if len(set(classes)) > NO_CLASS:
        raise ValueError(f"datamodule.classes has {len(set(classes))} names: masks hold at most {NO_CLASS}")


def is_colour(value: Sequence[Any]) -> bool:
    return len(value) == 3 and all(isinstance(part, int) and 0 <= part <= 255 for part in value)


def packed(value: int | Sequence[int]) -> int:
    """A number as it is; a colour as 0xRRGGBB."""
    return value if isinstance(value, int) else value[0] << 16 | value[1] << 8 | value[2]


def unpacked(colour: int) -> list[int]:
    return [colour >> 16, colour >> 8 & 255, colour & 255]


def packed_colours(path: Path, picture: Image.Image) -> np.ndarray:
    """0xRRGGBB of each pixel, int32 [H, W]; ValueError where pixels are transparent, which have no colour."""
    if picture.mode in ("RGBA", "LA") and lets_through(picture):
        raise ValueError(f"{path} has transparent pixels, which are of no colour: save the mask without transparency")
    red, green, blue = np.asarray(picture.convert("RGB"), np.int32).transpose(2, 0, 1)
    return red << 16 | green << 8 | blue


def values_in_words(values: Sequence[object]) -> str:
    shown = ", ".join(map(str, values[:MOST_LISTED]))
    return shown + (f" and {len(values) - MOST_LISTED} more" if len(values) > MOST_LISTED else "")


def by_stem(folder: Path) -> dict[str, Path]:
    """The images below a folder under their paths there without suffix, in order; ValueError where two share one."""
    files = Folder(folder)
    if files.others:
        warn_once(f"passed over in {folder}: {files.others_in_words()}")
    found: dict[str, Path] = {}
    for path in (folder / name for name in files.names):
        stem = str(path.relative_to(folder).with_suffix(""))
        if stem in found:
            raise ValueError(
                f"{found[stem]} and {path} have one name: images and masks belong together by it, rename one"
            )
        found[stem] = path
    return found


def suffix_hint(stem: str, masks: Mapping[str, Path]) -> str:
    """The ``mask_suffix`` that would find the mask of an image, if there is one."""
    longer = next((mask for mask in masks if mask.startswith(stem)), None)
    return (
        ""
        if longer is None
        else f" (datamodule.mask_suffix={longer.removeprefix(stem)} would find {masks[longer].name})"
    )
