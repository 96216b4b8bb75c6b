"""Base of the sets with a class for each pixel: published files, decoded when a batch asks for them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from datamodules.base import ImagesOnDisk
from datamodules.batches import Rows
from datamodules.file_rows import FileRows, decode_colour, decode_upright
from datamodules.notices import warn_once
from datamodules.orientation import DrawnOn, StoredPicture, read_stored_picture
from datamodules.stored_images import tell_count
from generative.augmentation import SCALE_DRAWS, scale_flip_and_crop
from generative.randomness import Stream
from generative.rendering.masks import NO_CLASS
from generative.rendering.pictures import NUM_THREADS, TURNS

MASK_MODES = ("P", "L")  # one number a pixel: of the palette, or grey
NUM_LOOKED_AT = 16  # masks of a split, spread over it, that are read before anything trains
EXPLAINED = {
    DrawnOn.STORED: "photos are turned by their EXIF orientation, and their masks, which are as the file is stored, with them",
    DrawnOn.EITHER: "photos are turned by their EXIF orientation, and no size says whether their masks are: taken as drawn "
    "on the upright photo",
}


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


class SegmentationDataModule(ImagesOnDisk):
    """A subclass states what the published set is, where its files lie, and how large each is shown.

    Training shows crops of ``crop_size`` pixels at scales between the two of ``scales``; testing shows whole images,
    all of one ``canvas``. Nothing has a label, which is 0.
    """

    title: str
    source: str  # what to do where the set is not there
    remedy = "fetch it again"  # what to do about a file
    counts: Mapping[str, int] = {}  # of the published set
    values: Mapping[int, int]  # value of a mask's file -> class or NO_CLASS
    num_classes = 0

    def __init__(
        self,
        *,
        data_dir: str,
        resolution: int,
        crop_size: int,
        scales: list[float],
        flip: bool,
        batch_size: int,
        seed: int,
        num_workers: int = 0,
    ) -> None:
        super().__init__(
            data_dir=data_dir, resolution=resolution, batch_size=batch_size, seed=seed, num_workers=num_workers
        )
        if crop_size < 1:
            raise ValueError(f"crop_size must be at least 1 pixel, got {crop_size}")
        if len(scales) != 2 or not 0 < scales[0] <= scales[1]:
            raise ValueError(f"scales must be the smallest and the largest, such as [0.5, 2.0], got {scales}")
        self.image_shape = (3, crop_size, crop_size)
        self.augmentation = ScaledCrops(seed, scales, crop_size, flip)
        self.masks: dict[str, FileRows] = {}
        self.sizes: dict[str, Tensor] = {}
        self.turns: dict[Path, Image.Transpose] = {}  # of masks that were drawn on photos as they are stored

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width that every image is shown within where it is shown whole."""
        return self.resolution, self.resolution

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
            found = list(threads.map(self.size_of_pair, pairs))
        self.sizes[split] = torch.tensor([size for size, _ in found])
        self.tell_turned([drawn_on for _, drawn_on in found])
        images, masks = zip(*pairs, strict=True)
        self.masks[split] = FileRows(masks, self.decode_mask, self.canvas)
        self.look_at(masks)
        tell_count(self.data_dir, split, len(pairs), published=self.counts.get(split), title=self.title)
        return FileRows(images, self.decode_image, (3, *self.canvas)), torch.zeros(len(pairs), dtype=torch.int64)

    def targets(self, split: str) -> Mapping[str, Rows]:
        self.split(split)
        return {"mask": self.masks[split]}

    def rows(self, split: str) -> Mapping[str, Rows]:
        rows = super().rows(split)
        return {**rows, "size": self.sizes[split]} if split == "train" else rows

    def size_of_pair(self, pair: tuple[Path, Path]) -> tuple[tuple[int, int], DrawnOn]:
        """The size that both are shown at, and which form of a photo that EXIF turns the mask was drawn on.

        By the headers of the files, so that what is missing or does not fit ends a run before it starts.
        """
        image, mask = (read_stored_picture(path) for path in pair)
        form = (
            image if mask.orientation == 1 else StoredPicture(*image.upright, orientation=1)
        )  # a mask that says it itself
        drawn_on = form.drawn_on(mask.upright)
        if drawn_on is DrawnOn.NEITHER:
            raise ValueError(
                f"{pair[1]} is {mask.upright[0]} x {mask.upright[1]} pixels and its image {image.upright[0]} x {image.upright[1]}: "
                "both must have one size"
            )
        if drawn_on is DrawnOn.STORED:
            self.turns[pair[1]] = TURNS[image.orientation]
        return self.shown_size(pair[0], image.upright), drawn_on

    def tell_turned(self, drawn_on: Sequence[DrawnOn]) -> None:
        for form, what in EXPLAINED.items():
            if form in drawn_on:
                warn_once(f"{self.data_dir}: {drawn_on.count(form)} {what}")

    def look_at(self, masks: Sequence[Path]) -> None:
        """Some masks of a split, so that what is wrong with all of them ends a run before it starts."""
        count = min(NUM_LOOKED_AT, len(masks))
        chosen = [masks[i * len(masks) // count] for i in range(count)]
        with ThreadPoolExecutor(NUM_THREADS) as threads:
            found = list(threads.map(lambda path: np.unique(self.numbers(path, decode_upright(path))).tolist(), chosen))
        seen: dict[int, Path] = {}
        for path, values in zip(chosen, found, strict=True):
            seen |= {value: path for value in values if value not in seen}
        self.check_values(seen)

    def check_values(self, seen: Mapping[int, Path]) -> None:
        """ValueError where the values of several masks, each with the first file that holds it, are not those of the set."""
        self.check_known(seen)

    def check_known(self, seen: Mapping[int, Path]) -> None:
        unknown = sorted(seen.keys() - self.values.keys())
        if unknown:
            raise ValueError(
                f"{seen[unknown[0]]} holds the value {unknown[0]}, which is no class of {self.title}: {self.remedy}"
            )

    def numbers(self, path: Path, picture: Image.Image) -> np.ndarray:
        """What a mask's file says of each pixel, before it is taken for a class: [H, W]."""
        if picture.mode not in MASK_MODES:
            raise ValueError(f"{path} is a picture of colours ({picture.mode}), not of class numbers: {self.remedy}")
        return np.asarray(picture)

    def decode_image(self, path: Path) -> Tensor:
        """uint8 [3, *canvas], black where the image ends."""
        return torch.from_numpy(self.placed(path, decode_colour(path), Image.Resampling.BILINEAR, fill=0)).permute(
            2, 0, 1
        )

    def decode_mask(self, path: Path) -> Tensor:
        """uint8 [*canvas]: classes, or NO_CLASS, also where the image ends."""
        numbers = self.numbers(path, decode_upright(path))
        classes, unknown = look_up_classes(numbers, self.values)
        self.check_known(dict.fromkeys(unknown, path))
        mask = Image.fromarray(classes)
        if path in self.turns:
            mask = mask.transpose(self.turns[path])
        return torch.from_numpy(self.placed(path, mask, Image.Resampling.NEAREST, fill=NO_CLASS))

    def placed(self, path: Path, picture: Image.Image, resample: Image.Resampling, *, fill: int) -> np.ndarray:
        """At its shown size, top left on a canvas of ``fill``."""
        height, width = self.shown_size(path, (picture.height, picture.width))
        pixels = np.asarray(picture.resize((width, height), resample))
        canvas = np.full((*self.canvas, *pixels.shape[2:]), fill, dtype=np.uint8)
        canvas[:height, :width] = pixels
        return canvas


def look_up_classes(numbers: np.ndarray, values: Mapping[int, int]) -> tuple[np.ndarray, list[int]]:
    """The classes, uint8, of numbers that are at least 0, and the numbers that ``values`` does not have."""
    if numbers.dtype == np.uint8:
        table = np.array([values.get(value, NO_CLASS) for value in range(256)], np.uint8)
        there = np.bincount(numbers.ravel(), minlength=256).nonzero()[0]
        return table[numbers], [value for value in there.tolist() if value not in values]
    known = np.array(sorted(values), np.int64)
    places = np.searchsorted(known, numbers).clip(max=len(known) - 1)
    classes = np.array([values[value] for value in known.tolist()], np.uint8)[places]
    return classes, np.unique(numbers[known[places] != numbers]).tolist()
