"""The epoxy around the die: a glossy slope that ends within a band, and the places where it does not."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from generative.rendering.inspection.canvas import Canvas, Window, box_distance, smooth_field
from generative.rendering.inspection.layout import EPOXIES, Die, Scene
from generative.rendering.inspection.relief import Material, lit

DIE_HEIGHT = 22.0  # units
FARTHEST = 150.0  # units off the die that epoxy can flow


def rim_places(u: np.ndarray, v: np.ndarray, die: Die) -> tuple[np.ndarray, np.ndarray]:
    """For points seen from the die: their distance to it, below 0 inside, and where along its edge the nearest point lies.

    The place runs from 0 to 1 once around.
    """
    x, y = die.half
    distance = box_distance(u, v, die.half)
    across, down = np.clip(u, -x, x), np.clip(v, -y, y)
    on_side = x - np.abs(across) < y - np.abs(down)  # nearer to the left or right edge
    total = 4 * (x + y)
    right, left = down + y, 2 * y + 2 * x + (y - down)
    lower, upper = 2 * y + (x - across), 4 * y + 2 * x + (across + x)
    place = np.where(on_side, np.where(across > 0, right, left), np.where(down > 0, lower, upper))
    return distance, (place / np.float32(total)).astype(np.float32)


def epoxy_window(canvas: Canvas, scene: Scene) -> Window:
    return canvas.window(scene.die.points(grown=FARTHEST))


def epoxy_cover(canvas: Canvas, scene: Scene, window: Window) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coverage [h, w] of the epoxy, the distance to the die, and how far the epoxy reaches there."""
    u, v = canvas.grid(window, centre=scene.die.centre, angle=scene.die.angle)
    distance, places = rim_places(u, v, scene.die)
    width = scene.outline(places)
    return canvas.cover(distance - width, soft=1.2) * (width > 0), distance, width


def draw_epoxy(canvas: Canvas, scene: Scene) -> None:
    """A hollow slope from the edge of the die to the board, with a highlight along it, and a halo where resin has bled."""
    if scene.die_state == "missing":
        return
    window, random = epoxy_window(canvas, scene), scene.address.generator("epoxy surface")
    tone = np.float32(random.uniform(0.85, 1.15))
    roughness = smooth_field(random, canvas, cells=40)[window.place]
    patches = smooth_field(random, canvas, cells=10)[window.place]
    cover, distance, width = epoxy_cover(canvas, scene, window)
    halo = canvas.cover(distance - width - 5, soft=7)
    canvas.shade(window, 1 - 0.16 * halo)
    rest = np.clip(1 - distance / np.maximum(width, 1), 0, 1)
    swollen = (
        9 * np.clip(width / 45 - 1, 0, 1) * np.sqrt(np.clip(rest * (1.4 - rest), 0, 1))
    )  # too much of it stands up
    height = DIE_HEIGHT * rest**1.7 * np.minimum(width / 20, 1.3) + swollen + 0.25 * roughness
    material = Material(EPOXIES[scene.product.epoxy] * tone, 0.34, 28)
    surface = lit(canvas, height.astype(np.float32), material, blur=3.0) * (1 + 0.1 * patches)[..., None]
    canvas.paint(window, cover, surface, gloss=0.45)


def with_bumps(scene: Scene, random: np.random.Generator, *, excess: bool, amount: float) -> tuple[Scene, dict]:
    """The scene whose epoxy ends beyond its band over a part of the edge, or before it; ``amount`` scales by how much."""
    low, high = scene.product.band
    around = 4 * sum(scene.die.half)
    place = float(random.uniform())
    own = float(scene.outline(np.array([place]))[0])
    if excess:
        beyond = amount * float(np.exp(random.uniform(np.log(18), np.log(64))))
        spread = float(random.uniform(0.9, 2.4)) * (beyond + 16) / around
        bumps = [(place, spread, high - own + beyond)]
        for _ in range(int(random.integers(0, 3))):  # tongues
            bumps.append((place + spread * random.uniform(-0.6, 0.6), spread * random.uniform(0.3, 0.5), beyond * 0.5))
    else:
        beyond = amount * float(random.uniform(0.3, 1.0))
        spread = float(random.uniform(26, 110)) / around
        bumps = [(place, spread, low - own - beyond * (low + 8))]
        bumps.append((place + 0.3 * spread, spread * 0.4, -5.0 * amount))
    found = tuple((float(a), float(b), float(c)) for a, b, c in bumps)
    return replace(scene, bumps=scene.bumps + found), {"place": place, "spread": spread, "beyond": beyond}


def changed_epoxy(canvas: Canvas, before: Scene, after: Scene) -> np.ndarray:
    """The pixels that the epoxy covers in one of two scenes alone: bool [S, S]."""
    window = epoxy_window(canvas, before)
    found = np.zeros((canvas.size, canvas.size), bool)
    covers = [epoxy_cover(canvas, scene, window)[0] > 0.5 for scene in (before, after)]
    u, v = canvas.grid(window, centre=before.die.centre, angle=before.die.angle)
    outside = box_distance(u, v, before.die.half) > 0
    kept = (covers[0] != covers[1]) & outside
    _, labels, stats, _ = cv2.connectedComponentsWithStats(kept.astype(np.uint8))
    large = stats[:, cv2.CC_STAT_AREA] >= 6
    large[0] = False
    found[window.place] = large[labels]
    return found
