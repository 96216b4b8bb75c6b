"""Traces of a board: bundles of lines in eight directions that cross neither each other nor what stands on the board."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

CELL = 4.0  # units of a pixel of the map of what is taken
GRID = 8.0  # units between the places where a trace may turn
DIRECTIONS = np.array([[1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0], [-1, -1], [0, -1], [1, -1]], float)
CLEARANCE = 7.0  # units between two traces
SHORTEST = 60.0


@dataclass(frozen=True)
class Trace:
    """A line [N, 2] in units with its width, and whether it ends in a via at its start and at its end."""

    points: np.ndarray
    width: float
    via_at_start: bool
    via_at_end: bool


class Board:
    """A map of what is taken, in pixels of ``CELL`` units."""

    def __init__(self, blocked: list[np.ndarray]) -> None:
        self.taken = np.zeros((256, 256), np.uint8)
        for corners in blocked:
            cv2.fillPoly(self.taken, [np.rint(corners / CELL).astype(np.int32)], 1)

    def corridor(self, points: np.ndarray, width: float) -> np.ndarray:
        """Where a bundle of ``width`` along ``points`` lies: uint8 [256, 256]."""
        picture = np.zeros_like(self.taken)
        places = np.rint(points / CELL).astype(np.int32)
        cv2.polylines(picture, [places[:, None]], False, 1, max(1, round(width / CELL)), cv2.LINE_8)
        return picture

    def takes(self, points: np.ndarray, width: float) -> bool:
        """Whether the bundle lies free; then it is entered."""
        if np.linalg.norm(np.diff(points, axis=0), axis=1).sum() < SHORTEST:
            return False
        picture = self.corridor(points, width)
        if np.any(picture & self.taken):
            return False
        self.taken |= picture
        return True


def route(random: np.random.Generator, blocked: list[np.ndarray], die: np.ndarray) -> tuple[Trace, ...]:
    """Bundles that leave the die (its corners [4, 2]), then bundles and single lines wherever there is room."""
    board = Board(blocked)
    traces: list[Trace] = []
    low, high = die.min(axis=0), die.max(axis=0)
    for attempt in range(420):
        escaping = attempt < 90
        count = int(random.integers(2, 8)) if attempt < 200 else int(random.integers(1, 3))
        width = float(random.choice([3.0, 3.5, 4.5, 6.0], p=[0.4, 0.3, 0.2, 0.1]))
        pitch = width + CLEARANCE
        heading = int(random.integers(8))
        start = random.integers(2, 126, 2) * GRID
        if escaping:
            heading = 2 * int(random.integers(4))
            step, side = DIRECTIONS[heading], int(heading % 4 == 0)
            start = np.where(step > 0, high, np.where(step < 0, low, 0)) + (count * pitch / 2 + CLEARANCE + CELL) * step
            start[side] = random.uniform(low[side] + 20, high[side] - 20)
        points = bent_line(random, start, heading)
        for last in range(len(points), 1, -1):
            if board.takes(points[:last], count * pitch + CLEARANCE):
                vias = (not escaping, bool(random.uniform() < 0.8))
                traces += bundle(random, points[:last], count=count, width=width, vias=vias)
                break
    return tuple(traces)


def bent_line(random: np.random.Generator, start: np.ndarray, heading: int) -> np.ndarray:
    """Up to five straight pieces from ``start`` [2], each turned by 45 degrees from the one before: [N, 2]."""
    points = [np.asarray(start, float)]
    for _ in range(int(random.integers(1, 6))):
        length = GRID * int(random.integers(3, 30))
        points.append(points[-1] + DIRECTIONS[heading % 8] * length)
        heading += int(random.choice([-1, 1]))
    return np.array(points)


def bundle(
    random: np.random.Generator, points: np.ndarray, *, count: int, width: float, vias: tuple[bool, bool]
) -> list[Trace]:
    """``count`` lines side by side along ``points``, some of them ending earlier than the others."""
    pitch = width + CLEARANCE
    found = []
    for k in range(count):
        line = beside(points, (k - (count - 1) / 2) * pitch)
        for place, inner, is_open in ((0, 1, vias[0]), (-1, -2, vias[1])):
            length = float(np.linalg.norm(line[inner] - line[place]))
            if is_open and length > 40:  # vias in one row would touch
                line[place] += (line[inner] - line[place]) * (k % 2 * 14 + random.uniform(0, 4)) / length
        if not vias[0]:
            back = count * pitch / 2 + 60  # it comes from under the epoxy
            line[0] -= back * (line[1] - line[0]) / np.linalg.norm(line[1] - line[0])
        found.append(Trace(line, width, *vias))
    return found


def beside(points: np.ndarray, distance: float) -> np.ndarray:
    """The polyline [N, 2] that runs ``distance`` to the left of ``points``, its corners where the pieces meet."""
    steps = np.diff(points, axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    normals = np.stack([-steps[:, 1], steps[:, 0]], axis=1)
    joined = np.vstack([normals[:1], normals[:-1] + normals[1:], normals[-1:]])
    joined[1:-1] /= (1 + (normals[:-1] * normals[1:]).sum(axis=1))[:, None]
    return points + distance * joined
