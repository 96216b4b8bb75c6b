"""The Cauchy prior (eq. 4.3): every mean of its latents has the law of the latents, and no variance is finite."""

from __future__ import annotations

import math

from torch import Tensor

from generative.priors.base import Prior
from generative.randomness import Stream


class Cauchy(Prior):
    """Every coordinate Cauchy with ``scale``: density 1 / (pi scale (1 + (z / scale)^2))."""

    def __init__(self, *, scale: float = 1.0) -> None:
        if not scale > 0:
            raise ValueError(f"scale must be positive, got {scale}")
        self.scale = scale

    def draw(self, first: int, count: int, dim: int, stream: Stream) -> Tensor:
        return self.scale * (math.pi * (stream.open_uniform(first, count, dim) - 0.5)).tan()
