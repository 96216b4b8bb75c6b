"""Thick strokes in the plane: discs swept along a curve, with an uneven rim."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

NUM_DISCS = 24
PAD = 5  # pixels around a stroke


@dataclass(frozen=True)
class Stroke:
    """Points [K, 2] (row, column) in pixels and the radius at each [K]."""

    points: np.ndarray
    radii: np.ndarray

    def place(self, shape: tuple[int, int]) -> tuple[slice, slice] | None:
        """The rows and columns of an image that it may touch; None where it reaches over the border."""
        reach = self.radii[:, None] + PAD
        low = np.floor((self.points - reach).min(axis=0)).astype(int)
        high = np.ceil((self.points + reach).max(axis=0)).astype(int) + 1
        if (low < 0).any() or high[0] > shape[0] or high[1] > shape[1]:
            return None
        return slice(low[0], high[0]), slice(low[1], high[1])

    def depth(self, place: tuple[slice, slice]) -> np.ndarray:
        """How far within the stroke each pixel centre of ``place`` lies, in pixels: float32 [H, W], negative outside."""
        rows = np.arange(place[0].start, place[0].stop, dtype=np.float32)[:, None, None]
        columns = np.arange(place[1].start, place[1].stop, dtype=np.float32)[None, :, None]
        points = self.points.astype(np.float32)
        distance = np.sqrt((rows - points[:, 0]) ** 2 + (columns - points[:, 1]) ** 2)
        return (self.radii.astype(np.float32) - distance).max(axis=2)


def bent(start: np.ndarray, end: np.ndarray, *, bend: float, width: float, random: np.random.Generator) -> Stroke:
    """A stroke on a parabola from ``start`` to ``end`` whose middle lies ``bend`` of its length aside, of uneven width.

    P(t) = (1 - t)^2 P0 + 2 t (1 - t) P1 + t^2 P2: the control point lies twice as far aside as the middle of the curve.
    """
    along = end - start
    aside = np.array([-along[1], along[0]])
    control = (start + end) / 2 + 2 * bend * aside
    t = np.linspace(0, 1, NUM_DISCS)[:, None]
    points = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
    swell = ndimage.gaussian_filter1d(random.standard_normal(NUM_DISCS), 6, mode="nearest")
    return Stroke(points, np.maximum(width / 2 * (1 + 0.5 * swell), 0.5))


def unevenness(shape: tuple[int, ...], random: np.random.Generator, *, length: float) -> np.ndarray:
    """Normal noise [H, W] of standard deviation 1 that is alike within about ``length`` pixels."""
    field = ndimage.gaussian_filter(random.standard_normal(shape).astype(np.float32), length, mode="wrap")
    return field * (2 * np.sqrt(np.pi) * length)  # a Gaussian of white noise has the variance 1 / (4 pi length^2)
