"""The 1,797 handwritten digits of 8 x 8 pixels that scikit-learn ships (UCI, test part of Optdigits)."""

from __future__ import annotations

from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor

from datamodules.base import ImageDataModule
from datamodules.splits import check_classes_shown, rows_of_classes
from generative.rendering.masks import NO_CLASS

PAPER, INK = 2, 8  # grey levels of 0 .. 16
TEST_EVERY = 5  # every fifth image, from the fifth on, is a test image: 359 of 1,797


class Digits(ImageDataModule):
    """Real digits in memory, values 0 .. 16 mapped to [-1, 1]; 1,438 training and 359 test images.

    ``classes``: the digits that are shown, by default all; their labels stay.
    """

    image_shape = (1, 8, 8)
    num_classes = 10

    def __init__(self, *, classes: list[int] | None = None, **given: Any) -> None:
        super().__init__(**given)
        check_classes_shown(classes)
        self.classes = classes
        if classes is not None:
            self.name = "_".join([self.name, *map(str, classes)])

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        digits = load_digits()
        images = torch.from_numpy(digits.images / 8.0 - 1.0).float()[:, None]
        labels = torch.from_numpy(digits.target).long()
        is_test = torch.arange(len(images)) % TEST_EVERY == TEST_EVERY - 1
        chosen = is_test if split == "test" else ~is_test
        shown = images[chosen], labels[chosen]
        return rows_of_classes(*shown, self.classes, num_classes=self.num_classes, of=f"{split} split of the digits")


class DigitMasks(Digits):
    """The same digits with a class for each pixel: the digit on its ink, the background off it, neither in between.

    Ink is at least ``INK`` of 16, background at most ``PAPER``: small enough to segment on a processor.
    """

    target_classes = ("background", "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

    def targets(self, split: str) -> dict[str, Tensor]:
        images, labels = self.split(split)
        grey = (images[:, 0] + 1.0) * 8.0
        digits = (labels + 1).to(torch.uint8)[:, None, None].expand(-1, *self.image_shape[1:])
        masks = torch.where(grey >= INK, digits, NO_CLASS)
        return {"mask": torch.where(grey <= PAPER, 0, masks).to(torch.uint8)}
