"""What the generator learns by: eq. 4.8 of the thesis, on all pixels of an image or on some."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from generative.randomness import Stream
from generative.schedules import linear_decay


@dataclass(frozen=True)
class Loss:
    """Both terms of eq. 4.8 of each of B images: ``pixels`` [B], the mean squared error of a pixel, and ``norm`` [B], |z|^2."""

    pixels: Tensor
    norm: Tensor

    @classmethod
    def of(cls, wanted: Tensor, drawn: Tensor, z: Tensor) -> Loss:
        """Of colours [B, P, C] in [-1, 1], what was drawn for them, and latents [B, D].

        The error of a pixel is summed over its channels, as |y - y'|^2 of eq. 4.8.
        """
        return cls((wanted - drawn).square().sum(dim=2).mean(dim=1), z.square().sum(dim=1))

    def total(self, weight: float) -> Tensor:
        """Eq. 4.8 with lambda = ``weight``, whose mean over images is learnt by: [B]."""
        return self.pixels + weight * self.norm


def as_rows(images: Tensor) -> Tensor:
    """Images [B, C, H, W] -> the colours of their pixels, row by row: [B, H W, C]."""
    return images.flatten(2).transpose(1, 2)


def as_images(rows: Tensor, height: int, width: int) -> Tensor:
    """The way back of :func:`as_rows`."""
    return rows.transpose(1, 2).unflatten(2, (height, width))


def chosen_pixels(stream: Stream, first: int, count: int, *, total: int, chosen: int) -> Tensor:
    """Distinct numbers of ``chosen`` of ``total`` pixels for each of the images ``first ..``: int64 [count, chosen]."""
    return stream.uniform(first, count, total).argsort(dim=1)[:, :chosen]


@dataclass(frozen=True)
class Rate:
    """A learning rate that runs along a line from ``start`` to ``end``, in images of the run."""

    start: float
    end: float

    def __post_init__(self) -> None:
        if not 0 <= self.end <= self.start or self.start == 0:
            raise ValueError(f"a rate falls from a number above 0 to one from 0 on, got {self.start} to {self.end}")

    def at(self, images: int, *, budget: int) -> float:
        return self.start * linear_decay(images, start=0, end=budget, floor=self.end / self.start)


def at_chosen(rows: Tensor, numbers: Tensor) -> Tensor:
    """Of rows [B, P, C] those of ``numbers`` [B, K]: [B, K, C]."""
    return torch.take_along_dim(rows, numbers[:, :, None], dim=1)
