"""Pictures of what was learned and of what was drawn, to be looked at before anything trains on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from datamodules.synthesis.fitting import Fit, Sample, source_of
from datamodules.synthesis.recipe import MIXED, PRIMITIVES, Learned
from generative.rendering.defects import curves, polygons
from generative.rendering.defects.backends import Light, lifted, renderer
from generative.rendering.defects.blending import blend
from generative.rendering.defects.draws import generator
from generative.rendering.defects.materials import from_data
from generative.rendering.images import side_by_side, stacked

TILE = 128  # pixels a side that a part is shown in
NUM_SHOWN = 4  # examples of a class
NUM_COLUMNS = 10  # of a sheet of drawn defects, a row or two a class
NONE = np.zeros((0, 2))
RED, GREEN = (230, 60, 40), (40, 170, 70)


def tile(pixels: np.ndarray) -> Image.Image:
    """A part [h, w], [h, w, 3] of bytes or bool, brought to ``TILE`` pixels, each pixel a square where it is enlarged."""
    if pixels.dtype == bool:
        pixels = np.where(pixels, 255, 0).astype(np.uint8)
    picture = Image.fromarray(pixels).convert("RGB")
    scale = TILE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    resized = picture.resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX)
    canvas = Image.new("RGB", (TILE, TILE), "white")
    canvas.paste(resized, ((TILE - size[0]) // 2, (TILE - size[1]) // 2))
    return canvas


def strip(tiles: Sequence[Image.Image], *, gap: int = 4) -> Image.Image:
    """Tiles of one size next to each other."""
    sheet = Image.new("RGB", (len(tiles) * (TILE + gap) - gap, TILE), "white")
    for place, one in enumerate(tiles):
        sheet.paste(one, (place * (TILE + gap), 0))
    return sheet


def with_line(pixels: np.ndarray, points: np.ndarray, *, closed: bool, knots: np.ndarray) -> Image.Image:
    """A part enlarged, with a line [N, 2] (x, y) and its control points drawn on it."""
    picture = Image.fromarray(pixels).convert("RGB")
    scale = TILE / max(picture.size)
    resized = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    draw = ImageDraw.Draw(resized)
    path = [tuple((point + 0.5) * scale) for point in (np.vstack([points, points[:1]]) if closed else points)]
    draw.line(path, fill=RED, width=2)
    for x, y in (knots + 0.5) * scale:
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=GREEN)
    canvas = Image.new("RGB", (TILE, TILE), "white")
    canvas.paste(resized, ((TILE - resized.width) // 2, (TILE - resized.height) // 2))
    return canvas


def fit_steps(sample: Sample, learned: Learned) -> Image.Image:
    """A real defect, its mask, its contour or curve, and what is rendered of it: figures 3.4 and 3.5."""
    picture, background = (np.ascontiguousarray(part) for part in (sample.picture, sample.background))
    left, top, right, bottom = sample.example.box
    row, column = sample.offset
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]]) - np.array([column, row]) - 0.5
    boxed = with_line(picture, corners, closed=True, knots=NONE)
    tiles = [boxed, tile(sample.mask)]
    drawn = np.atleast_3d(background).copy()
    row_of = next((row for row in learned.examples if is_of(row, sample)), None)
    if row_of is None:
        return strip(tiles)
    if "points" in row_of:
        curve = curves.fit(sample.mask)
        tiles.append(with_line(picture, curves.outline(sample.mask, num_points=80), closed=True, knots=NONE))
        tiles.append(with_line(picture, curve.dense()[0], closed=False, knots=curve.points))
        material = from_data(row_of["material"])
        height, width = sample.mask.shape
        rendering = renderer("numpy")(
            lifted(curve, generator(0, "fit picture", 0)), material, Light(shadow=0.3), (height, width)
        )
        drawn = (
            np.rint(255 * blend(drawn / 255.0, rendering, through=material.translucency)).clip(0, 255).astype(np.uint8)
        )
    else:
        vertices = polygons.fit(sample.mask)
        tiles.append(with_line(picture, vertices, closed=True, knots=vertices))
        if "cutout" in row_of:
            inside = sample.mask if row_of["in_pieces"] else polygons.filled(vertices, sample.mask.shape)
            drawn[inside] = np.atleast_3d(picture)[inside]
        else:
            drawn[sample.mask] = 0 if sample.adds_dark else 255
    return strip([*tiles, tile(drawn.squeeze())])


def is_of(row: dict[str, Any], sample: Sample) -> bool:
    """Whether an example of a recipe was measured on this sample."""
    return {key: row[key] for key in ("from", "at")} == source_of(sample)


def fit_sheet(fit: Fit) -> Image.Image:
    """Some examples of each class, a row each."""
    panels = []
    for name, learned in fit.recipe.classes.items():
        rows = [(f"{fit_title(learned)}", fit_steps(sample, learned)) for sample in fit.samples[name][:NUM_SHOWN]]
        titled = stacked([(f"{name}: {title}" if place == 0 else "", row) for place, (title, row) in enumerate(rows)])
        panels.append(titled)
    columns = [stack(panels[start::2]) for start in range(min(2, len(panels)))]
    return side_by_side([("", column) for column in columns])


def stack(pictures: Sequence[Image.Image]) -> Image.Image:
    sheet = Image.new("RGB", (max(one.width for one in pictures), sum(one.height for one in pictures)), "white")
    top = 0
    for one in pictures:
        sheet.paste(one, (0, top))
        top += one.height
    return sheet


def fit_title(learned: Learned) -> str:
    """How a class is drawn, in words."""
    count = f"of {len(learned.examples)} real ones"
    if learned.family in PRIMITIVES:
        return f"{learned.family}, adds the {learned.adds} level, {count}"
    return f"{'curves and polygons' if learned.family == MIXED else learned.family}, {count}"


def drawn_sheet(rows: Sequence[Mapping[str, Any]], folder: Path, names: Sequence[str]) -> Image.Image:
    """The first defects of each class with their boxes, and below each the faultless part."""
    found: dict[str, list[tuple[str, list[float]]]] = {name: [] for name in names}
    for row in rows:
        for instance in row["instances"]:
            of_class = found[instance["parameters"]["class"]]
            if len(of_class) < NUM_COLUMNS:
                of_class.append((row["file_name"], instance["box"]))
    panels = []
    for name, places in found.items():
        if places:
            tops, bottoms = [], []
            for file, box in places:
                drawn, clean = (np.array(Image.open(folder / part / file)) for part in ("train", "clean"))
                place = part_around(box, drawn.shape)
                left, top, right, bottom = (
                    edge - side for edge, side in zip(box, (place[1].start, place[0].start) * 2, strict=True)
                )
                corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]]) - 0.5
                tops.append(with_line(drawn[place], corners, closed=True, knots=NONE))
                bottoms.append(tile(clean[place]))
            panels.append((name, stack([strip(tops), strip(bottoms)])))
    if not panels:
        raise ValueError("no defect was drawn: the faultless pictures have no place like those of the real defects")
    return stacked(panels)


def part_around(box: Sequence[float], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """A square part around a box, as far as the picture goes."""
    left, top, right, bottom = box
    half = max(32.0, 0.75 * max(right - left, bottom - top))
    x, y = (left + right) / 2, (top + bottom) / 2
    return (
        slice(max(0, int(y - half)), min(shape[0], int(y + half))),
        slice(max(0, int(x - half)), min(shape[1], int(x + half))),
    )
