"""The Cauchy prior (eq. 4.3): every mean of its latents has the law of the latents, and no variance is finite."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from generative.priors.base import SymmetricPrior


class Cauchy(SymmetricPrior):
    """Every coordinate Cauchy with ``scale``: density 1 / (pi scale (1 + (z / scale)^2))."""

    stability = 1.0

    def __init__(self, *, scale: float = 1.0) -> None:
        if not 0 < scale < math.inf:
            raise ValueError(f"scale must be positive and finite, got {scale}")
        self.scale = scale

    def cdf(self, values: Tensor) -> Tensor:
        # The angle seen from above: unlike 1/2 + atan / pi it keeps its digits in the lower tail.
        return torch.atan2(torch.full_like(values, self.scale), -values) / math.pi

    def log_pdf(self, values: Tensor) -> Tensor:
        return -(values / self.scale).square().log1p() - math.log(math.pi * self.scale)

    def quantile(self, probabilities: Tensor) -> Tensor:
        return self.scale * (math.pi * (probabilities - 0.5)).tan()
