"""Images of two levels, such as circuit boards after a threshold: are they, at which levels, and how a defect is set in.

The dark level is copper in DeepPCB; which phase is called copper is stated with the levels, and matters only for names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from generative.rendering.defects.topology import COPPER_NEIGHBOURS

LEAST_SHARE = 0.97  # of pixels near one of the two levels, for an image to be of two levels
NEAR = 0.2  # of the distance between the levels
LEAST_CONTRAST = 100  # grey levels between them: what was thresholded uses most of the range
NUM_LEVELS = 17  # quantiles that are kept of each phase
RIM = 2.0  # pixels: where levels waver, since images were compressed
SMOOTHING = 0.8  # pixels of the Gaussian that rounds the corners where a defect meets a rim
TOLERANCE = 3  # pixels that a pair of images may be apart


@dataclass(frozen=True)
class Levels:
    """``threshold`` parts dark from bright. Quantiles, from 0 to 1, of the grey levels near rims and in flat parts."""

    threshold: float
    dark: tuple[float, ...]
    bright: tuple[float, ...]
    flat_dark: tuple[float, ...]
    flat_bright: tuple[float, ...]

    def copper(self, image: np.ndarray) -> np.ndarray:
        """Where a grey image [H, W] is dark: bool."""
        return image < self.threshold

    def drawn(self, where: np.ndarray, uniform: np.ndarray, *, dark: bool) -> np.ndarray:
        """Grey levels uint8 for the pixels ``where`` [H, W], by uniform numbers [H, W]: near rims, and away from them."""
        rim, flat = (self.dark, self.flat_dark) if dark else (self.bright, self.flat_bright)
        shares = np.linspace(0, 1, NUM_LEVELS)
        deep = ndimage.distance_transform_edt(where) > RIM
        values = np.where(deep, np.interp(uniform, shares, flat), np.interp(uniform, shares, rim))
        return np.rint(values).clip(0, 255).astype(np.uint8)

    def kept(self, picture: np.ndarray, ground: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """``picture`` [H, W] or [H, W, C] of two levels as ``ground`` is, which it was made of; ``uniform`` as of :meth:`drawn`.

        Pixels that went from one phase to the other are drawn in it; all others are those of ``ground``.
        """
        now, before = (self.copper(image if image.ndim == 2 else image.mean(axis=2)) for image in (picture, ground))
        found = ground.copy()
        for dark in (True, False):
            where = (now == dark) & (before != dark)
            values = self.drawn(where, uniform, dark=dark)[where]
            found[where] = values if picture.ndim == 2 else values[:, None]
        return found


def levels_of(images: Sequence[np.ndarray]) -> Levels | None:
    """The levels of grey images uint8 [H, W] of two levels, or None where they are of more."""
    sample = np.concatenate([image[::2, ::2].ravel() for image in images]).astype(np.float64)
    middle = (np.percentile(sample, 1) + np.percentile(sample, 99)) / 2
    dark, bright = sample[sample < middle], sample[sample >= middle]
    if not len(dark) or not len(bright):
        return None
    low, high = np.median(dark), np.median(bright)
    near = np.minimum(np.abs(sample - low), np.abs(sample - high)) < NEAR * (high - low)
    if high - low < LEAST_CONTRAST or near.mean() < LEAST_SHARE:
        return None
    threshold = float((low + high) / 2)
    at_rims = [of_rims(image, threshold) for image in images]
    shares = np.linspace(0, 1, NUM_LEVELS)
    of_phases = [np.concatenate(parts) for parts in zip(*at_rims, strict=True)]
    for phase, all_of_it in zip((0, 1, 2, 3), (dark, bright, dark, bright), strict=True):
        if not len(of_phases[phase]):
            of_phases[phase] = all_of_it
    quantiles = [np.quantile(values, shares) for values in of_phases]
    return Levels(threshold, *(tuple(round(float(value), 1) for value in values) for values in quantiles))


def of_rims(image: np.ndarray, threshold: float) -> tuple[np.ndarray, ...]:
    """The dark and the bright grey levels within ``RIM`` pixels of a rim, and those of the rest."""
    dark = image < threshold
    wide = ndimage.generate_binary_structure(2, 2)
    steps = int(RIM)
    near_bright = dark & ndimage.binary_dilation(~dark, wide, iterations=steps)
    near_dark = ~dark & ndimage.binary_dilation(dark, wide, iterations=steps)
    return image[near_bright], image[near_dark], image[dark & ~near_bright], image[~dark & ~near_dark]


def smoothed(copper: np.ndarray, mask: np.ndarray, *, adds_copper: bool) -> np.ndarray:
    """``mask`` with its corners at the rims of ``copper`` rounded as a board's are, bool [H, W]; it only ever changes one phase.

    Where the blurred board with the defect is above one half, within a pixel or two of the defect.
    """
    phase = copper if adds_copper else ~copper
    after = ndimage.gaussian_filter((phase | mask).astype(np.float32), SMOOTHING) > 0.5
    near = ndimage.binary_dilation(mask, iterations=2)
    return after & near & ~phase


def shift_between(copper: np.ndarray, template: np.ndarray, *, ignored: np.ndarray | None = None) -> tuple[int, int]:
    """By how many rows and columns ``template`` has to be moved to lie on ``copper`` (bool [H, W]), up to ``TOLERANCE``.

    ``ignored`` marks pixels that do not count, such as those of the defect.
    """
    reach = TOLERANCE
    core = (slice(reach, copper.shape[0] - reach), slice(reach, copper.shape[1] - reach))
    counted = np.ones_like(copper[core]) if ignored is None else ~ignored[core]
    best, fewest = (0, 0), None
    shifts = sorted(
        ((down, right) for down in range(-reach, reach + 1) for right in range(-reach, reach + 1)),
        key=lambda shift: (abs(shift[0]) + abs(shift[1]), shift),
    )
    for down, right in shifts:
        moved = np.roll(template, (down, right), axis=(0, 1))[core]
        wrong = int(((moved ^ copper[core]) & counted).sum())
        if fewest is None or wrong < fewest:
            best, fewest = (down, right), wrong
    return best


def difference(copper: np.ndarray, template: np.ndarray, box: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """What differs inside ``box`` (left, top, right, bottom) of a board from its template: bool [H, W], and the template, moved.

    Rims may be a pixel off: what is thinner than 3 pixels and not beside something thicker is none. The largest such piece
    and those within 3 pixels of it are the defect. An empty mask: nothing differs.
    """
    left, top, right, bottom = (round(edge) for edge in box)
    inside = np.zeros_like(copper)
    inside[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
    template = np.roll(template, shift_between(copper, template, ignored=inside), axis=(0, 1))
    found = (copper ^ template) & inside
    core = ndimage.binary_opening(found, np.ones((3, 3), dtype=bool))
    if not core.any():
        core = ndimage.binary_opening(found, np.ones((2, 2), dtype=bool))
    mask = found & ndimage.binary_dilation(core, iterations=2)
    groups, count = ndimage.label(ndimage.binary_dilation(mask, iterations=2), COPPER_NEIGHBOURS)
    if count > 1:
        mask &= groups == 1 + int(np.argmax(np.bincount(groups[mask], minlength=count + 1)[1:]))
    return mask, template
