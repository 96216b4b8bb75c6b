"""Cracks, which wander from the die's edges inward, and scratches, which run straight over what lies in their way."""

from __future__ import annotations

import math

import numpy as np

from generative.rendering.inspection.canvas import UNITS, Canvas
from generative.rendering.inspection.layout import Scene
from generative.rendering.inspection.swept import path_step, resampled, shown_part, sweep


def on_board(scene: Scene, points: np.ndarray) -> np.ndarray:
    """Places on the die, seen from its middle, as units of the board [N, 2]."""
    cos, sin = math.cos(scene.die.angle), math.sin(scene.die.angle)
    return np.asarray(points) @ np.array([[cos, sin], [-sin, cos]]) + scene.die.centre


def crack(canvas: Canvas, scene: Scene, random: np.random.Generator) -> tuple[np.ndarray, dict]:
    """A branching random walk, dark with one bright rim: which pixels it covers, bool [S, S], and what was drawn."""
    half = np.array(scene.die.half)
    corner = bool(random.uniform() < 0.45)
    side = int(random.integers(4))
    outward = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)][side], float)
    along = random.uniform(0.85, 0.98) * random.choice([-1, 1]) if corner else random.uniform(-0.8, 0.8)
    start = outward * half + along * half * np.abs(outward[::-1]) - outward
    heading = math.atan2(-outward[1], -outward[0]) + random.uniform(-0.6, 0.6)
    length = float(np.exp(random.uniform(math.log(45), math.log(260))))
    branches = walk(random, start, heading, length, half)
    width = float(random.uniform(0.75, 1.5))
    found = np.zeros((canvas.size, canvas.size), bool)
    bright = float(random.choice([-1, 1]))
    for number, branch in enumerate(branches):
        path = resampled(on_board(scene, branch), path_step(canvas))
        taper = np.linspace(1, 0.45, len(path)) * width * (1 if number == 0 else 0.7)
        drawn = sweep(canvas, path, margin=6)
        if drawn is None:
            continue
        dark = drawn.pixels(drawn.cover(canvas, taper.astype(np.float32)))
        rim = np.clip(1 - np.abs(drawn.side * np.float32(bright) - taper[drawn.place] - 0.9) / 1.1, 0, 1)
        canvas.shade(drawn.window, (1 + 0.55 * drawn.pixels(rim)) * (1 - 0.8 * dark))
        found[drawn.window.place] |= shown_part(dark, 0.3)
    return found, {"length": length, "width": 2 * width, "branches": len(branches), "corner": corner}


def walk(
    random: np.random.Generator, start: np.ndarray, heading: float, length: float, half: np.ndarray, *, depth: int = 0
) -> list[np.ndarray]:
    """Jagged paths [N, 2] on the die from ``start``, the first the longest; a branch leaves at 25 to 60 degrees."""
    points, left, drift = [start], length, 0.0
    branches: list[np.ndarray] = []
    while left > 0:
        step = float(random.uniform(4, 13))
        drift = 0.8 * drift + random.normal() * 0.16
        direction = heading + drift + random.normal() * 0.38
        reached = points[-1] + step * np.array([math.cos(direction), math.sin(direction)])
        if np.any(np.abs(reached) > half):
            break
        points.append(reached)
        left -= step
        if depth < 2 and random.uniform() < 0.07:
            fork = heading + drift + random.choice([-1, 1]) * random.uniform(0.45, 1.05)
            branches += walk(random, reached, fork, left * random.uniform(0.2, 0.6), half, depth=depth + 1)
    return [np.array(points), *branches] if len(points) > 1 else branches


def scratch(canvas: Canvas, scene: Scene, random: np.random.Generator) -> tuple[np.ndarray, dict]:
    """One to five strokes side by side on the die or the board, bright or dark by how they lie to the lamp."""
    on_die = bool(random.uniform() < 0.6)
    half = np.array(scene.die.half)
    place = random.uniform(-0.75, 0.75, 2) * half + scene.die.centre if on_die else random.uniform(90, UNITS - 90, 2)
    heading = float(random.uniform(0, 2 * math.pi))
    length = float(np.exp(random.uniform(math.log(60), math.log(320))))
    count = int(random.choice([1, 2, 3, 4, 5], p=[0.4, 0.25, 0.15, 0.12, 0.08]))
    bend = float(random.normal() * 0.35 / length)
    width = float(random.uniform(0.8, 1.9))
    glint = abs(math.sin(heading - canvas.light.azimuth))
    tone = (0.5 + 0.7 * glint) if random.uniform() < 0.45 + 0.45 * glint else -(0.55 + 0.2 * random.uniform())
    found = np.zeros((canvas.size, canvas.size), bool)
    for stroke in range(count):
        offset = (stroke - (count - 1) / 2) * random.uniform(4, 9)
        begin, end = random.uniform(-0.5, -0.3), random.uniform(0.3, 0.5)
        along = np.linspace(begin, end, 40) * length
        angle = heading + bend * along + random.normal() * 0.01
        steps = np.diff(along, prepend=along[0])[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        origin = place + along[0] * np.array([math.cos(heading), math.sin(heading)])
        path = origin + offset * np.array([-math.sin(heading), math.cos(heading)]) + steps.cumsum(axis=0)
        if on_die:
            path = path[np.all(np.abs(path - scene.die.centre) < half - 3, axis=1)]
        if len(path) >= 2:
            found |= stroke_on(canvas, path, width, tone, random)
    return found, {"length": length, "strokes": count, "width": 2 * width, "on_die": on_die, "tone": float(tone)}


def stroke_on(canvas: Canvas, path: np.ndarray, width: float, tone: float, random: np.random.Generator) -> np.ndarray:
    """One stroke, with places where the tool has skipped: which pixels it covers."""
    table, phase = random.normal(size=24), random.uniform(0, 1)
    found = np.zeros((canvas.size, canvas.size), bool)
    path = resampled(path, path_step(canvas))
    along = np.linspace(0, 1, len(path))
    pressure = np.clip(0.85 + 0.5 * np.interp(along * 22 + phase, np.arange(24), table), 0, 1)
    pressure *= np.clip(np.minimum(along, 1 - along) * 9, 0.15, 1)
    drawn = sweep(canvas, path, margin=5)
    if drawn is None:
        return found
    radius = (width * (0.5 + 0.5 * pressure)).astype(np.float32)
    cover = drawn.pixels(drawn.cover(canvas, radius) * pressure.astype(np.float32)[drawn.place])
    rim = drawn.pixels(
        np.clip(1 - np.abs(drawn.side - radius[drawn.place] - 0.7), 0, 1) * (radius[drawn.place] > 0.75 * width)
    )
    canvas.shade(drawn.window, (1 + np.float32(tone) * cover) * (1 - np.float32(0.3 * np.sign(tone)) * rim))
    below = canvas.colour[drawn.window.place]
    if tone > 0:
        below += np.float32(0.05 * tone) * cover[..., None]
    found[drawn.window.place] = shown_part(cover, 0.3)
    return found
