"""Parts on their pads: capacitors, resistors, inductors, transistors and crystals, and what goes wrong when they are placed."""

from __future__ import annotations

import math

import numpy as np

from generative.rendering.inspection.board import SILK, TIN, pad_places
from generative.rendering.inspection.canvas import Canvas, Window, box_distance, text_cover
from generative.rendering.inspection.layout import CHIPS, MOST_MOVE, MOST_TURN, Pose, Scene, Site
from generative.rendering.inspection.relief import Material, cast_shadow, lit

HEIGHTS = {"capacitor": 14.0, "resistor": 8.0, "inductor": 20.0, "transistor": 15.0, "crystal": 12.0}
REACH = 34.0  # units beyond its site that a part and its shadow may take


def draw_parts(canvas: Canvas, scene: Scene) -> None:
    for number, (site, pose) in enumerate(zip(scene.product.sites, scene.poses, strict=True)):
        draw_part(canvas, site, pose, scene.address.generator(f"part {number}"))


def draw_part(canvas: Canvas, site: Site, pose: Pose, random: np.random.Generator) -> None:
    """One part as its pose says; ``random`` shades it, whatever the pose."""
    tone, glare = np.float32(random.uniform(0.88, 1.12)), random.normal(size=2)
    window = canvas.window(site.points(grown=REACH))
    if min(window.shape) == 0 or pose.state == "missing":
        return
    u, v = local(canvas, window, site, pose)
    height = HEIGHTS[site.kind]
    half = np.array(site.half)
    if pose.state == "tombstoned":
        u, half, height = u - half[0] * 0.8, np.array([half[1] * 0.62, half[1]]), site.half[0] * 2.2
    body = box_distance(u, v, half, radius=1.2 if site.kind != "crystal" else 6.0)
    if pose.state == "bent":
        v = v + pose.amount * np.maximum(u, 0) ** 2 / site.half[0]
        body = box_distance(u, v, half, radius=1.2)
    cast_shadow(canvas, window, canvas.cover(body), height=height)
    if pose.state != "tombstoned":
        draw_solder(canvas, window, site)
    tops = {"crystal": 0.7, "inductor": 0.35}
    colour = CHIPS[site.kind][site.colour] * tone
    dome = -0.22 * np.maximum(body + 3.0, 0) ** 2
    surface = lit(
        canvas, np.maximum(dome, -12).astype(np.float32), Material(colour, tops.get(site.kind, 0.15)), blur=0.8
    )
    canvas.paint(window, canvas.cover(body), surface, gloss=tops.get(site.kind, 0.2))
    if pose.state == "tombstoned":
        canvas.paint(window, canvas.cover(body + 1.5), TIN * np.float32(0.9 + 0.05 * glare[0]), gloss=0.6)
        return
    draw_top(canvas, window, site, u, v)
    if pose.state == "chipped":
        broken = chip_distance(u, v, site, pose)
        canvas.paint(
            window, canvas.cover(np.maximum(broken, body)), CHIPS["capacitor"][2] * np.float32(0.8), gloss=0.02
        )
        canvas.shade(window, 1 - 0.5 * canvas.cover(np.maximum(np.abs(broken) - 1.0, body)))


def local(canvas: Canvas, window: Window, site: Site, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Units along and across a part that lies as ``pose`` says."""
    cos, sin = math.cos(site.angle), math.sin(site.angle)
    along, across = pose.move[0] * 2 * site.half[0], pose.move[1] * 2 * site.half[1]
    centre = (site.centre[0] + cos * along - sin * across, site.centre[1] + sin * along + cos * across)
    return canvas.grid(window, centre=centre, angle=site.angle + pose.turn)


def draw_solder(canvas: Canvas, window: Window, site: Site) -> None:
    """Tin that has climbed the ends of the part: it stays on the pads, wherever the part is."""
    u, v = canvas.grid(window, centre=site.centre, angle=site.angle)
    for x, y, half, width in pad_places(site):
        inside = box_distance(u - x, v - y, (half - 0.5, width - 0.8), radius=3.0)
        bulge = 6 * np.sqrt(np.clip(-inside / 6, 0, 1))
        surface = lit(canvas, bulge.astype(np.float32), Material(TIN * 0.55, 0.8, 24), blur=1.0)
        canvas.paint(window, canvas.cover(inside), surface, gloss=0.8)


def draw_top(canvas: Canvas, window: Window, site: Site, u: np.ndarray, v: np.ndarray) -> None:
    """End caps, leads, words: what tells the kinds apart."""
    half, width = site.half
    if site.kind in ("capacitor", "resistor"):
        cap = half * (0.42 if site.kind == "capacitor" else 0.3)
        for side in (-1, 1):
            inside = box_distance(u - side * (half - cap / 2), v, (cap / 2 + 0.6, width + 0.4), radius=1.0)
            rounded = (0.62 + 0.42 * np.sqrt(np.clip(1 - (v / width) ** 2, 0, 1)))[..., None].astype(np.float32)
            canvas.paint(window, canvas.cover(inside), TIN * rounded, gloss=0.7)
        if site.kind == "resistor":
            words = f"{int(site.centre[0]) % 90 + 10}{int(site.centre[1]) % 5}"
            canvas.paint(window, 0.8 * text_cover(canvas, u, v, words, height=width * 0.95), SILK)
    elif site.kind == "inductor":
        away = np.sqrt(u * u + v * v)
        canvas.shade(window, 1 - 0.55 * canvas.cover(np.abs(away - width * 0.66) - width * 0.22, soft=2))
    elif site.kind == "transistor":
        for x, y, _, _ in pad_places(site):
            inside = box_distance(u - x * 1.02, v - y, (4.2, 2.6), radius=0.8)
            canvas.paint(window, canvas.cover(inside), TIN * np.float32(0.8), gloss=0.6)
        words = "ABCDEFGHKM"[int(site.centre[0]) % 10] + str(int(site.centre[1]) % 10)
        canvas.paint(window, 0.6 * text_cover(canvas, u, v, words, height=width * 0.6), SILK)
    else:
        words = f"{int(site.centre[0]) % 40 + 8}.000"
        canvas.paint(window, 0.5 * text_cover(canvas, u, v, words, height=width * 0.5), np.zeros(3, np.float32))


def chip_distance(u: np.ndarray, v: np.ndarray, site: Site, pose: Pose) -> np.ndarray:
    """Signed distance to the corner that has broken off, below 0 where it is gone."""
    size = pose.amount * site.half[1]
    edge = (site.half[0] - u) * 0.8 + (site.half[1] - v) - size
    return edge * 0.75 + 0.9 * np.sin(0.9 * u) * np.sin(1.3 * v + 1)


def misplaced(scene: Scene, random: np.random.Generator, amount: float) -> tuple[int, Pose]:
    """A site and a pose beyond every tolerance; ``amount`` scales how far beyond.

    Turned by more than 8 degrees, moved by more than 20 percent of the length, missing, on end, or with a broken corner.
    """
    chips = [k for k, site in enumerate(scene.product.sites) if site.kind in ("capacitor", "resistor")]
    state = str(random.choice(["missing", "turned", "moved", "tombstoned", "chipped"], p=[0.28, 0.24, 0.2, 0.16, 0.12]))
    among = chips if state in ("tombstoned", "chipped") and chips else list(range(len(scene.product.sites)))
    number = int(random.choice(among))
    side = float(random.choice([-1, 1]))
    turn, move = scene.poses[number].turn, scene.poses[number].move
    small = (float(random.uniform(-MOST_MOVE, MOST_MOVE)), float(random.uniform(-MOST_MOVE, MOST_MOVE)))
    if state == "turned":
        return number, Pose(small, side * (MOST_TURN * 4 + amount * math.radians(random.uniform(1, 40))))
    if state == "moved":
        along = side * (0.2 + amount * random.uniform(0.02, 0.3))
        return number, Pose((along, small[1]) if random.uniform() < 0.6 else (small[0], 1.4 * along), turn + small[0])
    return number, Pose(move, turn, state, amount=float(random.uniform(0.7, 1.3)))


def part_body(canvas: Canvas, site: Site, pose: Pose) -> np.ndarray:
    """The pixels that a person marks: bool [S, S]: the part and where it should lie, of a chipped one the chip."""
    found = np.zeros((canvas.size, canvas.size), bool)
    window = canvas.window(site.points(grown=REACH))
    if min(window.shape) == 0:
        return found
    u, v = local(canvas, window, site, Pose() if pose.state == "missing" else pose)
    half = site.half
    if pose.state == "tombstoned":
        u, half = u - half[0] * 0.8, (half[1] * 0.62, half[1])
    if pose.state == "bent":
        v = v + pose.amount * np.maximum(u, 0) ** 2 / site.half[0]
    inside = box_distance(u, v, half, radius=1.2)
    if pose.state == "chipped":
        inside = np.maximum(inside, chip_distance(u, v, site, pose))
    else:
        u, v = canvas.grid(window, centre=site.centre, angle=site.angle)
        inside = np.minimum(inside, box_distance(u, v, (site.half[0] + 2, site.half[1] + 2)))
    found[window.place] = inside < 0
    return found
