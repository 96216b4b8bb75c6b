"""The uniform prior, that of the DCGAN which the authors trained."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from generative.priors.base import SymmetricPrior
from generative.randomness import Stream


class Uniform(SymmetricPrior):
    """Every coordinate uniform on [-half_width, half_width]."""

    def __init__(self, *, half_width: float = 1.0) -> None:
        if not 0 < half_width < math.inf:
            raise ValueError(f"half_width must be positive and finite, got {half_width}")
        self.half_width = half_width

    def draw(self, first: int, count: int, dim: int, stream: Stream) -> Tensor:
        return (2.0 * stream.uniform(first, count, dim).to(torch.float64) - 1.0) * self.half_width

    def cdf(self, values: Tensor) -> Tensor:
        return (0.5 * (values / self.half_width + 1.0)).clamp(0.0, 1.0)

    def log_pdf(self, values: Tensor) -> Tensor:
        inside = values.abs() <= self.half_width
        return values.new_full(values.shape, -math.log(2.0 * self.half_width)).where(inside, -math.inf)

    def quantile(self, probabilities: Tensor) -> Tensor:
        return (2.0 * probabilities - 1.0) * self.half_width
