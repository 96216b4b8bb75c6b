"""How wide a fibre is, by a grid search: the width whose rendering is most like the real picture, by several measures.

The chapter takes the distance of geometric moments. Here those of grey levels and those of the binarised pictures stand beside
area, squared differences, and squared differences after the best gain and offset.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from generative.rendering.defects.backends import Light, Tube
from generative.rendering.defects.curves import Curve, distance_to, is_simple
from generative.rendering.defects.draws import generator
from generative.rendering.defects.libraries import needed
from generative.rendering.defects.materials import PRESETS
from generative.rendering.defects.swept_spheres import render

GRID = np.arange(1.0, 14.01, 0.1)  # pixels
SIDE = 144
GROUND = 0.75  # level of the ground that fibres lie on
NOISE = 0.02
ORDERS = ((2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3))
LENGTHS = (40.0, 140.0)
WIDTHS = (2.5, 9.0)


def known_curve(number: int, *, seed: int = 0) -> Curve:
    """Curve ``number`` of those that fits are tested on: simple, of one width of 2.5 to 9 pixels, on a picture of ``SIDE``."""
    for attempt in range(1000):
        random = generator(seed, "known curves", number, attempt)
        count = int(random.integers(4, 9))
        turns = np.cumsum(random.normal(0, 0.5, count)) + random.uniform(0, 2 * np.pi)
        steps = np.stack([np.cos(turns), np.sin(turns)], axis=1) * random.uniform(10, 26)
        points = np.cumsum(steps, axis=0)
        width = float(random.uniform(*WIDTHS))
        points += (SIDE - 1 - points.max(axis=0) - points.min(axis=0)) / 2 + random.uniform(-0.5, 0.5, 2)
        curve = Curve(points, np.full(count, width))
        inside = points.min() > width + 8 and points.max() < SIDE - width - 8
        if inside and LENGTHS[0] <= curve.length <= LENGTHS[1] and curve.length > 5 * width and is_simple(curve):
            return curve
    raise AssertionError("no simple curve in a thousand")


def looping_curve(number: int) -> Curve:
    """A curve that crosses itself."""
    random = generator(0, "looping curves", number)
    angle = np.linspace(0.0, 2.6 * np.pi, 12)
    radius = np.linspace(34, 22 + random.uniform(0, 4), 12)
    points = np.stack([72 + radius * np.cos(angle), 72 + radius * np.sin(angle)], axis=1)
    points[-1] = 2 * points[0] - np.array([72.0, 72.0]) + random.uniform(-2, 2, 2)  # out again, over its start
    return Curve(points, np.full(12, random.uniform(3, 7)))


@dataclass(frozen=True)
class Disturbance:
    """What a real picture differs by from what the fit supposes: moved by ``shift`` pixels, turned, of another brightness."""

    shift: float = 0.0
    degrees: float = 0.0
    gain: float = 1.0


DISTURBANCES = {
    "registered": Disturbance(),
    "1 px": Disturbance(shift=1.0),
    "3 px": Disturbance(shift=3.0),
    "5 degrees": Disturbance(degrees=5.0),
    "3 px, 5 degrees": Disturbance(shift=3.0, degrees=5.0),
    "gain 0.7": Disturbance(gain=0.7),
}


def disturbed(curve: Curve, by: Disturbance) -> Curve:
    """A curve moved along the diagonal and turned around its middle."""
    angle = np.deg2rad(by.degrees)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = curve.points.mean(axis=0)
    return Curve((curve.points - middle) @ rotation + middle + by.shift / np.sqrt(2), curve.widths)


def pictured(curve: Curve, by: Disturbance, *, number: int) -> np.ndarray:
    """A picture of a fibre of hair on noisy ground, levels [SIDE, SIDE] from 0 to 1."""
    moved = disturbed(curve, by)
    points, widths = moved.dense()
    tube = Tube(np.column_stack([points, widths / 2]), widths / 2)
    found = render(tube, PRESETS[1], Light(shadow=0.0), (SIDE, SIDE))
    levels = found.coverage * found.colour[..., 0] + (1 - found.coverage) * GROUND
    noise = NOISE * generator(0, "noise of known pictures", number).standard_normal(levels.shape)
    return by.gain * ndimage.gaussian_filter(levels, 0.5) + noise


def binarised(levels: np.ndarray) -> np.ndarray:
    """The dark part by Otsu's threshold, without single pixels."""
    threshold = needed("skimage.filters", "binarising pictures").threshold_otsu(levels)
    return ndimage.median_filter((levels < threshold).astype(np.uint8), 3).astype(bool)


def moments(weights: np.ndarray) -> np.ndarray:
    """The normalised central moments of orders 2 and 3: eta_pq = mu_pq / mu_00^(1 + (p + q) / 2), [7]."""
    rows, columns = (np.arange(side, dtype=np.float64) for side in weights.shape)
    by_column, by_row = weights.sum(axis=0), weights.sum(axis=1)
    total = by_row.sum()
    x = columns - (columns @ by_column) / total
    y = rows - (rows @ by_row) / total
    powers = {p: weights @ x**p for p in range(4)}
    return np.array([(y**q @ powers[p]) / total ** (1 + (p + q) / 2) for p, q in ORDERS])


class Target:
    """A real picture, and what the measures compare of it."""

    def __init__(self, levels: np.ndarray) -> None:
        self.levels = levels
        mask = binarised(levels)
        self.area = float(mask.sum())
        self.moments, self.grey_moments = moments(mask.astype(np.float64)), moments(levels)


def by_area(real: Target, drawn: np.ndarray) -> float:
    return abs(float(binary(drawn).sum()) - real.area)


def by_moments(real: Target, drawn: np.ndarray) -> float:
    return float(np.square(moments(binary(drawn).astype(np.float64)) - real.moments).sum())


def by_grey_moments(real: Target, drawn: np.ndarray) -> float:
    """Moments of levels as they are, ground and all: what the text reads as."""
    return float(np.square(moments(drawn) - real.grey_moments).sum())


def by_squares(real: Target, drawn: np.ndarray) -> float:
    return float(np.square(drawn - real.levels).mean())


def by_affine_squares(real: Target, drawn: np.ndarray) -> float:
    """Squared differences after the gain and offset of the rendering that make them least: the part it does not explain."""
    a, b = drawn - drawn.mean(), real.levels - real.levels.mean()
    return float((b * b).mean() - (a * b).mean() ** 2 / max(float((a * a).mean()), 1e-12))


def binary(drawn: np.ndarray) -> np.ndarray:
    """Of a rendering, which is flat: where it is nearer to the fibre than to the ground."""
    return drawn < (drawn.min() + drawn.max()) / 2


MEASURES: dict[str, Callable[[Target, np.ndarray], float]] = {
    "area, binarised": by_area,
    "moments, binarised": by_moments,
    "moments, grey": by_grey_moments,
    "l2": by_squares,
    "l2, best gain and offset": by_affine_squares,
}


def searched(levels: np.ndarray, curve: Curve) -> dict[str, float]:
    """The width of ``GRID`` that each measure takes for that of the fibre on a real picture, whose ``curve`` is known."""
    real = Target(levels)
    distance, _ = distance_to(curve, (SIDE, SIDE), reach=float(GRID[-1]) / 2 + 1)
    fibre = float(np.median(levels[distance <= 0.75]))  # the level that the renderings have
    least = dict.fromkeys(MEASURES, np.inf)
    widths = dict.fromkeys(MEASURES, float("nan"))
    for width in GRID:
        coverage = np.clip(width / 2 - distance + 0.5, 0, 1)
        drawn = coverage * fibre + (1 - coverage) * GROUND
        for name, measure in MEASURES.items():
            apart = measure(real, drawn)
            if apart < least[name]:
                least[name], widths[name] = apart, float(width)
    return widths
