"""Base of the sets with a class for each pixel: published files, decoded when a batch asks for them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from datamodules.base import ImageDataModule
from datamodules.batches import NO_CLASS, Rows
from datamodules.files import NUM_THREADS, FileRows, decoded, size_of
from datamodules.stored import tell_count
from generative.augmentation import SCALE_DRAWS, scale_flip_and_crop
from generative.randomness import Stream

MASK_MODES = ("P", "L")  # one number a pixel: of the palette, or grey


@dataclass(frozen=True)
class ScaledCrops:
    """Images and masks at a random scale, cut to ``crop_size`` pixels and mirrored; uses up the row "size"."""

    seed: int
    scales: list[float]
    crop_size: int
    flip: bool

    def __call__(self, rows: dict[str, Tensor], first_number: int) -> dict[str, Tensor]:
        images, masks = scale_flip_and_crop(
            rows["image"],
            rows["mask"],
            Stream(self.seed, "augment").uniform(first_number, len(rows["image"]), SCALE_DRAWS),
            sizes=rows["size"],
            scales=self.scales,
            side=self.crop_size,
            flip=self.flip,
            no_class=NO_CLASS,
        )
        return {"image": images, "label": rows["label"], "mask": masks}


class SegmentationDataModule(ImageDataModule):
    """A subclass states what the published set is, where its files lie, and how large each is shown.

    Training shows crops of ``crop_size`` pixels at scales between the two of ``scales``; testing shows whole images,
    all of one ``canvas``. Nothing has a label, which is 0.
    """

    title: str
    source: str  # what to do where the set is not there
    counts: Mapping[str, int]  # of the published set
    values: Mapping[int, int]  # value of a mask's file -> class or NO_CLASS
    num_classes = 0

    def __init__(
        self,
        *,
        data_dir: str,
        canvas: tuple[int, int],
        crop_size: int,
        scales: list[float],
        flip: bool,
        batch_size: int,
        seed: int,
        num_workers: int,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, num_workers=num_workers)
        if min(canvas) < 1:
            raise ValueError(f"resolution must be at least 1 pixel, got {min(canvas)}")
        if crop_size < 1:
            raise ValueError(f"crop_size must be at least 1 pixel, got {crop_size}")
        if len(scales) != 2 or not 0 < scales[0] <= scales[1]:
            raise ValueError(f"scales must be the smallest and the largest, such as [0.5, 2.0], got {scales}")
        self.data_dir, self.canvas = Path(data_dir).expanduser(), canvas
        self.image_shape = (3, crop_size, crop_size)
        self.augmentation = ScaledCrops(seed, scales, crop_size, flip)
        self.masks: dict[str, FileRows] = {}
        self.sizes: dict[str, Tensor] = {}

    @property
    def test_size(self) -> tuple[int, int]:
        return self.canvas

    @abstractmethod
    def pairs(self, split: str) -> list[tuple[Path, Path]]:
        """The files of each image and of its mask; ValueError, by :meth:`explain`, where the set is not there."""

    @abstractmethod
    def shown_size(self, path: Path, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width at which a file of ``size`` (the same) is shown within ``canvas``."""

    def explain(self) -> str:
        return f"{self.title} is not in {self.data_dir}: {self.source}"

    def load(self, split: str) -> tuple[FileRows, Tensor]:
        pairs = self.pairs(split)
        if not pairs:
            raise ValueError(f"the {split} split of {self.data_dir} has no images: {self.source}")
        with ThreadPoolExecutor(NUM_THREADS) as threads:
            self.sizes[split] = torch.tensor(list(threads.map(self.size_of_pair, pairs)))
        images, masks = zip(*pairs, strict=True)
        self.masks[split] = FileRows(masks, self.decode_mask, self.canvas)
        tell_count(self.data_dir, split, len(pairs), published=self.counts[split], title=self.title)
        return FileRows(images, self.decode_image, (3, *self.canvas)), torch.zeros(len(pairs), dtype=torch.int64)

    def targets(self, split: str) -> Mapping[str, Rows]:
        self.split(split)
        return {"mask": self.masks[split]}

    def rows(self, split: str) -> Mapping[str, Rows]:
        rows = super().rows(split)
        return {**rows, "size": self.sizes[split]} if split == "train" else rows

    def size_of_pair(self, pair: tuple[Path, Path]) -> tuple[int, int]:
        """By the headers of the files, so that what is missing or does not fit ends a run before it starts."""
        (height, width), mask_size = (size_of(path) for path in pair)
        if mask_size != (height, width):
            raise ValueError(
                f"{pair[1]} is {mask_size[0]} x {mask_size[1]} pixels and its image {height} x {width}: fetch both again"
            )
        return self.shown_size(pair[0], (height, width))

    def decode_image(self, path: Path) -> Tensor:
        """uint8 [3, *canvas], black where the image ends."""
        picture = decoded(path).convert("RGB")
        return torch.from_numpy(self.placed(path, picture, Image.Resampling.BILINEAR, fill=0)).permute(2, 0, 1)

    def decode_mask(self, path: Path) -> Tensor:
        """uint8 [*canvas]: classes, or NO_CLASS, also where the image ends."""
        picture = decoded(path)
        if picture.mode not in MASK_MODES:
            raise ValueError(f"{path} is a picture of colours ({picture.mode}), not of class numbers: fetch it again")
        unknown = [value for value, count in enumerate(picture.histogram()) if count and value not in self.values]
        if unknown:
            raise ValueError(f"{path} holds the value {unknown[0]}, which is no class of {self.title}: fetch it again")
        classes = picture.point([self.values.get(value, NO_CLASS) for value in range(256)])
        return torch.from_numpy(self.placed(path, classes, Image.Resampling.NEAREST, fill=NO_CLASS))

    def placed(self, path: Path, picture: Image.Image, resample: Image.Resampling, *, fill: int) -> np.ndarray:
        """At its shown size, top left on a canvas of ``fill``."""
        height, width = self.shown_size(path, (picture.height, picture.width))
        pixels = np.asarray(picture.resize((width, height), resample))
        canvas = np.full((*self.canvas, *pixels.shape[2:]), fill, dtype=np.uint8)
        canvas[:height, :width] = pixels
        return canvas
