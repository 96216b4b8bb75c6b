"""Schedules over images seen."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any


def linear_decay(images_seen: int, *, start: int, end: int, floor: float = 0.0) -> float:
    """Factor on a learning rate: 1 until ``start`` images, then falling linearly to ``floor`` at ``end``."""
    if not 0 <= start < end:
        raise ValueError(f"a decay runs from a smaller to a larger number of images, got {start} to {end}")
    progress = min(max((images_seen - start) / (end - start), 0.0), 1.0)
    return 1.0 - (1.0 - floor) * progress


def half_cosine(progress: float) -> float:
    """Factor on a learning rate: from 1 at the beginning, ``progress`` 0, over half a cosine down to 0 at 1."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def warmup_cosine(images_seen: int, *, warmup: int, end: int) -> float:
    """Factor on a learning rate: linear from 0 to 1 over ``warmup`` images, then half a cosine down to 0 at ``end``."""
    if not 0 <= warmup < end:
        raise ValueError(f"a warm-up ends before the run does, got {warmup} of {end} images")
    if images_seen < warmup:
        return images_seen / warmup
    return half_cosine(min((images_seen - warmup) / (end - warmup), 1.0))


def polynomial_decay(images_seen: int, *, end: int, power: float) -> float:
    """Factor on a learning rate: (1 - images_seen / end) ** power, 0 from ``end`` on ('poly', Chen et al. 2018)."""
    if end < 1:
        raise ValueError(f"a decay ends after at least 1 image, got {end}")
    if power <= 0:
        raise ValueError(f"the power of a decay must be positive, got {power}")
    return max(1.0 - images_seen / end, 0.0) ** power


class Steps:
    """A whole number of at least 1 that changes as a run goes on: rows [from_kimg, value], the first from 0 on, in order.

    ``name`` is what errors call the rows; ValueError where they are none.
    """

    def __init__(self, rows: Sequence[Any], *, name: str) -> None:
        wanted = f"{name} is a list of [from_kimg, value], such as [[0, 8], [80, 16]]"
        if isinstance(rows, str) or not rows:
            raise ValueError(f"{wanted}, got {rows!r}")
        for row in rows:
            numbers = [value for value in row if isinstance(value, int | float)] if isinstance(row, Sequence) else []
            if isinstance(row, str) or len(numbers) != 2 or len(row) != 2 or row[1] != int(row[1]) or row[1] < 1:
                raise ValueError(f"{wanted}, got the row {row!r}")
        self.starts = [round(float(start) * 1000) for start, _ in rows]  # images
        self.values = [int(value) for _, value in rows]
        if self.starts[0] != 0 or any(a >= b for a, b in zip(self.starts, self.starts[1:], strict=False)):
            kimg = [start for start, _ in rows]
            raise ValueError(f"{name} begins at 0 kimg, and each row later than the one before it: got {kimg}")

    def at(self, images_seen: int) -> int:
        """The value for the image of this number."""
        return self.values[bisect_right(self.starts, images_seen) - 1]
