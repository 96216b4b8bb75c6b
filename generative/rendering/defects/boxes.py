"""The convention of a set's boxes: how far outside the defect's pixels the people who drew them put the edges.

DeepPCB's lie about 10 pixels outside, so that a tight box would count as a miss. Edges are left, top, right and bottom in
pixels, from the left or upper side of the first pixel to the right or lower side of the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from generative.rendering.defects.topology import window

Box = tuple[float, float, float, float]
SPREAD = (5.0, 95.0)  # percent


@dataclass(frozen=True)
class Convention:
    """``margins``: the medians of the four distances of box from mask; ``low``, ``high``: what 5 and 95 % lie below."""

    margins: Box
    low: Box
    high: Box

    def box(self, mask: np.ndarray, *, offset: tuple[int, int] = (0, 0), shape: tuple[int, ...]) -> Box:
        """The box of a ``mask`` [h, w] whose first pixel is at ``offset`` (row, column) of an image of ``shape`` [H, W, ...]."""
        left, top, right, bottom = tight(mask, offset=offset)
        out = self.margins
        return (
            max(0.0, left - out[0]),
            max(0.0, top - out[1]),
            min(float(shape[1]), right + out[2]),
            min(float(shape[0]), bottom + out[3]),
        )


def tight(mask: np.ndarray, *, offset: tuple[int, int] = (0, 0)) -> Box:
    """The smallest box around a ``mask`` [h, w]; ValueError for an empty one."""
    rows, columns = window(mask, margin=0)
    top, left = offset
    return float(columns.start + left), float(rows.start + top), float(columns.stop + left), float(rows.stop + top)


def learn(given: Sequence[Box], found: Sequence[Box]) -> Convention:
    """The convention of ``given`` boxes around masks whose tight boxes are ``found``; ValueError where there are none."""
    if not given:
        raise ValueError("a convention of boxes is learned from at least one box with a mask, and there is none")
    out = np.array([[f[0] - g[0], f[1] - g[1], g[2] - f[2], g[3] - f[3]] for g, f in zip(given, found, strict=True)])
    low, high = np.percentile(out, SPREAD, axis=0)
    return Convention(edges(np.median(out, axis=0)), edges(low), edges(high))


def edges(values: np.ndarray) -> Box:
    left, top, right, bottom = (round(float(value), 2) for value in values)
    return left, top, right, bottom


def overlap(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, from 0 to 1."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return both / (sum(areas) - both)
