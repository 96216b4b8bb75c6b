"""Where defects of a class lie: what the faultless picture looks like around the real ones, and where on another it looks so.

The surroundings of a place are its levels at points on rings around it, and where it lies on the picture. They turn with the
defect: a crack that starts at an edge is drawn at an edge, and into the same side of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from generative.rendering.defects.libraries import opencv

RINGS = (0.0, 0.6, 1.2)  # in radii of the defect
NUM_DIRECTIONS = 8
NUM_PLACES = 256  # of a picture that are compared
SPREAD_WEIGHT = 0.1  # over the spread of a class's places on the picture: how much the place counts beside the levels
LEAST_SPREAD = 0.03  # of the picture's sides
RIGHT_ANGLES = (
    0.5  # of the places that are compared: the defect keeps its axes there, give or take TILT, since many parts do
)
TILT = 0.05  # radians
TEMPERATURE = 0.02  # of the choice among places: distances are root mean squares of levels from 0 to 1
SCORED = 0.1  # the distance at which a place's score falls to 1/e
LEAST_RADIUS = 4.0


@dataclass(frozen=True)
class Surroundings:
    """``levels`` [P, C] from 0 to 1 on the rings, ``position`` (x, y) from 0 to 1, and the ``radius`` in pixels."""

    levels: np.ndarray
    position: tuple[float, float]
    radius: float

    @property
    def mirrored(self) -> Surroundings:
        """What lies around the mirrored defect (x to -x): the point at angle a is that at pi - a."""
        order = (NUM_DIRECTIONS // 2 - np.arange(NUM_DIRECTIONS)) % NUM_DIRECTIONS
        rings = [self.levels[:1]]
        for ring in range(len(RINGS) - 1):
            rings.append(self.levels[1 + ring * NUM_DIRECTIONS :][:NUM_DIRECTIONS][order])
        return replace(self, levels=np.concatenate(rings))


@dataclass(frozen=True)
class Place:
    """A centre (x, y) in pixels, by how much the defect is turned there, and how well it fits, from 0 to 1."""

    centre: tuple[float, float]
    turn: float
    score: float


def offsets(radius: float) -> np.ndarray:
    """The points of the rings around (0, 0): [P, 2] (x, y)."""
    angles = 2 * np.pi * np.arange(NUM_DIRECTIONS) / NUM_DIRECTIONS
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([np.zeros((1, 2)), *(scale * radius * ring for scale in RINGS[1:])])


def blurred(picture: np.ndarray, radius: float) -> np.ndarray:
    """A picture [H, W] or [H, W, C] of bytes as levels from 0 to 1 that each stand for their neighbourhood: [H, W, C]."""
    values = picture.astype(np.float32) / 255.0
    size = 2 * max(1, round(0.15 * radius)) + 1
    found: np.ndarray = opencv().blur(values, (size, size))
    return found if found.ndim == 3 else found[..., None]


def levels_at(field: np.ndarray, centres: np.ndarray, turns: np.ndarray, radius: float) -> np.ndarray:
    """The levels [K, P, C] of a blurred picture on the rings around ``centres`` [K, 2], turned by ``turns`` [K]."""
    ring = offsets(radius)
    cos, sin = np.cos(turns)[:, None], np.sin(turns)[:, None]
    x = centres[:, :1] + cos * ring[:, 0] - sin * ring[:, 1]
    y = centres[:, 1:] + sin * ring[:, 0] + cos * ring[:, 1]
    height, width = field.shape[:2]
    return field[np.rint(y).astype(int).clip(0, height - 1), np.rint(x).astype(int).clip(0, width - 1)]


def surroundings(
    picture: np.ndarray, mask: np.ndarray, offset: tuple[int, int], shape: tuple[int, ...]
) -> Surroundings:
    """Those of a real ``mask`` [h, w] on the part of the faultless ``picture`` [h, w, ...] whose first pixel is at ``offset``.

    ``offset`` is (row, column) in the whole picture of ``shape``.
    """
    rows, columns = np.nonzero(mask)
    centre = np.array([columns.mean(), rows.mean()])
    radius = max(float(np.hypot(columns - centre[0], rows - centre[1]).max()), LEAST_RADIUS)
    levels = levels_at(blurred(picture, radius), centre[None], np.zeros(1), radius)[0]
    position = (float((centre[0] + offset[1]) / shape[1]), float((centre[1] + offset[0]) / shape[0]))
    return Surroundings(levels, position, radius)


def spread_of(positions: np.ndarray) -> float:
    """How far a class's real defects lie apart on their pictures, [N, 2] from 0 to 1: the mean standard deviation."""
    return max(float(np.std(positions, axis=0).mean()), LEAST_SPREAD) if len(positions) > 1 else 1.0


@dataclass(frozen=True)
class Ground:
    """A faultless ``picture`` of bytes, where it is ``taken`` [H, W], and whether any place will do."""

    picture: np.ndarray
    taken: np.ndarray
    anywhere: bool = False


def find(ground: Ground, like: Surroundings, random: np.random.Generator, *, spread: float = 1.0) -> Place | None:
    """A place whose surroundings are like those of a real defect, or any place; None where all is taken.

    ``spread`` is that of the class, :func:`spread_of`: where all lie on one spot of the picture, so do new ones.
    """
    height, width = ground.picture.shape[:2]
    margin = min(like.radius, (min(height, width) - 1) / 2)
    centres = np.stack([random.uniform(margin, side - margin, NUM_PLACES) for side in (width, height)], axis=1)
    angles = random.uniform(0, 2 * np.pi, NUM_PLACES)
    square = random.integers(4, size=NUM_PLACES) * np.pi / 2 + TILT * random.standard_normal(NUM_PLACES)
    angles = np.where(random.random(NUM_PLACES) < RIGHT_ANGLES, square, angles)
    uniform = random.random()
    free = ~ground.taken[centres[:, 1].astype(int), centres[:, 0].astype(int)]
    if not free.any():
        return None
    found = levels_at(blurred(ground.picture, like.radius), centres, angles, like.radius)
    apart = np.square(found - like.levels).mean(axis=(1, 2))
    moved = np.square(centres / np.array([width, height]) - np.array(like.position)).sum(axis=1)
    distance = np.sqrt(apart + (SPREAD_WEIGHT / spread) ** 2 * moved)
    likeness = np.ones(NUM_PLACES) if ground.anywhere else np.exp(-(distance - distance[free].min()) / TEMPERATURE)
    weights = np.where(free, likeness, 0.0)
    chosen = int(np.searchsorted(np.cumsum(weights) / weights.sum(), uniform))
    chosen = min(chosen, NUM_PLACES - 1)
    x, y = (float(edge) for edge in centres[chosen])
    return Place((x, y), float(angles[chosen]), float(np.exp(-distance[chosen] / SCORED)))
