"""The die: a ground, mirroring square with a bevel and laser marks, and the cavity with its solder bumps where it is missing."""

from __future__ import annotations

import math

import cv2
import numpy as np

from generative.rendering.inspection.board import TIN
from generative.rendering.inspection.canvas import Canvas, box_distance, linear, smooth_field, text_cover
from generative.rendering.inspection.epoxy import epoxy_window, rim_places
from generative.rendering.inspection.layout import EPOXIES, SOLDER_MASKS, Scene
from generative.rendering.inspection.relief import Material, lit

BEVEL = 4.0  # units


def draw_die(canvas: Canvas, scene: Scene) -> None:
    if scene.die_state == "missing":
        draw_cavity(canvas, scene)
        return
    die, random = scene.die, scene.address.generator("die")
    window = canvas.window(die.points(grown=6))
    u, v = canvas.grid(window, centre=die.centre, angle=die.angle)
    inside = box_distance(u, v, die.half, radius=1.0)
    base = [linear(126, 130, 142), linear(104, 104, 112), linear(138, 134, 132)][scene.product.number % 3]
    light = canvas.light.vector
    slope = random.uniform(0.1, 0.35)
    ramp = (
        1
        + slope * (u * light[0] + v * light[1]) / max(die.half)
        + 0.07 * smooth_field(random, canvas, cells=3)[window.place]
    )
    level = ramp * (1 + ground(u, v, random))
    colour = base * np.float32(random.uniform(0.75, 1.25)) * level[..., None].astype(np.float32)
    canvas.paint(window, canvas.cover(inside), colour, gloss=0.4)
    draw_bevel(canvas, scene, u, v, inside)
    write_marks(canvas, scene, random)


def ground(u: np.ndarray, v: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Relative change of light by the streaks of grinding: arcs of a large wheel, of several widths."""
    heading, bend = random.uniform(0, math.pi), random.uniform(-1, 1) / 4000
    cos, sin = np.float32(math.cos(heading)), np.float32(math.sin(heading))
    across = cos * u + sin * v
    across = across + np.float32(bend) * (cos * v - sin * u) ** 2
    change = np.zeros_like(u)
    for width, depth in ((1.2, 0.05), (4.0, 0.045), (17.0, 0.04)):
        table = random.normal(size=2048).astype(np.float32)
        change += np.float32(depth) * np.interp(across / width + 1024, np.arange(2048), table).astype(np.float32)
    for _ in range(int(random.integers(3, 9))):  # a few deep ones over the whole die
        place, depth = random.uniform(-260, 260), random.uniform(0.05, 0.14) * random.choice([-1, 1])
        change += np.float32(depth) * np.exp(-(((across - place) / 1.1) ** 2))
    return change


def draw_bevel(canvas: Canvas, scene: Scene, u: np.ndarray, v: np.ndarray, inside: np.ndarray) -> None:
    """The edges that face the lamp are bright, the others dark; small chips of sawing are normal."""
    window, random = canvas.window(scene.die.points(grown=6)), scene.address.generator("bevel")
    _, places = rim_places(u, v, scene.die)
    light, half = canvas.light.vector, scene.die.half
    on_side = half[0] - np.abs(u) < half[1] - np.abs(v)
    facing = np.where(on_side, np.sign(u) * light[0], np.sign(v) * light[1])
    width = BEVEL + np.interp(places * 600, np.arange(601), random.gamma(0.5, 0.9, 601)).astype(np.float32)
    rim = canvas.cover(-inside - width) * canvas.cover(inside)
    canvas.shade(window, 1 + rim * np.where(facing > 0, 0.85 * facing, 0.55 * facing).astype(np.float32))


def write_marks(canvas: Canvas, scene: Scene, random: np.random.Generator) -> None:
    """Lines of laser text and a code of black and white cells, lighter than the die or darker."""
    die = scene.die
    lighter, strength = scene.product.number % 2 == 0, random.uniform(0.3, 0.65)
    factor = np.float32(strength if lighter else -0.7 * strength)
    tall = 0.13 * die.half[1] + 6
    for row, words in enumerate(die.words):
        at = np.array([-0.3 * die.half[0], -0.62 * die.half[1] + row * tall * 1.75])
        u, v, window = die_patch(canvas, scene, at, reach=0.62 * die.half[0])
        canvas.shade(window, 1 + factor * text_cover(canvas, u, v, words, height=tall))
    cells, side = 14, 0.16 * min(die.half) + 8
    pattern = (scene.address.generator("code").uniform(size=(cells, cells)) < 0.5).astype(np.float32)
    pattern[-1], pattern[:, 0], pattern[0] = 1, 1, np.arange(cells) % 2
    at = np.array([0.6 * die.half[0], 0.6 * die.half[1]])
    u, v, window = die_patch(canvas, scene, at, reach=side + 3)
    step = cells / (2 * side)
    marks = cv2.remap(
        np.pad(pattern, 1),
        ((u + side) * step + 0.5).astype(np.float32),
        ((v + side) * step + 0.5).astype(np.float32),
        cv2.INTER_LINEAR,
        borderValue=0,
    )
    canvas.shade(window, 1 + factor * marks)
    spot = np.array([-0.86 * die.half[0], 0.86 * die.half[1]])
    u, v, window = die_patch(canvas, scene, spot, reach=12)
    canvas.shade(window, 1 + factor * canvas.cover(np.sqrt(u * u + v * v) - 7))


def die_patch(canvas: Canvas, scene: Scene, at: np.ndarray, *, reach: float) -> tuple:
    """Units from a place ``at`` [2] on the die, and the window around it."""
    cos, sin = math.cos(scene.die.angle), math.sin(scene.die.angle)
    centre = np.array(scene.die.centre) + np.array([cos * at[0] - sin * at[1], sin * at[0] + cos * at[1]])
    window = canvas.window(centre[None], margin=reach)
    u, v = canvas.grid(window, centre=tuple(centre), angle=scene.die.angle)
    return u, v, window


def draw_cavity(canvas: Canvas, scene: Scene) -> None:
    """The die's place without the die: bare board with an array of bumps, some of them torn off, a wall of epoxy around it."""
    die, random = scene.die, scene.address.generator("cavity")
    window = epoxy_window(canvas, scene)
    u, v = canvas.grid(window, centre=die.centre, angle=die.angle)
    distance, places = rim_places(u, v, die)
    if scene.product.number % 2:  # the epoxy has stayed
        width = scene.outline(places)
        rest = np.clip(1 - distance / np.maximum(width, 1), 0, 1) * (distance > 0)
        surface = lit(
            canvas, (16 * rest**1.7).astype(np.float32), Material(EPOXIES[scene.product.epoxy], 0.3, 28), blur=1.5
        )
        canvas.paint(window, canvas.cover(distance - width, soft=1.2), surface, gloss=0.4)
    floor = SOLDER_MASKS[scene.product.solder_mask] * np.float32(0.6) + np.float32(0.03)
    mottle = 1 + 0.12 * smooth_field(random, canvas, cells=14)[window.place]
    canvas.paint(window, canvas.cover(distance), floor * mottle[..., None], gloss=0.2)
    canvas.shade(window, 1 - 0.45 * np.exp(distance / np.float32(9)) * (distance < 0))
    pitch = die.pitch
    x, y = np.mod(u, pitch) - pitch / 2, np.mod(v, pitch) - pitch / 2
    away = np.sqrt(x * x + y * y)
    column, row = np.floor(u / pitch).astype(int) + 64, np.floor(v / pitch).astype(int) + 64
    kinds = random.uniform(size=(128, 128))[np.clip(row, 0, 127), np.clip(column, 0, 127)]
    near = distance < -0.7 * pitch
    radius = pitch * 0.27 * np.where(kinds < 0.12, 0.6, 1.0)
    ball = np.sqrt(np.clip(radius**2 - away**2, 0, None))
    surface = lit(canvas, ball.astype(np.float32), Material(TIN * 0.6, 0.9, 18), blur=0.8)
    canvas.paint(window, canvas.cover(away - radius) * near, surface, gloss=0.8)
