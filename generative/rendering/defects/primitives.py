"""Bridges, bumps and islands on boards of two levels: measured on real defects, and drawn at sizes and places like theirs.

A primitive adds to a phase (copper or board). ``distance`` is that of each pixel of the other phase from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from generative.rendering.defects.binary import smoothed
from generative.rendering.defects.draws import varied
from generative.rendering.defects.libraries import opencv
from generative.rendering.defects.strokes import PAD, Stroke, bent, unevenness
from generative.rendering.defects.topology import MARGIN, Kind, kind_of, window

NUM_TRIES = 12  # before an instance is given up
NUM_PLACES = 384  # of a board that are looked at in a try
LONGEST_GAP = 120  # pixels
LEAST_GAP = 3
ROOT = 3.0  # pixels that a stroke reaches into the phase it is joined to
LIKE = 0.25  # tolerance of a place's size to the one that is looked for, in logarithms
AREA_WITHIN = (0.6, 1.6)  # of the area that is looked for
SIZE_NOISE = 0.15  # of the logarithms of scale and of stretch: together 0.25 in size
ROUGHNESS = 0.7  # pixels
SPECKS = 0.45  # of the radius: the noise that tears a ragged one up
MOST_SPECKS = 1.4  # pixels: more would turn a wide one to dust
STEPS = np.arange(1, 4)  # pixels that slopes are taken over
REACH_OF_ROOM = 10  # pixels around a mask in which its room is measured


@dataclass(frozen=True)
class Size:
    """What is kept of one real defect, in pixels.

    ``reach``: of a bridge the gap that it closes, of a bump how far it stands out, of an island its length. ``width`` is
    area / reach. ``room``: the largest distance from the phase added to that is near it, half the width of the gap or track
    that it lies on. ``clearance``: of an island how far it keeps off.
    """

    area: float
    reach: float
    width: float
    room: float
    clearance: float
    ragged: bool


@dataclass(frozen=True)
class Drawn:
    """A new defect: ``mask`` bool [h, w] at ``place`` of the image, all of whose pixels change; what it was drawn by."""

    place: tuple[slice, slice]
    mask: np.ndarray
    kind: Kind
    score: float  # how well the place fits the one that the measured defect had: 1 exactly, falling to 0
    parameters: dict[str, Any]


class Board:
    """A board of two levels, ``copper`` bool [H, W], with the distances from each phase."""

    def __init__(self, copper: np.ndarray) -> None:
        self.copper = copper
        self.distances = {adds: distance_from(copper if adds else ~copper) for adds in (True, False)}
        beside = {adds: (distance > 0) & (distance <= 1) for adds, distance in self.distances.items()}
        self.rims = {adds: np.argwhere(rim) for adds, rim in beside.items()}
        self.taken = np.zeros_like(copper)

    def take(self, place: tuple[slice, slice]) -> None:
        """Keep what follows off ``place``."""
        self.taken[place] = True


def distance_from(phase: np.ndarray) -> np.ndarray:
    """Of each pixel [H, W] to the nearest of ``phase``, float32; everywhere the size of the image where there is none."""
    if not phase.any():
        return np.full(phase.shape, float(max(phase.shape)), dtype=np.float32)
    cv2 = opencv()
    found: np.ndarray = cv2.distanceTransform((~phase).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return found


def measure(copper: np.ndarray, mask: np.ndarray, *, primitive: str, adds_copper: bool) -> Size:
    """The size of a real defect ``mask`` on the board without it, both bool [H, W]."""
    distance = distance_from(copper if adds_copper else ~copper)
    area = float(mask.sum())
    inside = distance[mask]
    if primitive == "bridge":
        reach = 2.0 * float(inside.max())
    elif primitive == "bump":
        reach = float(inside.max())
    else:
        rows, columns = np.nonzero(mask)
        spread = np.linalg.eigvalsh(np.cov(np.stack([rows, columns]), bias=True) + np.eye(2) / 12)
        reach = 4.0 * float(np.sqrt(spread[1]))  # the long axis of the ellipse with these second moments
    reach = max(reach, 1.0)
    near = distance[window(mask, margin=REACH_OF_ROOM)]
    ragged = kind_of(copper, mask, adds_copper=adds_copper).ragged
    return Size(area, reach, area / reach, float(near.max()), float(inside.min()), ragged)


def draw(
    board: Board, sizes: Sequence[Size], random: np.random.Generator, *, primitive: str, adds_copper: bool
) -> Drawn | None:
    """A new defect like one of ``sizes``, or None where the board has no such place; only what the topology says it is."""
    for _ in range(NUM_TRIES):
        like = sizes[int(random.integers(len(sizes)))]
        size = resized(like, random)
        laid = LAYERS[primitive](board, size, random, adds_copper)
        if laid is None:
            continue
        stroke, score, turn = laid
        drawn = stamped(board, stroke, size, random, adds_copper=adds_copper)
        if drawn is None:
            continue
        place, mask = drawn
        around = widened(place, board.copper.shape)
        kind = kind_of(board.copper[around], mask_within(around, place, mask), adds_copper=adds_copper)
        area = float(mask.sum())
        wanted = size.area
        if kind.primitive != primitive or (kind.ragged and not size.ragged):
            continue
        if not AREA_WITHIN[0] * wanted <= area <= AREA_WITHIN[1] * wanted:
            continue
        parameters = {**asdict(size), "area": area, "turn": round(turn, 3)}
        points = [[round(float(x), 2), round(float(y), 2)] for y, x in stroke.points[[0, len(stroke.points) // 2, -1]]]
        parameters |= {"control_points": points, "thickness": round(2 * float(stroke.radii.mean()), 2)}
        return Drawn(place, mask, kind, score, parameters)
    return None


def resized(like: Size, random: np.random.Generator) -> Size:
    """A size near a measured one: scaled as a whole, and longer or shorter at the same area."""
    scale, stretch = varied(1.0, random, noise=SIZE_NOISE), varied(1.0, random, noise=SIZE_NOISE)
    reach, area = like.reach * scale * stretch, like.area * scale**2
    return replace(like, reach=reach, area=area, width=area / reach)


def widened(place: tuple[slice, slice], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """``place`` and the margin that a topology is counted in."""
    rows, columns = (
        slice(max(0, side.start - MARGIN), min(length, side.stop + MARGIN))
        for side, length in zip(place, shape, strict=True)
    )
    return rows, columns


def mask_within(around: tuple[slice, slice], place: tuple[slice, slice], mask: np.ndarray) -> np.ndarray:
    """A mask at ``place`` as one of the wider part ``around``."""
    (top, left), (bottom, right) = (
        [inner.start - outer.start for inner, outer in zip(place, around, strict=True)],
        [outer.stop - inner.stop for inner, outer in zip(place, around, strict=True)],
    )
    return np.pad(mask, ((top, bottom), (left, right)))


def stamped(
    board: Board, stroke: Stroke, size: Size, random: np.random.Generator, *, adds_copper: bool
) -> tuple[tuple[slice, slice], np.ndarray] | None:
    """The place and mask of a stroke with an uneven rim; None where it leaves the board or meets another defect."""
    place = stroke.place(board.copper.shape)
    if place is None or board.taken[place].any():
        return None
    depth = stroke.depth(place)
    depth = depth + ROUGHNESS * unevenness(depth.shape, random, length=1.5)
    if size.ragged:
        specks = min(SPECKS * float(stroke.radii.mean()), MOST_SPECKS)
        depth = depth + specks * unevenness(depth.shape, random, length=0.8)
    copper = board.copper[place]
    mask = (depth > 0) & (copper ^ adds_copper)
    if not size.ragged:  # crumbs are what smoothing takes away
        mask = smoothed(copper, mask, adds_copper=adds_copper)
    return (place, mask) if mask.any() else None


Laid = tuple[Stroke, float, float]  # a stroke, its score, and its direction in radians


def rims(board: Board, random: np.random.Generator, adds_copper: bool) -> tuple[np.ndarray, np.ndarray]:
    """Some pixels beside the phase added to, [K, 2], and the unit normals away from it, [K, 2]."""
    distance = board.distances[adds_copper]
    found = board.rims[adds_copper]
    points = found[random.integers(len(found), size=NUM_PLACES)].astype(np.float64) if len(found) else np.zeros((0, 2))
    height, width = distance.shape
    inner = ((points >= 4) & (points < np.array([height - 4, width - 4]))).all(axis=1)
    points = points[inner]
    near = points.astype(int)
    # The distance grows along the normal; a wide difference, since rims are stairs of pixels.
    slopes = []
    for down, right in ((1, 0), (0, 1)):
        rows, columns = ((near[:, :1] + down * STEPS), (near[:, 1:] + right * STEPS))
        before, after = ((near[:, :1] - down * STEPS), (near[:, 1:] - right * STEPS))
        slopes.append((distance[rows, columns] - distance[before, after]).sum(axis=1))
    normals = np.stack(slopes, axis=1).astype(np.float64)
    lengths = np.linalg.norm(normals, axis=1)
    kept = lengths > 1.0
    return points[kept], normals[kept] / lengths[kept, None]


def turned(directions: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Vectors [K, 2] turned by ``angles`` [K]."""
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack(
        [cos * directions[:, 0] - sin * directions[:, 1], sin * directions[:, 0] + cos * directions[:, 1]], 1
    )


def pick(
    found: np.ndarray, wanted: float, random: np.random.Generator, *, tolerance: float
) -> tuple[int, float] | None:
    """One of the sizes ``found`` [K], the likelier the nearer it is to ``wanted``, and how near: exp(-z^2 / 2)."""
    if not len(found):
        return None
    z = np.log(np.maximum(found, 1e-3) / max(wanted, 1e-3)) / tolerance
    weights = np.exp(-0.5 * z**2)
    total = weights.sum()
    if not total > 1e-6:
        return None
    place = int(np.searchsorted(np.cumsum(weights) / total, random.random()))
    place = min(place, len(found) - 1)
    return place, float(weights[place])


def lay_bridge(board: Board, size: Size, random: np.random.Generator, adds_copper: bool) -> Laid | None:
    """From rim to rim over a gap that is about as wide as the one that was measured."""
    points, normals = rims(board, random, adds_copper)
    directions = turned(normals, random.normal(0, 0.2, len(points)))
    steps = np.arange(1, LONGEST_GAP)
    height, width = board.copper.shape
    rays = np.rint(points[:, None] + steps[None, :, None] * directions[:, None]).astype(int)
    inside = ((rays >= 0) & (rays < np.array([height, width]))).all(axis=2)
    rays = rays.clip(0, np.array([height - 1, width - 1]))
    hit = (board.distances[adds_copper][rays[..., 0], rays[..., 1]] == 0) & inside
    gaps = np.where(hit.any(axis=1), steps[hit.argmax(axis=1)], 0).astype(np.float64)
    usable = gaps >= LEAST_GAP
    chosen = pick(gaps[usable], size.reach, random, tolerance=LIKE)
    if chosen is None:
        return None
    place, score = chosen
    start, direction, gap = points[usable][place], directions[usable][place], gaps[usable][place]
    ends = start - ROOT * direction, start + (gap + ROOT - 1) * direction
    stroke = bent(*ends, bend=random.normal(0, 0.08), width=max(size.area / gap, 1.5), random=random)
    return stroke, score, angle(direction)


def lay_bump(board: Board, size: Size, random: np.random.Generator, adds_copper: bool) -> Laid | None:
    """Out of a rim beside which there is about as much room as there was."""
    points, normals = rims(board, random, adds_copper)
    if not len(points):
        return None
    height, width = board.copper.shape
    ahead = np.rint(points[:, None] + np.arange(2, 40, 3)[None, :, None] * normals[:, None]).astype(int)
    ahead = ahead.clip(0, np.array([height - 1, width - 1]))
    distance = board.distances[adds_copper][ahead[..., 0], ahead[..., 1]]
    free = np.where(np.minimum.accumulate(distance > 0, axis=1), distance, 0).max(axis=1)
    chosen = pick(free, max(size.room, size.reach / 2 + 2), random, tolerance=2 * LIKE)
    if chosen is None:
        return None
    place, score = chosen
    start, normal = points[place], normals[place]
    tangent = np.array([-normal[1], normal[0]])
    if size.width > 1.6 * size.reach:  # a shallow one is a stroke along the rim
        half = (size.width - size.reach) / 2
        middle = start - 0.25 * size.reach * normal
        stroke = bent(middle - half * tangent, middle + half * tangent, bend=0.0, width=2.2 * size.reach, random=random)
        return stroke, score, angle(normal)
    direction = turned(normal[None], random.normal(0, 0.35, 1))[0]
    radius = min(size.width, size.reach) / 2
    ends = start - radius * direction, start + max(size.reach - radius, 1.0) * direction
    stroke = bent(*ends, bend=random.normal(0, 0.12), width=size.width, random=random)
    return stroke, score, angle(direction)


def lay_island(board: Board, size: Size, random: np.random.Generator, adds_copper: bool) -> Laid | None:
    """Somewhere that is about as far from the phase as it was."""
    distance = board.distances[adds_copper]
    height, width = distance.shape
    border = int(size.reach / 2 + size.width / 2) + PAD + 1
    if min(height, width) <= 2 * border:
        return None
    points = np.stack([random.integers(border, side - border, size=NUM_PLACES) for side in (height, width)], axis=1)
    room = distance[points[:, 0], points[:, 1]] - size.reach / 2
    usable = room > 2
    chosen = pick(room[usable], max(size.clearance, 3.0), random, tolerance=4 * LIKE)
    if chosen is None:
        return None
    place, score = chosen
    turn = random.uniform(0, np.pi)
    direction = np.array([np.sin(turn), np.cos(turn)])
    breadth = size.area / size.reach * 4 / np.pi  # of the ellipse; a stroke of that length has rounder ends
    half = max(size.reach - breadth, 0.5) / 2
    middle = points[usable][place].astype(np.float64)
    ends = middle - half * direction, middle + half * direction
    return bent(*ends, bend=random.normal(0, 0.12), width=breadth, random=random), score, turn


def angle(direction: np.ndarray) -> float:
    """Of a direction (row, column), in radians from the rows' axis of an image, against the clock."""
    return float(np.arctan2(-direction[0], direction[1]))


LAYERS = {"bridge": lay_bridge, "bump": lay_bump, "island": lay_island}
