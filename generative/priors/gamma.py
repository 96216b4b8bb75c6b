"""The gamma prior of Kilcher et al. (eq. 4.7), with much of its mass near the origin."""

from __future__ import annotations

import math

import torch
from scipy import special
from torch import Tensor

from generative.priors.base import IsotropicPrior, directions, log_area
from generative.randomness import Stream


class Gamma(IsotropicPrior):
    """z = sqrt(r) v, v uniform on the sphere, r ~ Gamma(1/2, theta) (eq. 4.7): the norm is half-normal.

    ``theta`` is a scale only, which the source does not print. None: 2 dim, by which a coordinate has variance 1.
    """

    def __init__(self, *, theta: float | None = None) -> None:
        if theta is not None and not 0 < theta < math.inf:
            raise ValueError(f"theta must be positive and finite, got {theta}")
        self.theta = theta

    def theta_in(self, dim: int) -> float:
        return 2.0 * dim if self.theta is None else self.theta

    def draw(self, first: int, count: int, dim: int, stream: Stream) -> Tensor:
        # r = theta / 2 times the square of a standard normal number has the law Gamma(1/2, theta).
        norm = math.sqrt(self.theta_in(dim) / 2.0) * stream.branch("norm").normal(first, count, 1).double().abs()
        return norm * directions(first, count, dim, stream)

    def norm_cdf(self, norms: Tensor, dim: int) -> Tensor:
        return torch.erf(norms / math.sqrt(self.theta_in(dim)))

    def norm_quantile(self, probabilities: Tensor, dim: int) -> Tensor:
        return math.sqrt(self.theta_in(dim)) * torch.erfinv(probabilities)

    def log_density_at(self, norms: Tensor, dim: int) -> Tensor:
        theta = self.theta_in(dim)
        of_norm = math.log(2.0) - 0.5 * math.log(math.pi * theta) - norms.square() / theta
        return of_norm - log_area(norms, dim)  # infinite at the origin, but in one dimension

    def norm_survival(self, norms: Tensor, dim: int) -> Tensor:
        return torch.erfc(norms / math.sqrt(self.theta_in(dim)))

    def norm_upper_quantile(self, probabilities: Tensor, dim: int) -> Tensor:
        return math.sqrt(self.theta_in(dim)) * torch.from_numpy(special.erfcinv(probabilities.numpy()))
