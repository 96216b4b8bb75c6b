"""Pairs that teach a refiner: a real defect, and what was fitted to it drawn at the same place of its faultless twin.

The rendering is that of the fit itself, not a new instance: a fibre of the fitted curve and width, or the fitted outline in the
middle colour of the real one, on a board of two levels in the level that the defect adds. So the refiner learns what a rendering
lacks, and not where a defect lies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from datamodules.synthesis.fitting import Sample, curve_in, grey, of_pixels, opened_up
from datamodules.synthesis.painting import Style
from datamodules.synthesis.reading import pixels_of
from generative.rendering.defects import polygons
from generative.rendering.defects.backends import Light, Rendering, lifted, renderer
from generative.rendering.defects.binary import Levels, smoothed
from generative.rendering.defects.blending import blend, blur_of, noise_of, softened, with_noise
from generative.rendering.defects.draws import generator
from generative.rendering.defects.materials import nearest
from generative.rendering.registration import register

LONG = 8.0  # length over width, from which on a defect is drawn as a fibre
SHADOW = 0.3
LEAST_BLUR = 0.5  # pixels, of an outline


@dataclass(frozen=True)
class Pair:
    """``real`` and ``blended`` bytes [S, S] or [S, S, C], and the ``mask`` of the real defect, bool [S, S], of a class ``name``."""

    name: str
    real: np.ndarray
    blended: np.ndarray
    mask: np.ndarray


def pair_of(
    sample: Sample, *, size: int, style: Style, levels: Levels | None, seed: int, number: int, registered: bool = False
) -> Pair | None:
    """The pair of a fitted sample, ``size`` pixels a side around the real defect; None where no shape can be fitted.

    ``number`` addresses what is random, noise and the rise of a fibre. ``registered``: the twin is moved onto its picture
    first, ValueError where it does not fit.
    """
    channels = 1 if sample.picture.ndim == 2 else 3
    whole = pixels_of(sample.example.image, channels=channels)
    place = tuple(
        slice(first, first + length) for first, length in zip(sample.offset, sample.picture.shape[:2], strict=True)
    )
    if sample.example.twin is not None:
        twin = pixels_of(sample.example.twin, channels=channels)
        ground = register(whole, twin).twin if registered else twin.copy()
    else:
        ground = whole.copy()
        ground[place] = opened_up(sample.picture, sample.mask)
    drawn = drawn_again(sample, ground[place], style, levels, generator(seed, "pairs", number))
    if drawn is None:
        return None
    ground[place] = drawn
    mask = np.zeros(whole.shape[:2], dtype=bool)
    mask[place] = sample.mask
    rows, columns = around(sample, size)
    index = np.ix_(rows.clip(0, len(whole) - 1), columns.clip(0, whole.shape[1] - 1))
    return Pair(sample.example.name, whole[index], ground[index], mask[index])


def around(sample: Sample, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows and columns of a window around the middle of a defect; those beside the picture repeat its rim."""
    left, top, right, bottom = sample.tight
    first = (round((top + bottom - size) / 2), round((left + right - size) / 2))
    return first[0] + np.arange(size), first[1] + np.arange(size)


def drawn_again(
    sample: Sample, ground: np.ndarray, style: Style, levels: Levels | None, random: np.random.Generator
) -> np.ndarray | None:
    """The part ``ground`` [h, w] or [h, w, C] of bytes with the fitted defect on it; None where no shape can be fitted."""
    if levels is not None and sample.adds_dark is not None:
        return on_levels(sample, ground, levels, random)
    background = np.atleast_3d(ground) / 255.0
    blur, noise = blur_of(grey(ground)), noise_of(grey(ground))
    made = fibre(sample, style, blur, random) or blot(sample, blur)
    if made is None:
        return None
    rendering, through = made
    values = blend(background, rendering, alpha=style.alpha, whole_tile=style.whole_tile, through=through)
    values = with_noise(values, rendering.coverage * (1.0 - through) * style.alpha, random, noise=noise / 255.0)
    found = np.rint(255 * values).clip(0, 255).astype(np.uint8)
    return found[..., 0] if ground.ndim == 2 else found


def on_levels(sample: Sample, ground: np.ndarray, levels: Levels, random: np.random.Generator) -> np.ndarray | None:
    """The part ``ground`` of a board with the fitted outline in the level that the defect adds, as `draw` has it."""
    outline = outline_of(sample)
    if outline is None:
        return None
    dark = bool(sample.adds_dark)
    where = smoothed(levels.copper(grey(ground)), outline, adds_copper=dark)
    values = levels.drawn(where, random.random(where.shape), dark=dark)[where]
    found = ground.copy()
    found[where] = values if ground.ndim == 2 else values[:, None]
    return found


def outline_of(sample: Sample) -> np.ndarray | None:
    """The polygon that is fitted to a mask, filled: bool [h, w]; None where the mask has no area."""
    try:
        return polygons.filled(polygons.fit(sample.mask), sample.mask.shape)
    except ValueError:
        return None


def fibre(sample: Sample, style: Style, blur: float, random: np.random.Generator) -> tuple[Rendering, float] | None:
    """The rendered curve of a long and thin mask, and how translucent it is; None of another mask."""
    curve = curve_in(sample, least=LONG)
    if curve is None:
        return None
    inner = ndimage.binary_erosion(sample.mask)
    pixels = inner if inner.any() else sample.mask
    material = nearest(of_pixels(sample.picture, pixels), of_pixels(sample.background, pixels))
    made = renderer(style.renderer)(lifted(curve, random), material, Light(shadow=SHADOW), sample.mask.shape)
    return softened(one_channel(made, sample.picture), blur), material.translucency


def blot(sample: Sample, blur: float) -> tuple[Rendering, float] | None:
    """The outline of a mask, filled with the middle colour of the real defect; None where the mask has no area."""
    outline = outline_of(sample)
    if outline is None:
        return None
    colour = np.median(of_pixels(sample.picture, sample.mask), axis=0) / 255.0
    coverage = ndimage.gaussian_filter(outline.astype(np.float32), max(blur, LEAST_BLUR))
    coverage[coverage < 1e-3] = 0.0
    flat = np.broadcast_to(colour, (*sample.mask.shape, len(colour)))
    return Rendering(flat, coverage, np.zeros_like(coverage)), 0.0


def one_channel(made: Rendering, picture: np.ndarray) -> Rendering:
    """A rendering in colour as grey pictures have it."""
    if picture.ndim == 3 or made.colour.shape[-1] == 1:
        return made
    return Rendering(made.colour.mean(axis=-1, keepdims=True), made.coverage, made.shadow)
