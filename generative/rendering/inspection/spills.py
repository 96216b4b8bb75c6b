"""What lies on a surface in patches: epoxy on the die, and the long tail of rare things that are called other."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from generative.rendering.inspection.address import periodic_noise, periodic_values
from generative.rendering.inspection.canvas import UNITS, Canvas, Window, smooth_field
from generative.rendering.inspection.layout import EPOXIES, Scene
from generative.rendering.inspection.relief import Material, cast_shadow, lit
from generative.rendering.inspection.strokes import on_board

RARE = ("stain", "burn", "fingerprint", "discolouration", "bubble", "bent part")  # the k-th drawn with weight 1 / k


def blob(
    canvas: Canvas, random: np.random.Generator, place: np.ndarray, radius: float, *, ragged: float = 0.2
) -> tuple[Window, np.ndarray]:
    """A window and the signed distance to a round patch with an uneven rim, below 0 inside; the window may be empty."""
    rim, stretch, angle = (
        periodic_noise(random, orders=8, roughness=1.1),
        random.uniform(1, 1.5),
        random.uniform(0, 3.1),
    )
    window = canvas.window(np.asarray(place)[None], margin=radius * (1.6 + ragged) + 10)
    if min(window.shape) == 0:
        return window, np.zeros(window.shape, np.float32)
    u, v = canvas.grid(window, centre=tuple(place), angle=float(angle))
    u = u / np.float32(stretch)
    return window, np.sqrt(u * u + v * v) - radius * (
        1 + ragged * periodic_values(rim, np.arctan2(v, u) / (2 * math.pi))
    )


def epoxy_on_die(canvas: Canvas, scene: Scene, random: np.random.Generator) -> tuple[np.ndarray, dict]:
    """A glossy blob, most often near an edge of the die, a thin film around it, and drops: pixels bool [S, S], parameters."""
    half = np.array(scene.die.half)
    near_edge = bool(random.uniform() < 0.65)
    place = random.uniform(-0.7, 0.7, 2) * half
    if near_edge:
        axis = int(random.integers(2))
        place[axis] = random.choice([-1, 1]) * half[axis] * random.uniform(0.78, 0.98)
    radius = float(np.exp(random.uniform(math.log(15), math.log(48))))
    drops = [(place, radius)]
    for _ in range(int(random.integers(0, 5))):
        away, heading = radius * random.uniform(1.1, 2.6), random.uniform(0, 2 * math.pi)
        drops.append(
            (place + away * np.array([math.cos(heading), math.sin(heading)]), radius * random.uniform(0.1, 0.35))
        )
    found = np.zeros((canvas.size, canvas.size), bool)
    colour = EPOXIES[scene.product.epoxy] * np.float32(random.uniform(0.8, 1.3))
    opacity, flat = float(random.uniform(0.75, 0.97)), float(random.uniform(0.15, 0.5))
    for at, size in drops:
        window, inside = blob(canvas, random, on_board(scene, at[None])[0], size, ragged=0.2)
        if min(window.shape) == 0:
            continue
        u, v = canvas.grid(window, centre=scene.die.centre, angle=scene.die.angle)
        inside = np.maximum(inside, np.maximum(np.abs(u) - half[0], np.abs(v) - half[1]))
        cover = canvas.cover(inside, soft=1.5)
        depth = cv2.distanceTransform((cover > 0.5).astype(np.uint8), cv2.DIST_L2, 5) / np.float32(canvas.scale)
        height = flat * np.sqrt(depth * np.maximum(2 * size - depth, 0))
        surface = lit(canvas, height.astype(np.float32), Material(colour, 0.35, 34), blur=max(1.5, 0.2 * size))
        canvas.paint(window, cover * np.float32(opacity), surface, gloss=0.5)
        found[window.place] |= cover > 0.5
    return found, {"radius": radius, "drops": len(drops) - 1, "opacity": opacity, "near_edge": near_edge}


def other(canvas: Canvas, scene: Scene, random: np.random.Generator, *, kind: str) -> tuple[np.ndarray, dict]:
    """One of ``RARE`` but for the bent part, which is a part's: pixels bool [S, S], parameters."""
    place = random.uniform(70, UNITS - 70, 2)
    found = np.zeros((canvas.size, canvas.size), bool)
    painters: dict[str, Callable[..., tuple[Window, np.ndarray, dict]]] = {
        "stain": stain,
        "burn": burn,
        "fingerprint": fingerprint,
        "discolouration": discolouration,
        "bubble": bubble,
    }
    window, body, parameters = painters[kind](canvas, scene, random, place)
    found[window.place] = body
    return found, {"material": kind, **parameters}


def stain(
    canvas: Canvas, scene: Scene, random: np.random.Generator, place: np.ndarray
) -> tuple[Window, np.ndarray, dict]:
    """A dried drop: a thin tint with a darker rim."""
    radius, depth = float(random.uniform(16, 70)), float(random.uniform(0.2, 0.5))
    window, inside = blob(canvas, random, place, radius, ragged=0.22)
    tint = np.array([0.75, 0.9, 1.25], np.float32) if random.uniform() < 0.7 else np.array([1.1, 1.05, 0.8], np.float32)
    rim = np.exp(-((inside / np.float32(0.07 * radius + 1.5)) ** 2))
    cover = canvas.cover(inside, soft=3)
    dark = np.float32(depth) * (0.55 * cover + 0.8 * rim)
    canvas.colour[window.place] *= np.clip(1 - dark[..., None] * tint, 0.02, 2)
    return window, cover > 0.5, {"radius": radius, "depth": depth}


def burn(
    canvas: Canvas, scene: Scene, random: np.random.Generator, place: np.ndarray
) -> tuple[Window, np.ndarray, dict]:
    """Brown outside, black within, without gloss."""
    radius = float(random.uniform(14, 52))
    window, inside = blob(canvas, random, place, radius, ragged=0.3)
    rough = smooth_field(random, canvas, cells=60)[window.place]
    brown = canvas.cover(inside + 2.5 * rough, soft=0.7 * radius)
    black = canvas.cover(inside + 0.5 * radius + 3 * rough, soft=0.5 * radius)
    canvas.colour[window.place] *= 1 - 0.7 * brown[..., None] * np.array([0.55, 0.85, 1.0], np.float32)
    canvas.paint(
        window, 0.8 * black, np.float32(0.012) * (1.3 + np.clip(rough, -1, 1))[..., None] * np.ones(3, np.float32)
    )
    canvas.gloss[window.place] *= 1 - 0.9 * brown
    return window, brown > 0.35, {"radius": radius}


def fingerprint(
    canvas: Canvas, scene: Scene, random: np.random.Generator, place: np.ndarray
) -> tuple[Window, np.ndarray, dict]:
    """Ridges around a core that are lighter or darker than what is below."""
    radius, depth = float(random.uniform(45, 85)), float(random.uniform(0.25, 0.5))
    window, inside = blob(canvas, random, place, radius, ragged=0.1)
    u, v = canvas.grid(window, centre=tuple(place), angle=float(random.uniform(0, math.pi)))
    away = np.sqrt(u * u + (0.7 * v + 8 * np.sin(u / 30)) ** 2)
    ridges = np.sin(away * np.float32(2 * math.pi / 8.5) + 1.3 * smooth_field(random, canvas, cells=16)[window.place])
    pressed = np.clip(0.75 + 0.45 * smooth_field(random, canvas, cells=24)[window.place], 0, 1)
    cover = canvas.cover(inside, soft=14)
    sign = np.float32(random.choice([-1.0, 0.8]))
    canvas.shade(window, 1 + sign * np.float32(depth) * cover * pressed * np.clip(0.3 + ridges, 0, 1.3))
    return window, cover > 0.5, {"radius": radius, "depth": depth}


def discolouration(
    canvas: Canvas, scene: Scene, random: np.random.Generator, place: np.ndarray
) -> tuple[Window, np.ndarray, dict]:
    """A soft patch of another tint."""
    radius = float(random.uniform(40, 110))
    window, inside = blob(canvas, random, place, radius, ragged=0.3)
    tint = 1 + random.normal(size=3).astype(np.float32) * 0.3
    cover = canvas.cover(inside, soft=0.5 * radius)
    canvas.colour[window.place] *= 1 + cover[..., None] * (np.clip(tint, 0.45, 1.8) - 1)
    return window, cover > 0.5, {"radius": radius, "tint": np.round(tint, 3).tolist()}


def bubble(
    canvas: Canvas, scene: Scene, random: np.random.Generator, place: np.ndarray
) -> tuple[Window, np.ndarray, dict]:
    """Blisters under the solder mask or in the epoxy: domes of what is below, a highlight on each."""
    radius = float(random.uniform(7, 22))
    found = canvas.window(place[None], margin=4.5 * radius)
    body = np.zeros((canvas.size, canvas.size), bool)
    for _ in range(int(random.integers(1, 4))):
        size = radius * random.uniform(0.45, 1)
        window, inside = blob(canvas, random, place + random.normal(size=2) * radius, size, ragged=0.05)
        if min(window.shape) == 0:
            continue
        cover = canvas.cover(inside)
        cast_shadow(canvas, window, cover, height=3, depth=0.35)
        dome = 0.5 * size * np.sqrt(np.clip(1 - (1 + inside / size).clip(0) ** 2, 0, 1))
        below = canvas.colour[window.place].copy()
        surface = lit(canvas, dome.astype(np.float32), Material(below, 0.4, 30), blur=0.1 * size)
        canvas.paint(window, cover, surface, gloss=0.5)
        body[window.place] |= cover > 0.5
    return found, body[found.place], {"radius": radius}
