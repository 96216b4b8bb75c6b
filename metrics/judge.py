"""Who says whether an image shows the class that was asked for: classifiers that no generator was trained against."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch
from sklearn.svm import SVC
from torch import Tensor

from metrics.features import Extractor

MOST_IMAGES, MOST_PIXELS = 20_000, 1024  # that a support vector machine is fitted on in minutes


class Judge(Protocol):
    """``name`` enters the protocol of a result and ``label`` the names of its numbers.

    ``extractor`` is the network that it decides by, if any.
    """

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def num_classes(self) -> int: ...

    @property
    def extractor(self) -> Extractor | None: ...

    def predict(self, images: Tensor) -> Tensor:
        """Classes [B], int64 on the CPU, of uint8 images [B, C, H, W]."""

    def student(self, images: Tensor, labels: Tensor) -> Judge:
        """A judge of the same kind that learns from these uint8 images [N, C, H, W] and labels [N] instead."""


def as_rows(images: Tensor) -> np.ndarray:
    return images.flatten(1).double().cpu().numpy()


class PixelJudge:
    """A support vector machine with radial kernel on the raw pixels of small images.

    Pixels are not standardised: one that is black in all but a few images has almost no deviation, and a shade of
    grey in it, which nobody sees, would outweigh all the others.
    """

    extractor: Extractor | None = None
    label = "pixels"

    def __init__(self, images: Tensor, labels: Tensor, *, data: str) -> None:
        self.name = f"support vector machine, radial kernel, raw pixels of {data}"
        num_values = math.prod(images.shape[1:])
        if not can_judge(num_values, len(images)):
            raise ValueError(
                f"accuracy and tstr_accuracy: {len(images)} images of {num_values} values are too many for the judge of "
                f"raw pixels (at most {MOST_IMAGES} of {MOST_PIXELS}): train one and give judge=classifier:<checkpoint>"
            )
        if len(labels.unique()) < 2:
            raise ValueError("a judge needs images of at least two classes")
        self.num_classes = int(labels.max()) + 1
        self.machine = SVC(C=10.0, gamma="scale").fit(as_rows(images), labels.cpu().numpy())

    def predict(self, images: Tensor) -> Tensor:
        return torch.from_numpy(self.machine.predict(as_rows(images))).long()

    def student(self, images: Tensor, labels: Tensor) -> PixelJudge:
        return PixelJudge(images, labels, data="the samples")


def can_judge(num_pixels: int, num_images: int = 0) -> bool:
    """Whether a judge of raw pixels can be fitted on so many images of so many values in reasonable time."""
    return num_pixels <= MOST_PIXELS and num_images <= MOST_IMAGES
