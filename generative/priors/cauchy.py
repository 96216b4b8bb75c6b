"""The Cauchy prior (eq. 4.3): every mean of its latents has the law of the latents, and no variance is finite."""

from __future__ import annotations

import math

from torch import Tensor

from generative.priors.base import ProductPrior


class Cauchy(ProductPrior):
    """Every coordinate Cauchy with ``scale``: density 1 / (pi scale (1 + (z / scale)^2))."""

    stability = 1.0

    def __init__(self, *, scale: float = 1.0) -> None:
        if not scale > 0:
            raise ValueError(f"scale must be positive, got {scale}")
        self.scale = scale

    def cdf(self, values: Tensor) -> Tensor:
        return 0.5 + (values / self.scale).atan() / math.pi

    def quantile(self, probabilities: Tensor) -> Tensor:
        return self.scale * (math.pi * (probabilities - 0.5)).tan()
