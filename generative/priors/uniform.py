"""The uniform prior, that of the DCGAN which the authors trained."""

from __future__ import annotations

import torch
from torch import Tensor

from generative.priors.base import Prior
from generative.randomness import Stream


class Uniform(Prior):
    """Every coordinate uniform on [-half_width, half_width]."""

    def __init__(self, *, half_width: float = 1.0) -> None:
        if not half_width > 0:
            raise ValueError(f"half_width must be positive, got {half_width}")
        self.half_width = half_width

    def draw(self, first: int, count: int, dim: int, stream: Stream) -> Tensor:
        return (2.0 * stream.uniform(first, count, dim).to(torch.float64) - 1.0) * self.half_width
