"""What is known of an image that is looked for: all of it, some pixels, its brightness, a small version.

A measurement A takes an image x to what is known of it, A(x). A search compares A of what it draws with A(x) and reads
nothing else of x. Whatever it found, :meth:`Measurement.put_back` brings into agreement with what is known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA_OF_RGB = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow


class Measurement(ABC):
    """A(x) of images [B, C, H, W]; linear, and a projection in the sense that A of ``put_back(x, y)`` is y."""

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """A of each image, differentiable."""

    @abstractmethod
    def put_back(self, images: Tensor, measured: Tensor) -> Tensor:
        """``images`` changed so that they measure ``measured``."""

    def of(self, numbers: Tensor) -> Measurement:
        """The same of the images number ``numbers`` of the set alone."""
        return self


@dataclass(frozen=True)
class Whole(Measurement):
    """Everything is known."""

    def __call__(self, images: Tensor) -> Tensor:
        return images

    def put_back(self, images: Tensor, measured: Tensor) -> Tensor:
        return measured


@dataclass(frozen=True)
class Masked(Measurement):
    """The pixels are known where ``known`` [N, 1, H, W] is true, a mask for each image; elsewhere A(x) is 0, middle grey."""

    known: Tensor

    def __post_init__(self) -> None:
        if self.known.dtype != torch.bool or self.known.ndim != 4 or self.known.shape[1] != 1:
            raise ValueError(
                f"known pixels are a mask [N, 1, H, W] of true and false, got {self.known.dtype} {tuple(self.known.shape)}"
            )
        empty = (~self.known.flatten(1).any(dim=1)).nonzero().flatten().tolist()
        if empty:
            raise ValueError(f"nothing is known of image number {empty[0]}: leave a pixel of it")

    def __call__(self, images: Tensor) -> Tensor:
        # Not by a product: 0 times a hidden value that is not finite would not be 0.
        return torch.where(self.known, images, 0.0)

    def put_back(self, images: Tensor, measured: Tensor) -> Tensor:
        return torch.where(self.known, measured, images)

    def of(self, numbers: Tensor) -> Masked:
        return Masked(self.known[numbers.to(self.known.device)])


@dataclass(frozen=True)
class Grey(Measurement):
    """The luma of images in colour is known, [B, 1, H, W]; put back, the differences of the colours from it stay."""

    def __call__(self, images: Tensor) -> Tensor:
        if images.shape[1] != len(LUMA_OF_RGB):
            raise ValueError(f"luma is that of images with 3 colours, got {images.shape[1]} channels")
        weights = torch.tensor(LUMA_OF_RGB, dtype=images.dtype, device=images.device).view(1, -1, 1, 1)
        return (images * weights).sum(dim=1, keepdim=True)

    def put_back(self, images: Tensor, measured: Tensor) -> Tensor:
        return images + (measured - self(images))


@dataclass(frozen=True)
class Reduced(Measurement):
    """The image is known at 1 / ``factor`` of its size, by bilinear interpolation without a filter before it."""

    factor: int

    def __post_init__(self) -> None:
        if self.factor < 2:
            raise ValueError(f"the factor of a reduction is at least 2, got {self.factor}")

    def __call__(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        if height % self.factor or width % self.factor:
            raise ValueError(
                f"images of {height} x {width} pixels cannot be reduced by {self.factor}: choose a divisor"
            )
        return F.interpolate(images, size=(height // self.factor, width // self.factor), mode="bilinear")

    def put_back(self, images: Tensor, measured: Tensor) -> Tensor:
        """What is missing is added evenly to the square of pixels that each small one stands for."""
        return images + F.interpolate(measured - self(images), scale_factor=self.factor, mode="nearest")
