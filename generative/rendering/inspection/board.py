"""The bare board: laminate, copper and traces under the solder mask, vias, pads, gold, silkscreen, fiducials."""

from __future__ import annotations

import math

import cv2
import numpy as np

from generative.rendering.inspection.canvas import Canvas, Window, box_distance, linear, smooth_field, text_cover
from generative.rendering.inspection.layout import SOLDER_MASKS, Product, Scene, Site

GOLD, TIN, SILK = linear(206, 170, 98), linear(188, 188, 186), linear(214, 214, 204)
HOLE = linear(26, 24, 22)
VIA = 6.0  # units, the radius of a via's ring


def draw_board(canvas: Canvas, scene: Scene) -> None:
    """Everything that lies flat."""
    product, random = scene.product, scene.address.generator("board")
    tint = (1 + 0.05 * random.normal(size=3)).astype(np.float32) * np.float32(random.uniform(0.85, 1.2))
    draw_laminate(canvas, product, SOLDER_MASKS[product.solder_mask] * tint, random)
    draw_vias(canvas, product)
    for site in product.sites:
        draw_pads(canvas, site)
    for place in product.fiducials:
        draw_fiducial(canvas, place)
    if product.fingers:
        draw_fingers(canvas)
    draw_silkscreen(canvas, scene)
    draw_dust(canvas, scene)


def draw_laminate(canvas: Canvas, product: Product, colour: np.ndarray, random: np.random.Generator) -> None:
    """Glass weave under the solder mask; copper makes the mask lighter, and its edges catch the light."""
    window = canvas.whole()
    u, v = canvas.grid(window)
    phase = 0.8 * smooth_field(random, canvas, cells=5)
    weave = np.sin(u * np.float32(2 * math.pi / 9) + phase) * np.sin(v * np.float32(2 * math.pi / 9) - phase)
    copper = canvas.lines((trace.points, trace.width) for trace in product.traces)
    if product.pour:
        gaps = canvas.lines((trace.points, trace.width + 9) for trace in product.traces)
        bare = np.clip(
            canvas.lines((site.points(grown=4)[[0, 1, 2, 3, 0]], 7.0) for site in product.sites) + gaps, 0, 1
        )
        copper = np.maximum(copper, 0.85 * (1 - bare))
    thick = cv2.GaussianBlur(copper, (0, 0), max(0.4, 0.9 * canvas.scale))
    slope = np.gradient(thick)
    light = canvas.light.vector
    edge = -(slope[1] * light[0] + slope[0] * light[1]) * np.float32(0.75)
    mottle = 0.05 * smooth_field(random, canvas, cells=12) + 0.06 * smooth_field(random, canvas, cells=4)
    grain = 0.03 * random.normal(size=copper.shape).astype(np.float32)
    level = 0.66 + 0.55 * thick + edge + (1 - 0.7 * copper) * 0.05 * weave + mottle + grain
    canvas.colour[:] = colour * np.maximum(level, 0.1)[..., None]
    warm = np.float32(0.05) * thick
    canvas.colour[..., 0] += warm * 0.6
    canvas.colour[..., 1] += warm * 0.45
    canvas.gloss[:] = 0.16


def draw_vias(canvas: Canvas, product: Product) -> None:
    """Rings at the ends of traces; the mask covers every second one."""
    ends = [(trace.points[0], k) for k, trace in enumerate(product.traces) if trace.via_at_start]
    ends += [(trace.points[-1], k) for k, trace in enumerate(product.traces) if trace.via_at_end]
    for place, number in ends:
        window = canvas.window(place[None], margin=VIA + 3)
        if min(window.shape) == 0:
            continue
        u, v = canvas.grid(window, centre=place)
        away = np.sqrt(u * u + v * v)
        if number % 2:
            canvas.paint(window, canvas.cover(away - VIA), GOLD * 0.85, gloss=0.8)
            canvas.paint(window, canvas.cover(away - 2.6), HOLE, gloss=0.0)
        else:
            canvas.shade(window, 1 + 0.5 * canvas.cover(away - VIA) - 0.8 * canvas.cover(away - 2.8, soft=2.0))


def pad_places(site: Site) -> list[tuple[float, float, float, float]]:
    """Middle and half sides (u, v, half, half) of a site's pads, seen along the part."""
    half, width = site.half
    if site.kind == "transistor":
        return [(half * s, width * p, 4.5, 3.6) for s in (-1.12, 1.12) for p in ((-0.6, 0.6) if s < 0 else (0.0,))]
    return [(s * half * 0.86, 0.0, half * 0.36 + 2, width + 2.0) for s in (-1, 1)]


def draw_pads(canvas: Canvas, site: Site) -> None:
    """Where a part is soldered: an opening in the mask, and tin."""
    window = canvas.window(site.points(grown=8))
    if min(window.shape) == 0:
        return
    u, v = canvas.grid(window, centre=site.centre, angle=site.angle)
    for x, y, half, width in pad_places(site):
        inside = box_distance(u - x, v - y, (half, width), radius=1.5)
        canvas.shade(window, 1 - 0.35 * canvas.cover(inside - 1.8))
        bulge = 0.75 + 0.35 * np.clip(-inside / 6, 0, 1) + 0.1 * np.sin(u * 0.7 + site.centre[0]) * np.sin(v * 0.6)
        canvas.paint(window, canvas.cover(inside), TIN * bulge[..., None].astype(np.float32), gloss=0.75)


def draw_fiducial(canvas: Canvas, place: tuple[float, float]) -> None:
    window = canvas.window(np.array([place]), margin=26)
    u, v = canvas.grid(window, centre=place)
    away = np.sqrt(u * u + v * v)
    canvas.shade(window, 1 - 0.5 * canvas.cover(away - 20))
    canvas.paint(window, canvas.cover(away - 9), GOLD, gloss=0.8)


def draw_fingers(canvas: Canvas) -> None:
    """Gold contacts along the lower edge."""
    window = canvas.window(np.array([[20.0, 972.0], [1004.0, 1040.0]]))
    u, v = canvas.grid(window)
    inside = box_distance(np.mod(u, 30.0) - 15, v - 1010, (10, 34), radius=2)
    inside = np.maximum(inside, np.abs(u - 512) - 470)
    canvas.paint(window, canvas.cover(inside), GOLD, gloss=0.7)


def draw_silkscreen(canvas: Canvas, scene: Scene) -> None:
    """White outlines and names of parts, a frame around the die with a mark at its first pin."""
    product, random = scene.product, scene.address.generator("silkscreen")
    worn = np.float32(0.55 + 0.25 * random.uniform()) * (
        0.85 + 0.15 * np.clip(smooth_field(random, canvas, cells=9), -1, 1)
    )
    paths = []
    for number, site in enumerate(product.sites):
        corners = site.points(grown=7)
        if number % 3 == 0:
            paths.append((corners[[0, 1, 2, 3, 0]], 1.8))
        elif number % 3 == 1:
            paths += [(corners[[0, 1]], 1.8), (corners[[2, 3]], 1.8)]
    reach = product.band[1] + 8
    frame = product.die.points(grown=reach)
    for k in range(4):
        corner, ahead, behind = frame[k], frame[(k + 1) % 4], frame[k - 1]
        tip = [corner + (other - corner) * (30 / np.linalg.norm(other - corner)) for other in (behind, ahead)]
        paths.append((np.array([tip[0], corner, tip[1]]), 2.4))
    canvas.paint(canvas.whole(), canvas.lines(paths) * worn, SILK, gloss=0.05)
    mark = frame[0] + np.array([-4, 16])
    window = canvas.window(mark[None], margin=8)
    u, v = canvas.grid(window, centre=mark)
    canvas.paint(window, canvas.cover(np.sqrt(u * u + v * v) - 4) * worn[window.place], SILK, gloss=0.05)
    for number, site in enumerate(product.sites):
        if number % 2 == 0:
            write_name(canvas, site, worn)


def write_name(canvas: Canvas, site: Site, worn: np.ndarray) -> None:
    """The name of a part beside it."""
    away = 15 + (site.half[1] if abs(math.cos(site.angle)) > 0.5 else site.half[0])
    place = np.array([site.centre[0], site.centre[1] - away])
    window = canvas.window(place[None], margin=22)
    if min(window.shape) == 0:
        return
    u, v = canvas.grid(window, centre=place)
    canvas.paint(window, text_cover(canvas, u, v, site.name, height=11) * worn[window.place], SILK, gloss=0.05)


def draw_dust(canvas: Canvas, scene: Scene) -> None:
    """What every board carries and nobody rejects: specks up to 2 units, lint up to 14 units long, dried drops of cleaner."""
    random = scene.address.generator("dust")
    for _ in range(int(random.poisson(14))):
        place, radius, tone = random.uniform(0, 1024, 2), random.uniform(0.7, 2.0), random.uniform(0.2, 0.75)
        window = canvas.window(place[None], margin=5)
        if min(window.shape) == 0:
            continue
        u, v = canvas.grid(window, centre=place)
        cover = canvas.cover(np.sqrt(u * u + v * v) - radius, soft=1.0)
        canvas.paint(window, 0.7 * cover, np.full(3, tone, np.float32) ** 2)
    lint = []
    for _ in range(int(random.poisson(4))):
        start, heading, length = random.uniform(0, 1024, 2), random.uniform(0, 2 * math.pi), random.uniform(5, 14)
        bend = heading + random.normal() * 0.6
        step = length / 2 * np.array([[math.cos(heading), math.sin(heading)], [math.cos(bend), math.sin(bend)]])
        lint.append((np.vstack([start, start + step.cumsum(axis=0)]), 1.2))
    canvas.paint(canvas.whole(), 0.4 * canvas.lines(lint), linear(190, 190, 190))
    for _ in range(int(random.poisson(2))):
        dry_drop(canvas, random)


def dry_drop(canvas: Canvas, random: np.random.Generator) -> None:
    """A faint rim of something that dried up."""
    place, radius = random.uniform(0, 1024, 2), random.uniform(6, 22)
    window: Window = canvas.window(place[None], margin=radius + 4)
    if min(window.shape) == 0:
        return
    u, v = canvas.grid(window, centre=place)
    away = np.sqrt(u * u + (v * random.uniform(0.8, 1.2)) ** 2)
    canvas.shade(
        window, 1 + 0.06 * canvas.cover(np.abs(away - radius) - 1.2, soft=2) - 0.03 * canvas.cover(away - radius)
    )
