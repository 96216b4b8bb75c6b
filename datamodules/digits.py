"""The 1,797 handwritten digits of 8 x 8 pixels that scikit-learn ships (UCI, test part of Optdigits)."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import Tensor

from datamodules.base import ImageDataModule

TEST_EVERY = 5  # every fifth image, from the fifth on, is a test image: 359 of 1,797


class Digits(ImageDataModule):
    """Real digits in memory, values 0 .. 16 mapped to [-1, 1]; 1,438 training and 359 test images."""

    image_shape = (1, 8, 8)
    num_classes = 10

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        digits = load_digits()
        images = torch.from_numpy(digits.images / 8.0 - 1.0).float()[:, None]
        labels = torch.from_numpy(digits.target).long()
        is_test = torch.arange(len(images)) % TEST_EVERY == TEST_EVERY - 1
        chosen = is_test if split == "test" else ~is_test
        return images[chosen], labels[chosen]
