"""Foreign material: fibres, hairs, lint and shavings as worm-like chains that lie on the board with a shadow, and flakes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from generative.rendering.inspection.address import periodic_noise, periodic_values
from generative.rendering.inspection.canvas import UNITS, Canvas, linear
from generative.rendering.inspection.relief import Material, cast_shadow, lit
from generative.rendering.inspection.swept import FINE, path_step, resampled, shown_part, sweep


@dataclass(frozen=True)
class Fibre:
    """Ranges of a kind: radius and length in units, persistence length, opacity, mirror; whether it is flat and twisted."""

    colours: tuple[np.ndarray, ...]
    radius: tuple[float, float]
    length: tuple[float, float]
    persistence: tuple[float, float]
    opacity: tuple[float, float]
    mirror: float
    ribbon: bool
    kinks: float  # a hundred units


FIBRES = {
    "hair": Fibre(
        (linear(52, 38, 28), linear(96, 70, 46), linear(150, 122, 84)), (2.2, 3.6), (110, 420), (160, 900), (0.7, 1.0),
        0.3, False, 0.1,
    ),
    "lint": Fibre(
        (linear(206, 206, 204), linear(176, 182, 192), linear(210, 196, 170)), (2.0, 4.0), (50, 260), (25, 140), (0.5, 0.95),
        0.12, True, 0.7,
    ),
    "textile": Fibre(
        (linear(60, 88, 168), linear(170, 58, 56), linear(62, 128, 96), linear(188, 176, 84), linear(40, 40, 48)),
        (2.8, 5.6), (70, 300), (50, 300), (0.55, 1.0), 0.18, True, 0.4,
    ),
    "shaving": Fibre(
        (linear(158, 158, 160), linear(188, 150, 92)), (2.6, 5.6), (30, 130), (20, 70), (0.9, 1.0), 0.9, True, 1.2,
    ),
}  # fmt: skip
KINDS = ("hair", "lint", "textile", "shaving", "flake")
SHARES = (0.2, 0.28, 0.27, 0.12, 0.13)


def worm(random: np.random.Generator, *, length: float, persistence: float, kinks: float) -> np.ndarray:
    """A worm-like chain [N, 2] in units around 0: the mean cosine between directions s apart is exp(-s / persistence).

    Beside that it bends sharply ``kinks`` times in a hundred units on average.
    """
    step = 2.0
    count = max(4, int(length / step))
    turns = random.normal(size=count) * math.sqrt(2 * step / persistence)
    sharp = random.uniform(size=count) < kinks * step / 100
    turns = turns + sharp * random.normal(size=count) * 1.1
    heading = random.uniform(0, 2 * math.pi) + np.convolve(turns, np.ones(3) / 3, "same").cumsum()
    path = step * np.stack([np.cos(heading), np.sin(heading)], axis=1).cumsum(axis=0)
    return path - path.mean(axis=0)


def foreign_material(canvas: Canvas, random: np.random.Generator) -> tuple[np.ndarray, dict]:
    """One piece anywhere: which pixels it covers, bool [S, S], and what was drawn."""
    kind = str(random.choice(KINDS, p=SHARES))
    place = random.uniform(50, UNITS - 50, 2)
    if kind == "flake":
        return flake(canvas, random, place)
    fibre = FIBRES[kind]
    length = float(np.exp(random.uniform(*np.log(fibre.length))))
    persistence = float(np.exp(random.uniform(*np.log(fibre.persistence))))
    nodes = worm(random, length=length, persistence=persistence, kinks=fibre.kinks) + place
    radius = float(random.uniform(*fibre.radius))
    opacity = float(random.uniform(*fibre.opacity))
    colour = fibre.colours[int(random.integers(len(fibre.colours)))] * np.float32(random.uniform(0.75, 1.25))
    path = resampled(nodes, path_step(canvas))
    along = np.linspace(0, 1, len(path))
    lift = 1.0 + random.uniform(2, 14) * np.clip(
        0.4 + periodic_values(periodic_noise(random, orders=4), along * 0.5), 0, 2
    )
    width = radius * (1 + 0.16 * periodic_values(periodic_noise(random, orders=9, roughness=0.5), along * 0.5))
    width *= np.clip(np.minimum(along, 1 - along) * length / (3 * radius) + 0.55, 0.55, 1)  # ends taper
    phase = random.uniform(0, 6) + along * length / random.uniform(25, 90)
    twist = np.abs(np.cos(phase)) if fibre.ribbon else np.ones_like(phase)
    width = (width * (0.5 + 0.5 * twist)).astype(np.float32)
    parameters = {
        "material": kind, "length": length, "persistence": persistence, "radius": radius, "opacity": opacity,
        "points": np.round(nodes[:: max(1, len(nodes) // 24)], 1).tolist(),
    }  # fmt: skip
    shadow_of(canvas, path, width, lift, opacity)
    drawn = sweep(canvas, path, margin=float(width.max()) + 3)
    found = np.zeros((canvas.size, canvas.size), bool)
    if drawn is None:
        return found, parameters
    cover = drawn.cover(canvas, width)
    shade = tube(canvas, path, width)(drawn.side, drawn.place)
    stripes = (0.75 + 0.25 * twist + 0.1 * np.sin(along * length / 3.1 + phase)).astype(np.float32)[drawn.place]
    mirror = np.float32(fibre.mirror) * shade[1] * (twist**2).astype(np.float32)[drawn.place]
    surface = colour * (shade[0] * stripes)[..., None] + mirror[..., None]
    covered = drawn.pixels(cover)
    colours = drawn.pixels(surface * cover[..., None]) / np.maximum(covered, 1e-4)[..., None]
    canvas.paint(drawn.window, covered * np.float32(opacity), colours, gloss=0.15)
    found[drawn.window.place] = shown_part(covered, 0.4)
    return found, parameters


def tube(
    canvas: Canvas, path: np.ndarray, width: np.ndarray
) -> Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Lambert's and Phong's terms on a round fibre, by the side and the nearest place of each point."""
    tangent = np.gradient(canvas.pixels(path), axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    x, y, z = canvas.light.vector
    normal_light = (-tangent[:, 1] * x + tangent[:, 0] * y).astype(np.float32)  # of the side that counts as positive

    def shade(side: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        out = np.clip(side / np.maximum(width[place], 0.3), -1, 1)
        facing = np.maximum(out * normal_light[place] + np.sqrt(1 - out * out) * z, 0)
        return 0.35 + 0.75 * facing, facing**14

    return shade


def shadow_of(canvas: Canvas, path: np.ndarray, width: np.ndarray, lift: np.ndarray, opacity: float) -> None:
    """The shadow moves away from the fibre and blurs where it stands off the ground."""
    move = canvas.light.shadow @ np.linalg.inv(canvas.turn).T
    ground = path + lift[:, None] * move * 0.8
    drawn = sweep(canvas, ground, margin=float((width + lift).max()) + 4)
    if drawn is None:
        return
    softness = (1.0 + 0.5 * lift).astype(np.float32)[drawn.place]
    radius = width[drawn.place]
    dark = np.clip((radius + softness - drawn.distance) / (2 * softness), 0, 1) * np.minimum(1, 1.6 * radius / softness)
    reach = np.float32(0.5 * FINE * canvas.scale)
    dark = np.minimum(dark, np.clip(0.5 + (radius + softness - drawn.distance) * reach, 0, 1))
    canvas.shade(drawn.window, 1 - np.float32(0.55 * opacity) * drawn.pixels(dark))


def flake(canvas: Canvas, random: np.random.Generator, place: np.ndarray) -> tuple[np.ndarray, dict]:
    """A thin piece with a ragged rim that lies at a slant."""
    radius = float(np.exp(random.uniform(math.log(6), math.log(24))))
    stretch, angle = random.uniform(1, 2.2), random.uniform(0, math.pi)
    rim = periodic_noise(random, orders=9, roughness=0.9)
    colours = (linear(200, 196, 188), linear(150, 112, 72), linear(70, 72, 78), linear(178, 178, 182))
    colour = colours[int(random.integers(len(colours)))]
    opacity = float(random.uniform(0.55, 1.0))
    mirror, lean = float(random.choice([0.1, 0.7], p=[0.6, 0.4])), random.normal(size=2) * 0.25
    found = np.zeros((canvas.size, canvas.size), bool)
    parameters = {"material": "flake", "radius": radius, "stretch": float(stretch), "opacity": opacity}
    window = canvas.window(place[None], margin=radius * stretch * 1.6 + 16)
    if min(window.shape) == 0:
        return found, parameters
    u, v = canvas.grid(window, centre=tuple(place), angle=float(angle))
    u = u / np.float32(stretch)
    away = np.sqrt(u * u + v * v)
    inside = away - radius * (1 + 0.28 * periodic_values(rim, np.arctan2(v, u) / (2 * math.pi)))
    cover = canvas.cover(inside)
    cast_shadow(canvas, window, cover, height=float(random.uniform(3, 10)), depth=0.45 * opacity)
    crumpled = 2.2 * cv2.GaussianBlur(
        random.normal(size=window.shape).astype(np.float32), (0, 0), max(1.0, 3 * canvas.scale)
    )
    slanted = u * np.float32(lean[0]) + v * np.float32(lean[1]) + crumpled * np.float32(1.3 * canvas.scale)
    surface = lit(canvas, slanted.astype(np.float32), Material(colour, mirror, 20), blur=0.8)
    canvas.paint(window, cover * np.float32(opacity), surface, gloss=0.3)
    found[window.place] = cover > 0.5
    return found, parameters
