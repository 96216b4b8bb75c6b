"""Several sets as one, a class each: CelebA against drawn faces, or any folders of images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from datamodules.base import ImageDataModule, ImagesOnDisk
from datamodules.batches import ChosenRows, JoinedRows
from datamodules.file_rows import FileRows
from datamodules.images import OwnImages
from datamodules.notices import first_few
from datamodules.prepared_set import MOST_IN_MEMORY, read_description
from datamodules.presets import PRESETS
from datamodules.sources import open_source
from datamodules.splits import check_apart, hold_out_files, part_to_test_on, real_paths
from generative.rendering.containers.folders import Folder
from generative.rendering.containers.formats import is_hidden
from generative.rendering.images import to_uint8
from generative.rendering.pictures import read_picture

Set = Callable[..., ImageDataModule] | str  # a data module that is still to be made, or a folder


class SeveralSets(ImagesOnDisk):
    """The images of ``sets``, class name -> data module or folder; class i is the i-th of them.

    None: each folder in ``data_dir`` is a set, in the order of their names. A folder is a prepared set, or holds images,
    which stay in their files and are brought to ``resolution`` by ``preset`` when they are shown; its folders ``train`` and
    ``test`` are splits, and without them every tenth image is held out. Labels of the sets themselves are left aside.
    ``per_class``: the most images of a class in each split, evenly spread over its set; None: all. ``channels``: 1 or 3, those
    of every set. ``num_classes`` None: as many as there are sets.
    """

    def __init__(
        self,
        *,
        sets: dict[str, Set] | None = None,
        num_classes: int | None = None,
        channels: int = 3,
        per_class: int | None = None,
        preset: str = "crop_bilinear",
        **given: Any,
    ) -> None:
        super().__init__(**given)
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 (grey) or 3 (colour), got {channels}")
        if per_class is not None and per_class < 1:
            raise ValueError(f"per_class must be at least 1 image of each class, got {per_class}")
        if preset not in PRESETS:
            raise ValueError(f"unknown preset {preset!r}: choose one of {', '.join(PRESETS)}")
        if sets is not None:
            check_names(sets)
            self.name = "_".join(sets)
            if num_classes not in (None, len(sets)):
                raise ValueError(f"num_classes is {num_classes}, and {len(sets)} sets are named: leave it out")
        self.given_sets, self.given_classes = sets, num_classes
        self.image_shape = (channels, self.resolution, self.resolution)
        self.per_class, self.preset = per_class, preset

    @property
    def num_classes(self) -> int:  # type: ignore[override] # of the other sets a constant
        """ValueError where it is left to folders that are not there."""
        return len(self.sets) if self.given_classes is None else self.given_classes

    @property
    def sets(self) -> Mapping[str, Set]:
        """Those that are named, or the folders on disk; ValueError where these are too few, or another number than configured."""
        if self.given_sets is not None:
            return self.given_sets
        places = sorted(self.data_dir.iterdir()) if self.data_dir.is_dir() else []
        found = {place.name: str(place) for place in places if place.is_dir() and not is_hidden(place.name)}
        if not found:
            raise ValueError(
                f"a folder of images for each class is not in {self.data_dir}: put them there, or name them, "
                "'datamodule.sets={cats: <folder>, dogs: <folder>}'"
            )
        check_names(found)
        if self.given_classes not in (None, len(found)):
            raise ValueError(
                f"{self.data_dir} has {len(found)} folders, {first_few([*found])}, and {self.given_classes} classes are "
                "configured: take folders away or put them back, or train anew"
            )
        return found

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        parts = [self.limited(self.of_set(name, source, split)) for name, source in self.sets.items()]
        labels = torch.arange(len(parts)).repeat_interleave(torch.tensor([len(part) for part in parts]))
        return cast(Tensor, JoinedRows(parts)), labels  # indexed like one

    def of_set(self, name: str, source: Set, split: str) -> Tensor:
        """The images of one set, uint8 and indexed like a tensor; ValueError where they are none, or of another shape."""
        datamodule = self.datamodule_of(source)
        images = self.file_rows(name, cast(str, source), split) if datamodule is None else datamodule.split(split)[0]
        if tuple(images.shape[1:]) != self.image_shape:
            channels, height, width = images.shape[1:]
            raise ValueError(
                f"the images of {name} have {channels} channels and {height} x {width} pixels, and those of all sets are to "
                f"have {self.image_shape[0]} and {self.resolution} x {self.resolution}: give sets of one shape, or set "
                "datamodule.channels and datamodule.resolution to it"
            )
        if not len(images):
            raise ValueError(f"the {split} split of {name} has no images: put some there, or leave this set out")
        return images if images.dtype == torch.uint8 else to_uint8(images)

    def datamodule_of(self, source: Set) -> ImageDataModule | None:
        """The data module of a set; None of a folder that was not prepared."""
        shared: dict[str, Any] = {"batch_size": self.batch_size, "seed": self.seed}
        if not isinstance(source, str):
            return source(**shared)
        folder = Path(source).expanduser()
        if read_description(folder) is None:
            return None
        return OwnImages(data_dir=source, resolution=self.resolution, num_classes=0, **shared)

    def file_rows(self, name: str, folder: str, split: str) -> Tensor:
        """The images of a folder, decoded when a batch asks for them."""
        place = Path(folder).expanduser()
        if not place.is_dir():
            raise ValueError(f"the images of {name} are not in {place}: put a folder there, an archive unpacked")
        source = open_source(place, folders_are_classes=False)
        if not isinstance(source.files, Folder):
            source.close()
            raise ValueError(f"{place} holds archives: unpack them, or prepare the set, python -m datamodules.prepare")
        files: dict[str, list[Path]] = {}
        for entry in source.entries():
            files.setdefault(entry.split, []).append(place / entry.name)
        tested_on = part_to_test_on([*files], place)
        if "train" not in files:
            raise ValueError(f"{place} has the split {', '.join(files)} and no train: add one, or leave no splits")
        if tested_on is not None:
            check_apart(real_paths(files["train"]), real_paths(files[tested_on]), place)
        if tested_on is None:
            chosen = hold_out_files(files["train"], split, place)
        else:
            chosen = files["train" if split == "train" else tested_on]
        return cast(Tensor, FileRows(chosen, self.decode, self.image_shape))  # indexed like one

    def decode(self, path: Path) -> Tensor:
        """An image file brought to the size of all: uint8 [C, H, W]; ValueError names one that cannot be."""
        picture = read_picture(path.read_bytes(), str(path), channels=self.image_shape[0]).image
        try:
            pixels = np.array(PRESETS[self.preset](picture, self.resolution))
        except ValueError as error:
            raise ValueError(f"{path}: {error}: set datamodule.preset to another one, such as fit") from error
        return torch.from_numpy(pixels.reshape(self.resolution, self.resolution, -1)).permute(2, 0, 1)

    def limited(self, images: Tensor) -> Tensor:
        """At most ``per_class`` of them, the first of as many equal parts of the set; a large set stays on the disk."""
        if self.per_class is None or len(images) <= self.per_class:
            return images
        numbers = torch.arange(self.per_class) * len(images) // self.per_class
        if isinstance(images, Tensor) and math.prod(images.shape) <= MOST_IN_MEMORY:
            return images[numbers]
        return cast(Tensor, ChosenRows(images, numbers))


def check_names(sets: Mapping[str, Set]) -> None:
    """ValueError unless ``sets`` are at least two, of names that differ by more than case, each of its own images."""
    if len(sets) < 2:
        raise ValueError(
            f"several sets are at least two, a class each, got {', '.join(sets) or 'none'}: add one, or take "
            "datamodule=images for the classes of one set"
        )
    for what, marks in (("name", {name: name.strip().lower() for name in sets}), ("images", images_of(sets))):
        first: dict[Any, str] = {}
        for name, mark in marks.items():
            if (other := first.setdefault(mark, name)) != name:
                raise ValueError(f"the sets {other!r} and {name!r} have the same {what}: leave one of them out")


def images_of(sets: Mapping[str, Set]) -> dict[str, str]:
    """By the name of each of ``sets`` what tells its images from those of another."""
    marks = {}
    for name, source in sets.items():
        if isinstance(source, str):
            marks[name] = str(Path(source).expanduser().resolve())
        else:
            marks[name] = repr((source.func, source.keywords)) if isinstance(source, partial) else repr(source)
    return marks
