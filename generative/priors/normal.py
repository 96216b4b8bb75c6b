"""The standard normal prior."""

from __future__ import annotations

import math

from torch import Tensor

from generative.priors.base import IsotropicPrior
from generative.priors.line import chi
from generative.randomness import Stream


class Normal(IsotropicPrior):
    """z ~ N(0, I). Its squared norm has the law chi^2(dim), that of a midpoint half of it (eq. 4.2)."""

    stability = 2.0

    def draw(self, first: int, count: int, dim: int, stream: Stream) -> Tensor:
        return stream.normal(first, count, dim)

    def norm_cdf(self, norms: Tensor, dim: int) -> Tensor:
        return chi(dim).cdf(norms)

    def norm_quantile(self, probabilities: Tensor, dim: int) -> Tensor:
        return chi(dim).quantile(probabilities)

    def log_density_at(self, norms: Tensor, dim: int) -> Tensor:
        return -0.5 * (norms.square() + dim * math.log(2.0 * math.pi))

    def norm_survival(self, norms: Tensor, dim: int) -> Tensor:
        return chi(dim).survival(norms)

    def norm_upper_quantile(self, probabilities: Tensor, dim: int) -> Tensor:
        return chi(dim).upper_quantile(probabilities)
