"""Base of the data sets on disk: prepared sets, and the originals of those that are small."""

from __future__ import annotations

import copy
import gzip
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from datamodules.base import ImagesOnDisk
from datamodules.prepared_set import read_description, read_split, split_to_test_on
from datamodules.presets import PRESETS
from datamodules.splits import check_classes_shown, hold_out_images, rows_of_classes

IDX_TYPES = {8: np.uint8}


class StoredImages(ImagesOnDisk):
    """A subclass states what the published set is, and reads its original files where it can.

    ``data_dir`` is a set made by ``python -m datamodules.prepare`` at ``resolution`` pixels, or the folder of the
    original files. Without a test split a tenth is held out: the last, or with classes every tenth image. ``classes``: the
    numbers of those whose images are shown, by default all. Labels stay those of the whole set, as its judges know them, so
    that a method that learns classes has some which it never sees.
    """

    title: str
    counts: dict[str, int]  # of the published set
    channels = 3
    preparation = "python -m datamodules.prepare SOURCE {data_dir} --resolution {resolution}"  # what to run
    source: str  # where SOURCE comes from

    def __init__(self, *, download: bool = False, classes: list[int] | None = None, **given: Any) -> None:
        super().__init__(**given)
        self.download = download
        self.classes = classes
        check_classes_shown(classes)
        if classes is not None:
            self.name = "_".join([self.name, *map(str, classes)])

    @property
    def image_shape(self) -> tuple[int, int, int]:  # type: ignore[override]
        return self.channels, self.resolution, self.resolution

    def at_resolution(self, resolution: int) -> StoredImages:
        """The same images at another resolution, nothing loaded."""
        other = copy.copy(self)
        other.resolution, other.arrays = resolution, {}
        return other

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        facts = read_description(self.data_dir)
        if facts is not None:
            images, labels = self.read_prepared(facts, split)
        else:
            original = self.read_original(split)
            if original is None:
                raise ValueError(self.explain())
            images, labels = original
        if images.shape[1:] != self.image_shape:
            raise ValueError(
                f"{self.data_dir} holds images of {tuple(images.shape[1:])} (channels, height, width), and this data module is "
                f"configured for {self.image_shape}"
            )
        self.check_size(split, len(images))
        self.check_labels(labels)
        self.check_count(split, len(images))
        of = f"{split} split of {self.data_dir}"
        return rows_of_classes(images, labels, self.classes, num_classes=self.num_classes, of=of)

    def read_prepared(self, facts: dict[str, Any], split: str) -> tuple[Tensor, Tensor]:
        """A split of a prepared set: ``test`` is its test split, else its validation split, else a tenth of the images."""
        self.check_classes(facts, split)
        tested_on = split_to_test_on(facts["splits"])
        if tested_on is not None:
            return read_split(self.data_dir, tested_on if split == "test" else split, self.resolution)
        images, labels = read_split(self.data_dir, "train", self.resolution)
        return hold_out_images(images, labels, split=split, has_classes=self.num_classes > 0)

    def known_fingerprint(self, split: str) -> str | None:
        facts = read_description(self.data_dir)
        if facts is None or self.classes is not None or (self.is_cut and split != "test"):
            return None
        known = facts.get("fingerprints", {}).get(str(self.resolution), {})  # sets of earlier versions have none
        tested_on = split_to_test_on(facts["splits"])
        if tested_on is not None:
            return known.get(tested_on if split == "test" else split)
        # Without classes the last tenth is held out, and all the images are those of the file in their order.
        return known.get("train") if split == "all" and self.num_classes == 0 else None

    def read_original(self, split: str) -> tuple[Tensor, Tensor] | None:
        """From the published files, where this data set is small enough to be read whole; None where they are not there."""
        return None

    def explain(self) -> str:
        command = self.preparation.format(data_dir=self.data_dir, resolution=self.resolution)
        return f"{self.title} is not in {self.data_dir}: {self.source}; then `{command}`"

    def check_size(self, split: str, count: int) -> None:
        """ValueError where a split has nothing to show."""
        if count == 0:
            raise ValueError(f"the {split} split of {self.data_dir} has no images")

    def check_classes(self, facts: dict[str, Any], split: str) -> None:
        """ValueError where a prepared set has other classes than those that are configured."""
        found = len(facts["classes"])
        if self.num_classes and found != self.num_classes:
            raise ValueError(
                f"{self.data_dir} was prepared with {found or 'no'} classes, and {self.title} is configured with "
                f"{self.num_classes}: prepare it anew from folders of its classes, or take datamodule=images, which reads their "
                "number from the set (datamodule.num_classes=null)"
            )

    def check_labels(self, labels: Tensor) -> None:
        """ValueError where the labels are not those of the classes that are configured."""
        found = int(labels.max()) + 1 if len(labels) else 0
        if self.num_classes and found > self.num_classes:
            raise ValueError(f"{self.data_dir} has at least {found} classes, and {self.title} has {self.num_classes}")

    def check_count(self, split: str, count: int) -> None:
        """A part of the published set may be used; it says so."""
        tell_count(self.data_dir, split, count, published=self.counts.get(split), title=self.title)


def tell_count(data_dir: Path, split: str, count: int, *, published: int | None, title: str) -> None:
    """A warning where the published split has another number of images; None: it has no fixed one."""
    if published is not None and count != published:
        print(f"warning: {data_dir} has {count} {split} images, the published {title} {published}", file=sys.stderr)


def resize_originals(images: np.ndarray, resolution: int, *, preset: str) -> Tensor:
    """uint8 [N, H, W] or [N, H, W, C] of an original file -> [N, C, resolution, resolution] by a preset."""
    if images.shape[1] != resolution:
        images = np.stack([np.asarray(PRESETS[preset](Image.fromarray(image), resolution)) for image in images])
    if images.ndim == 3:
        images = images[..., None]
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def read_idx(folder: Path, name: str) -> np.ndarray | None:
    """An IDX file of bytes, packed by gzip or not; None where there is none. ValueError where it is damaged."""
    for path in (folder / name, folder / f"{name}.gz"):
        if not path.exists():
            continue
        try:
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        except (OSError, EOFError) as error:
            raise ValueError(f"{path} cannot be read: {error}") from error
        num_axes = content[3] if len(content) > 4 else 0
        shape = np.frombuffer(content, ">i4", num_axes, 4) if len(content) >= 4 + 4 * num_axes else np.array([])
        data = content[4 + 4 * num_axes :]
        if not num_axes or content[2] not in IDX_TYPES or len(data) != np.prod(shape):
            raise ValueError(f"{path} is no whole IDX file of bytes")
        return np.frombuffer(data, np.uint8).reshape(shape).copy()
    return None
