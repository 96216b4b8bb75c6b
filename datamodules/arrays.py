"""Images that are arrays already: in memory, or in NumPy's files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datamodules.base import ImageDataModule
from datamodules.notices import first_few
from datamodules.splits import hold_out_images
from generative.rendering.files import read_array


class Arrays(ImageDataModule):
    """Of tensors: ``train`` and ``test`` are images [N, C, H, W], uint8 or float32 in [-1, 1], and labels [N] int64.

    Without ``test`` a tenth of the images is held out. ``num_classes`` 0: the labels are not used.
    """

    def __init__(
        self,
        *,
        train: tuple[Tensor, Tensor],
        test: tuple[Tensor, Tensor] | None = None,
        num_classes: int,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        _, channels, height, width = train[0].shape
        self.image_shape, self.num_classes = (channels, height, width), num_classes
        self.given = {"train": train, "test": test}

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        found = self.given[split] or self.given["train"]
        assert found is not None
        images, labels = found
        if self.given["test"] is None:
            images, labels = hold_out_images(images, labels, split=split, has_classes=self.num_classes > 0)
        check_arrays(images, labels, self.image_shape, self.num_classes, name=f"the {split} images")
        return images, labels


class ArrayFiles(ImageDataModule):
    """``train`` and ``test`` are ``.npz`` or ``.npy`` files of uint8 images [N, H, W] or [N, H, W, C].

    An ``.npz`` holds them as ``images`` and ``labels``, or ``arr_0`` and ``arr_1``. Without ``test`` a tenth is held out.
    """

    def __init__(
        self,
        *,
        train: str,
        test: str | None,
        image_shape: list[int],
        num_classes: int,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        if len(image_shape) != 3:
            raise ValueError(f"image_shape must be channels, height and width, got {image_shape}")
        channels, height, width = image_shape
        self.image_shape, self.num_classes = (channels, height, width), num_classes
        self.files = {"train": Path(train).expanduser(), "test": Path(test).expanduser() if test else None}

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        file = self.files[split] or self.files["train"]
        assert file is not None
        if not file.exists():
            raise ValueError(
                f"the {split} array is not in {file.parent}: put {file.name} there, with arrays images and labels"
            )
        images, labels = read_array(file)
        if labels is None:
            if self.num_classes:
                raise ValueError(
                    f"{file} holds no labels, and {self.num_classes} classes are configured: set num_classes=0"
                )
            labels = torch.zeros(len(images), dtype=torch.int64)
        check_arrays(images, labels, self.image_shape, self.num_classes, name=str(file))
        if split == "train":
            tell_classes(labels, self.num_classes, name=str(file))
        if self.files["test"] is None:
            return hold_out_images(images, labels, split=split, has_classes=self.num_classes > 0)
        return images, labels


def check_arrays(
    images: Tensor, labels: Tensor, image_shape: tuple[int, int, int], num_classes: int, *, name: str
) -> None:
    """ValueError where images or labels are not what is configured."""
    if len(images) == 0 or images.shape[1:] != image_shape:
        raise ValueError(f"{name} are {tuple(images.shape)}, and [N, {', '.join(map(str, image_shape))}] is configured")
    if len(labels) != len(images):
        raise ValueError(f"{name} are {len(images)} and have {len(labels)} labels: give one for each")
    if images.dtype != torch.uint8 and not (images.dtype == torch.float32 and images.min() >= -1 and images.max() <= 1):
        raise ValueError(
            f"{name} must be uint8 or float32 in [-1, 1], got {images.dtype} up to {float(images.max()):g}"
        )
    if num_classes and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(
            f"{name} have labels from {int(labels.min())} to {int(labels.max())}, and {num_classes} classes are configured"
        )


def tell_classes(labels: Tensor, num_classes: int, *, name: str) -> None:
    """A note where there are labels that are not used, or classes that training would never show."""
    found = labels.unique().tolist()
    missing = sorted(set(range(num_classes)) - set(found))
    if num_classes == 0 and len(found) > 1:
        print(f"note: {name} has {len(found)} classes, and this run does without them: num_classes=0", file=sys.stderr)
    if missing:
        print(
            f"note: {len(missing)} of {num_classes} classes have no image in {name}: {first_few(missing)}",
            file=sys.stderr,
        )
