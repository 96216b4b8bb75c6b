"""The isotropic Student t prior: a family from Cauchy's tails (nu = 1) to the normal law (nu to infinity)."""

from __future__ import annotations

import math

import torch
from scipy import special
from torch import Tensor

from generative.priors.base import IsotropicPrior
from generative.randomness import Stream


class Student(IsotropicPrior):
    """z = g / sqrt(c / nu) with g ~ N(0, I) and one c ~ chi^2(nu) for all coordinates, times a scale.

    ``unit_variance`` scales it so that a coordinate has variance 1, which takes ``nu`` above 2.
    """

    def __init__(self, *, nu: float, unit_variance: bool = False) -> None:
        if not 0 < nu < math.inf:
            raise ValueError(f"nu must be positive and finite, got {nu}; nu to infinity is prior=normal")
        if unit_variance and not nu > 2:
            raise ValueError(f"a Student t law has a variance for nu above 2, got nu {nu}: give unit_variance=false")
        self.nu = nu
        self.stability = 1.0 if nu == 1.0 else None
        self.scale = math.sqrt((nu - 2.0) / nu) if unit_variance else 1.0

    def draw(self, first: int, count: int, dim: int, stream: Stream) -> Tensor:
        uniform = stream.branch("norm").open_uniform(first, count, 1)
        chi_squared = torch.from_numpy(2.0 * special.gammaincinv(self.nu / 2.0, uniform.numpy()))
        return self.scale * stream.normal(first, count, dim).double() / (chi_squared / self.nu).sqrt()

    def norm_cdf(self, norms: Tensor, dim: int) -> Tensor:
        # (|z| / scale)^2 / dim has the law F(dim, nu).
        squared = (norms / self.scale).square()
        return torch.from_numpy(special.betainc(dim / 2.0, self.nu / 2.0, (squared / (squared + self.nu)).numpy()))

    def norm_quantile(self, probabilities: Tensor, dim: int) -> Tensor:
        return self.norm_between(probabilities, 1.0 - probabilities, dim)

    def log_density_at(self, norms: Tensor, dim: int) -> Tensor:
        both = 0.5 * (self.nu + dim)
        ratio = math.lgamma(both) - math.lgamma(0.5 * self.nu)
        at_origin = ratio - 0.5 * dim * math.log(math.pi * self.nu * self.scale**2)
        return at_origin - both * ((norms / self.scale).square() / self.nu).log1p()

    def norm_survival(self, norms: Tensor, dim: int) -> Tensor:
        squared = (norms / self.scale).square()
        return torch.from_numpy(special.betainc(self.nu / 2.0, dim / 2.0, (self.nu / (squared + self.nu)).numpy()))

    def norm_upper_quantile(self, probabilities: Tensor, dim: int) -> Tensor:
        return self.norm_between(1.0 - probabilities, probabilities, dim)

    def norm_between(self, below: Tensor, above: Tensor, dim: int) -> Tensor:
        """The norm with the probability ``below`` of smaller ones and ``above`` of larger ones, which sum to 1."""
        # The two shares sum to 1 as well, but far out the difference of one from 1 has no digits left.
        share = special.betaincinv(dim / 2.0, self.nu / 2.0, below.numpy())
        rest = special.betaincinv(self.nu / 2.0, dim / 2.0, above.numpy())
        return self.scale * torch.from_numpy(self.nu * share / rest).sqrt()
