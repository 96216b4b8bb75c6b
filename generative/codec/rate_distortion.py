"""How far an image is from its copy, what the copy takes, and what one codec saves over another."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

PEAK = 255.0
REMEDY = 'pip install -e ".[codec]"'
Curve = Sequence[tuple[float, float]]  # (rate, PSNR in dB) of a codec at several rates


def psnr(image: np.ndarray, copy: np.ndarray) -> float:
    """Peak signal to noise of uint8 images of one shape in dB, over all channels; infinite of equal ones."""
    if image.shape != copy.shape or image.dtype != np.uint8 or copy.dtype != np.uint8:
        raise ValueError(
            f"an image of {image.dtype} {image.shape} and a copy of {copy.dtype} {copy.shape}: give both as uint8 of one shape"
        )
    error = float(np.square(image.astype(np.float64) - copy).mean())
    return math.inf if error == 0 else 10.0 * math.log10(PEAK**2 / error)


def bits_per_pixel(num_bytes: int, height: int, width: int) -> float:
    return 8.0 * num_bytes / (height * width)


def bytes_at(rate: float, height: int, width: int) -> int:
    """The most bytes that are no more than ``rate`` bits a pixel."""
    return math.floor(rate * height * width / 8.0)


def bd_rate(anchor: Curve, test: Curve) -> float | None:
    """What ``test`` takes more than ``anchor`` at equal PSNR, in percent, the mean over the PSNR that both reach.

    Bjontegaard's measure by the package ``bjontegaard`` with Akima's interpolation of log rate over PSNR, from at least
    three points each. Points that cost more than another one and are no better are left out. None where the curves
    share no PSNR. ValueError where the package is missing.
    """
    try:
        from bjontegaard import bd_rate as measured
    except ImportError as error:
        raise ValueError(f"BD-rates need the package bjontegaard ({error}): {REMEDY}") from error
    curves = [frontier(anchor), frontier(test)]
    if any(len(curve) < 3 for curve in curves):
        return None
    (anchor_rates, anchor_quality), (rates, quality) = (zip(*curve, strict=True) for curve in curves)
    if min(anchor_quality[-1], quality[-1]) <= max(anchor_quality[0], quality[0]):
        return None
    found = measured(
        list(anchor_rates), list(anchor_quality), list(rates), list(quality),
        method="akima", require_matching_points=False, min_overlap=0,
    )  # fmt: skip
    return float(found)


def frontier(curve: Curve) -> list[tuple[float, float]]:
    """The points of a curve that are better than every cheaper one, by rate."""
    kept: list[tuple[float, float]] = []
    for rate, quality in sorted(curve, key=lambda point: (point[0], -point[1])):
        if not kept or quality > kept[-1][1]:
            kept.append((rate, quality))
    return kept
