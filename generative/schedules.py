"""Schedules over images seen."""

from __future__ import annotations


def linear_decay(images_seen: int, *, start: int, end: int, floor: float = 0.0) -> float:
    """Factor on a learning rate: 1 until ``start`` images, then falling linearly to ``floor`` at ``end``."""
    if not 0 <= start < end:
        raise ValueError(f"a decay runs from a smaller to a larger number of images, got {start} to {end}")
    progress = min(max((images_seen - start) / (end - start), 0.0), 1.0)
    return 1.0 - (1.0 - floor) * progress
