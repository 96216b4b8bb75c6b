"""The chapter's figures 3.3 to 3.7 on a set of one's own: rendered fibres, the steps of fits, blends, polygons and fills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from datamodules.synthesis.fitting import Fit, Sample
from datamodules.synthesis.sheets import NONE, fit_steps, is_of, strip, tile, with_line
from generative.rendering.defects import curves, polygons
from generative.rendering.defects.backends import Light, Rendering, lifted, renderer
from generative.rendering.defects.blending import PRINTED_ALPHA, blend
from generative.rendering.defects.curves import Curve
from generative.rendering.defects.draws import generator
from generative.rendering.defects.materials import PRESETS, from_data
from generative.rendering.defects.widths import SIDE, known_curve
from generative.rendering.images import stacked

COLOURS = (
    (0.75, 0.7, 0.62),
    (0.12, 0.1, 0.1),
    (0.2, 0.35, 0.7),
    (0.75, 0.6, 0.35),
    (0.85, 0.85, 0.9),
    (0.7, 0.3, 0.25),
)
GROUND = 0.55
NUM_FIBRES = 8
NUM_ROWS = 5


def rendered_fibres(name: str, *, seed: int = 0) -> Image.Image:
    """Figure 3.3: fibres of several shapes, a row for each material, by the renderer ``name``."""
    rows = []
    for number, (preset, colour) in enumerate(zip(PRESETS, COLOURS, strict=True)):
        tiles = []
        for place in range(NUM_FIBRES):
            curve = known_curve(NUM_FIBRES * number + place, seed=seed)
            tube = lifted(curve, generator(seed, "figure 3.3", NUM_FIBRES * number + place))
            found = renderer(name)(tube, replace(preset, colour=colour), Light(shadow=0.4), (SIDE, SIDE))
            ground = np.full((SIDE, SIDE, 3), GROUND)
            ground[::12], ground[:, ::12] = GROUND + 0.08, GROUND + 0.08  # what shines through a translucent one
            tiles.append(tile(as_bytes(blend(ground, found, through=preset.translucency))))
        rows.append((preset.name, strip(tiles)))
    return stacked(rows)


def as_bytes(levels: np.ndarray) -> np.ndarray:
    return np.rint(255 * levels).clip(0, 255).astype(np.uint8)


def samples_as(fit: Fit, kind: str) -> list[tuple[str, Sample, dict[str, object]]]:
    """The samples that are drawn as ``"points"`` (curves) or ``"vertices"`` (polygons), with their class and example."""
    found = [
        (place, name, sample, row)
        for name, learned in fit.recipe.classes.items()
        for place, sample in enumerate(fit.samples[name])
        for row in learned.examples
        if kind in row and is_of(row, sample)
    ]
    # One of each class, then another of each, so that few rows show many classes.
    return [(name, sample, row) for _, name, sample, row in sorted(found, key=lambda one: one[0])]


def fits_of_curves(fit: Fit) -> Image.Image:
    """Figures 3.4 and 3.5: a real fibre, its mask, its contour, its curve with control points, what is rendered of it."""
    found = samples_as(fit, "points")[:NUM_ROWS]
    if not found:
        raise ValueError(
            "no defect of this set is a curve: figures 3.4 to 3.6 need fibres, scratches or cracks with masks"
        )
    rows = [(name, fit_steps(sample, fit.recipe.classes[name])) for name, sample, _ in found]
    return titled("real, mask, contour, curve and control points, rendering", rows)


def blends(fit: Fit, cleans: Sequence[np.ndarray]) -> Image.Image:
    """Figure 3.6: the rendering R, the clean picture B, alpha R + (1 - alpha) B to the letter, and alpha as a mask."""
    rows = []
    for number, (name, sample, row) in enumerate(samples_as(fit, "points")[: min(NUM_ROWS, 3)]):
        curve = curves.fit(sample.mask)
        size = int(max(sample.mask.shape))
        shift = (size - np.array(sample.mask.shape[::-1])) / 2
        tube = lifted(Curve(curve.points + shift, curve.widths), generator(0, "figure 3.6", number))
        material = from_data(row["material"])  # type: ignore[arg-type]
        found = renderer("numpy")(tube, material, Light(shadow=0.3), (size, size))
        clean = np.atleast_3d(cleans[number % len(cleans)])
        top, left = ((side - size) // 2 if side > size else 0 for side in clean.shape[:2])
        part = clean[top : top + size, left : left + size] / 255.0
        found = Rendering(
            *(layer[: part.shape[0], : part.shape[1]] for layer in (found.colour, found.coverage, found.shadow))
        )
        alone = blend(np.full_like(part, GROUND), found)
        whole = blend_to_the_letter(part, alone)
        masked = (blend(part, found, alpha=alpha) for alpha in (PRINTED_ALPHA, 1.0))
        pictures = [alone, part, whole, *masked]
        rows.append((name, strip([tile(as_bytes(one).squeeze()) for one in pictures])))
    title = "rendering, clean, alpha 0.3 over the whole tile (eq. 3.1), alpha 0.3 as a mask, alpha 1 as a mask"
    return titled(title, rows)


def blend_to_the_letter(background: np.ndarray, rendering: np.ndarray) -> np.ndarray:
    """I = alpha R + (1 - alpha) B of two whole pictures, with the printed alpha."""
    return PRINTED_ALPHA * rendering + (1 - PRINTED_ALPHA) * background


def fills(fit: Fit) -> Image.Image:
    """Figure 3.7: a real blot, its polygon, the picture with the hole, and a new outline filled with the real pixels."""
    rows = []
    for number, (name, sample, _) in enumerate(samples_as(fit, "vertices")[:NUM_ROWS]):
        picture = np.ascontiguousarray(sample.picture)
        vertices = polygons.fit(sample.mask)
        inside = polygons.filled(vertices, sample.mask.shape)
        hole = picture.copy()
        hole[inside] = 0
        centre = vertices.mean(axis=0)
        warp = polygons.new_warp(generator(0, "figure 3.7", number))
        moved = warp.moved(vertices - centre)
        colour, low = polygons.warped(np.atleast_3d(picture) / 255.0, centre, warp, moved)
        new = np.atleast_3d(np.ascontiguousarray(sample.background)).copy()
        first = np.rint(centre).astype(int) + low
        covered = polygons.filled(moved - low, colour.shape[:2])
        y, x = (axis + start for axis, start in zip(np.nonzero(covered), first[::-1], strict=True))
        there = (y >= 0) & (x >= 0) & (y < new.shape[0]) & (x < new.shape[1])
        new[y[there], x[there]] = as_bytes(colour[covered][there])
        rows.append((
            name,
            strip([
                with_line(picture, vertices, closed=True, knots=NONE), tile(inside), tile(hole),
                with_line(np.ascontiguousarray(new.squeeze()), moved + np.rint(centre), closed=True, knots=NONE),
                tile(new.squeeze()),
            ]),
        ))  # fmt: skip
    if not rows:
        raise ValueError("no defect of this set is a polygon: figure 3.7 needs blots with masks")
    return titled("real and its polygon, mask, hole, a new outline, filled", rows)


def titled(columns: str, rows: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Rows under the names of their classes, the first also under what its columns are."""
    (name, first), *others = rows
    return stacked([(f"{columns}: {name}", first), *others])


def draw_figures(fit: Fit, cleans: Sequence[np.ndarray], output: Path, *, name: str) -> list[Path]:
    """Write the figures that the set has examples for; their files. ``name``: the renderer of figure 3.3."""
    output.mkdir(parents=True, exist_ok=True)
    made = {"figure_3_3.png": rendered_fibres(name)}
    if samples_as(fit, "points"):
        made |= {"figure_3_4_and_3_5.png": fits_of_curves(fit), "figure_3_6.png": blends(fit, cleans)}
    if samples_as(fit, "vertices"):
        made["figure_3_7.png"] = fills(fit)
    for file, picture in made.items():
        picture.save(output / file)
    return [output / file for file in made]
