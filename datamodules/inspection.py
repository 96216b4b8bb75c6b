"""Inspection images of one's own: folders of images with boxes in COCO's format, with masks and faultless twins where there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from datamodules.batches import Rows
from datamodules.boxes import BoxedImages, Inspected, in_memory
from datamodules.coco import ListedImage, read_coco
from datamodules.inspected_masks import have_masks, mask_rows
from datamodules.notices import warn_once
from datamodules.splits import PARTS, both_splits
from datamodules.twins import CLEAN, twins_of
from generative.rendering.containers.folders import Folder

BESIDE = "_annotations.coco.json"  # Roboflow's, beside the images of a split
WHOLE = ("annotations/instances_default.json", "result.json", "result_coco.json")  # CVAT's, Label Studio's: no splits


class Inspection(BoxedImages):
    """``data_dir`` holds the boxes of a split in one file, and the images where that file says, as labelling tools export.

    The file of ``train`` is ``train.json``, ``train/_annotations.coco.json`` (Roboflow) or
    ``annotations/instances_train.json`` (CVAT, COCO); that of the test split likewise, where ``valid`` or ``val`` stands for
    ``test`` if there is none. Without either, and of a set without splits (``annotations/instances_default.json``,
    ``result.json``), every tenth image is held out. Images lie in ``train/``, ``images/train/`` or ``images/``, or beside the file;
    one that is not where its name says is found by the last part of it.

    ``classes``: the names of the defects, in the order of their numbers here; the file may number them as it likes.
    ``keep_crowds`` takes boxes marked ``iscrowd`` as well.

    Where all boxes have a ``segmentation``, batches hold "mask" [B, H, W] uint8: the class of the box counted from 1, 0 where
    there is no defect, 255 beside the image. Where the folder ``clean`` has a file of the name of each image, they hold
    "template" [B, C, H, W], its faultless twin.
    """

    def __init__(
        self,
        *,
        classes: list[str],
        channels: int = 3,
        keep_crowds: bool = False,
        **given: Any,
    ) -> None:
        self.channels = channels
        super().__init__(**given)
        twice = sorted({name for name in classes if classes.count(name) > 1})
        if twice:
            raise ValueError(f"datamodule.classes names {twice[0]!r} twice: give each class once")
        self.target_classes = tuple(classes)
        self.keep_crowds = keep_crowds

    def find(self, split: str) -> Sequence[Inspected]:
        return self.images_of_splits[split]

    @cached_property
    def images_of_splits(self) -> dict[str, list[Inspected]]:
        return both_splits(
            self.data_dir,
            place_of=self.file_of,
            read=self.read,
            read_whole=self.read_whole,
            image_of=lambda one: one.image,
        )

    def read_whole(self) -> list[Inspected]:
        """A set without parts; ValueError where there is none."""
        file = one_of([self.data_dir / name for name in WHOLE])
        if file is None:
            raise ValueError(self.explain())
        return self.read(file, "default")

    def file_of(self, part: str) -> Path | None:
        names = (f"{part}.json", f"{part}/{BESIDE}", f"annotations/instances_{part}.json")
        return one_of([self.data_dir / name for name in names])

    def explain(self) -> str:
        others = sorted(str(path.relative_to(self.data_dir)) for path in self.data_dir.glob("**/*.json"))
        return (
            f"a set of inspection images is not in {self.data_dir}: put boxes in COCO's format into {self.data_dir / 'train.json'} "
            f"and the images into {self.data_dir / 'train'}" + (f"; there is {', '.join(others[:3])}" if others else "")
        )

    def read(self, file: Path, part: str) -> list[Inspected]:
        """The images of a file of boxes, in the order of their names."""
        listed, named = read_coco(file, keep_crowds=self.keep_crowds)
        unknown = [name for name in named if name not in self.target_classes]
        if unknown:
            raise ValueError(
                f"{file} has boxes of {unknown[0]!r}, which is not among datamodule.classes "
                f"({', '.join(self.target_classes) or 'empty'}): {as_classes(named)}"
            )
        absent = [name for name in self.target_classes if name not in named]
        if absent:
            warn_once(f"{file} has no box of {', '.join(absent)}, which datamodule.classes names")
        pictures = Pictures(self.data_dir, file, part)
        found = pictures.find([image.name for image in listed])
        return [self.inspected(image, path, file) for image, path in zip(listed, found, strict=True)]

    def inspected(self, image: ListedImage, path: Path, file: Path) -> Inspected:
        labels = [self.target_classes.index(name) for name in image.classes]
        return Inspected(path, image.boxes, labels, source=file, size=image.size, shapes=image.shapes)

    def further_targets(self, split: str, found: Sequence[Inspected]) -> Mapping[str, Rows]:
        targets: dict[str, Rows] = {}
        if have_masks(found, self.data_dir):
            targets["mask"] = in_memory(mask_rows(found, self.resolution))
        if twins := twins_of([one.image for one in found], self.data_dir):
            targets["template"] = self.pictures(twins)
        return targets


def one_of(files: Sequence[Path]) -> Path | None:
    """The file that is there; ValueError where two are, which may say different things."""
    there = [file for file in files if file.exists()]
    if len(there) > 1:
        raise ValueError(f"{there[0]} and {there[1]} both state boxes of the same images: remove one")
    return there[0] if there else None


def as_classes(names: Sequence[str]) -> str:
    """What to write on the command line for the classes ``names``."""
    words = [name if re.fullmatch(r"[A-Za-z_][\w-]*", name) else json.dumps(name, ensure_ascii=False) for name in names]
    return f"give 'datamodule.classes=[{','.join(words)}]'"


class Pictures:
    """The images of a part of a set, which its file of boxes names in its tool's way.

    A name may have folders, of Windows too, that are not there, or an address of the tool's server. What is not where it
    says is looked for by the last part of its name, in all folders but those of other parts.
    """

    def __init__(self, root: Path, file: Path, part: str) -> None:
        self.root, self.file, self.part = root, file, part
        images = root / "images"
        own = [root / part, images / part] if file.name != BESIDE else [file.parent]
        self.places = [*own, file.parent, file.parent / "images", images, root]

    def find(self, names: Sequence[str]) -> list[Path]:
        """The file of each; ValueError with the number of those that are missing, and where two could be meant."""
        found = [self.named(name) for name in names]
        if elsewhere := [name for name, path in zip(names, found, strict=True) if path is None]:
            index = self.index()
            by_last_part = {name: path for name in elsewhere if (path := self.by_last_part(name, index)) is not None}
            found = [path or by_last_part.get(name) for path, name in zip(found, names, strict=True)]
            for name, path in [*by_last_part.items()][:1]:
                warn_once(
                    f"{len(by_last_part)} images that {self.file} lists were found by the last part of their names, such as "
                    f"{name} in {path.parent}"
                )
        missing = [name for name, path in zip(names, found, strict=True) if path is None]
        if missing:
            raise ValueError(
                f"{self.places[0] / posix(missing[0])} is missing, and so is any image of that name in {self.root} ({len(missing)} "
                f"of the {len(names)} that {self.file} lists): put the images there, or take them off the list"
            )
        self.tell_unlisted(path for path in found if path is not None)
        return [path for path in found if path is not None]

    def named(self, name: str) -> Path | None:
        return next((path for place in self.places if (path := place / posix(name)).is_file()), None)

    def index(self) -> dict[str, list[Path]]:
        """All images of the set but twins and those in folders of other parts, under the last part of their names."""
        found: dict[str, list[Path]] = {}
        others = {*PARTS, CLEAN} - {self.part}
        for name in Folder(self.root).names:
            path = self.root / name
            if not others & set(Path(name).parts[:-1]):
                found.setdefault(path.name, []).append(path)
        return found

    def by_last_part(self, name: str, index: dict[str, list[Path]]) -> Path | None:
        candidates = index.get(posix(name).name, [])
        if len(candidates) > 1:
            raise ValueError(
                f"{self.file} lists {name!r}, which could be {candidates[0]} or {candidates[1]}: give its folder in the file"
            )
        return candidates[0] if candidates else None

    def tell_unlisted(self, found: Iterable[Path]) -> None:
        """A warning about images in the part's own folder that its file does not list."""
        listed = set(found)
        for folder in (self.root / self.part, self.root / "images" / self.part):
            unlisted = [name for name in Folder(folder).names if folder / name not in listed] if folder.is_dir() else []
            if unlisted:
                warn_once(
                    f"{len(unlisted)} images in {folder}, such as {unlisted[0]}, are not listed by {self.file}: left out"
                )


def posix(name: str) -> PurePosixPath:
    """The path that a tool wrote, also on Windows, without its drive."""
    return PurePosixPath(re.sub(r"^[A-Za-z]:", "", name.replace("\\", "/")))
