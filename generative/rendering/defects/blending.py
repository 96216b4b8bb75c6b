"""A rendering on a faultless picture: eq. 3.1, I = alpha R + (1 - alpha) B, and what the camera did to the picture.

Alpha is a mask by default, alpha times the coverage, so that the picture stays as it is beside the defect. ``whole_tile`` is the
equation to the letter: the whole tile is dimmed.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from generative.rendering.defects.backends import Rendering

PRINTED_ALPHA = 0.3
NOISE_KERNEL = np.array([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]])  # flat and sloping parts give 0
TO_DEVIATION = 1.4826  # of a median absolute value to the standard deviation of a normal law
SHARPEST, SOFTEST = 0.3, 1.5  # pixels of blur


def blend(
    background: np.ndarray, rendering: Rendering, *, alpha: float = 1.0, whole_tile: bool = False, through: float = 0.0
) -> np.ndarray:
    """Eq. 3.1 on a ``background`` [H, W, C] from 0 to 1. ``through``: how much of it a translucent material lets be seen."""
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(f"alpha must be from 0 to 1, got {alpha}")
    colour = rendering.colour + through * (background - rendering.colour)
    shaded = background * (1.0 - rendering.shadow[..., None])
    coverage = rendering.coverage[..., None]
    drawn = coverage * colour + (1.0 - coverage) * shaded
    if whole_tile:
        return alpha * drawn + (1.0 - alpha) * background
    weight = alpha * np.maximum(coverage, (rendering.shadow > 0)[..., None].astype(coverage.dtype))
    return weight * drawn + (1.0 - weight) * background


def noise_of(picture: np.ndarray) -> float:
    """The standard deviation of the noise of a picture [H, W] or [H, W, C], in its levels, by its median second difference."""
    grey = picture.astype(np.float64).mean(axis=2) if picture.ndim == 3 else picture.astype(np.float64)
    second = ndimage.convolve(grey, NOISE_KERNEL)
    return float(TO_DEVIATION * np.median(np.abs(second)) / np.sqrt(np.square(NOISE_KERNEL).sum()))


def blur_of(picture: np.ndarray) -> float:
    """The blur of a picture's sharpest edges, as a Gaussian's standard deviation in pixels.

    Across an edge of height h that a Gaussian blurred the steepest slope is h / (sigma sqrt(2 pi)).
    """
    grey = picture.astype(np.float64).mean(axis=2) if picture.ndim == 3 else picture.astype(np.float64)
    slope = np.hypot(ndimage.sobel(grey, axis=0), ndimage.sobel(grey, axis=1)) / 8.0
    height = ndimage.maximum_filter(grey, 9) - ndimage.minimum_filter(grey, 9)
    steep = slope >= np.quantile(slope, 0.99)
    ratio = height[steep] / np.maximum(slope[steep], 1e-6)
    # A difference over two pixels of a sharp edge has the slope h / 2, which itself stands for a blur of about 0.8.
    sigma = float(np.quantile(ratio, 0.25)) / np.sqrt(2 * np.pi)
    return float(np.clip(np.sqrt(max(sigma**2 - 0.8**2, 0.0)), SHARPEST, SOFTEST))


def softened(rendering: Rendering, blur: float) -> Rendering:
    """A rendering as a camera with so much blur (a Gaussian's standard deviation in pixels) sees it."""
    coverage = ndimage.gaussian_filter(rendering.coverage, blur)
    colour = ndimage.gaussian_filter(rendering.colour * rendering.coverage[..., None], (blur, blur, 0))
    own = np.where(coverage[..., None] > 1e-3, colour / np.maximum(coverage, 1e-3)[..., None], rendering.colour)
    shadow = ndimage.gaussian_filter(rendering.shadow, blur)
    return Rendering(own, np.where(coverage > 1e-3, coverage, 0.0), np.where(shadow > 1e-3, shadow, 0.0))


def with_noise(picture: np.ndarray, weight: np.ndarray, random: np.random.Generator, *, noise: float) -> np.ndarray:
    """[H, W, C] with as much noise where it was drawn, by ``weight`` [H, W] from 0 to 1, as is beside it already."""
    # Variances add: what is mixed of a share w of a picture without noise and the rest with it lacks w (2 - w) of it.
    lacking = noise * np.sqrt(weight * (2.0 - weight))
    return picture + lacking[..., None] * random.standard_normal(picture.shape)
