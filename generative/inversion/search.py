"""A search for the point of a space that draws a given image."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

Point = dict[str, Tensor]  # each [B, ...]: row b belongs to image b alone


class Space(Protocol):
    """Where a generator's images can be looked for. It holds the classes and the size of one batch of images."""

    name: str

    def start(self, first: int, count: int, *, seed: int) -> Point:
        """Points of the samples number ``first .. first + count - 1`` of ``seed``."""

    def units(self) -> dict[str, Tensor | float]:
        """The length in which an optimiser steps, of each part of a point."""

    def draw(self, point: Point) -> Tensor:
        """Images [B, C, H, W]; gradients flow to the point, and rows do not touch each other."""
