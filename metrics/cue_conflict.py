"""What decides where an image has the shape of one class and the texture of another."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Cues(NamedTuple):
    """Decisions on images with the phase of one and the amplitudes of another, of another class, as shares of ``num_images``.

    ``shape_bias`` is phase / (phase + amplitude), None where neither is ever named. ``of``: ``all`` pairs, or those whose
    two originals the model names ``rightly``.
    """

    model: str
    of: str
    phase: float | None
    amplitude: float | None
    neither: float | None
    shape_bias: float | None
    num_images: int


def cue_shares(name: str, of: str, named: Tensor, shape: Tensor, texture: Tensor) -> Cues:
    """Classes [N] named of mixed images against those of their phases and of their amplitudes, which differ."""
    count = len(named)
    by_phase, by_amplitude = int((named == shape).sum()), int((named == texture).sum())
    if count == 0:
        return Cues(name, of, None, None, None, None, 0)
    decided = by_phase + by_amplitude
    neither = (count - decided) / count
    bias = by_phase / decided if decided else None
    return Cues(name, of, by_phase / count, by_amplitude / count, neither, bias, count)
