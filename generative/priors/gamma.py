"""The gamma prior of Kilcher et al. (eq. 4.7), with much of its mass near the origin."""

from __future__ import annotations

import math

from torch import Tensor

from generative.priors.base import Prior, directions
from generative.randomness import Stream


class Gamma(Prior):
    """z = sqrt(r) v, v uniform on the sphere, r ~ Gamma(1/2, theta) (eq. 4.7): the norm is half-normal.

    ``theta`` is a scale only, which the source does not print. None: 2 dim, by which a coordinate has variance 1.
    """

    is_isotropic = True

    def __init__(self, *, theta: float | None = None) -> None:
        if theta is not None and not theta > 0:
            raise ValueError(f"theta must be positive, got {theta}")
        self.theta = theta

    def draw(self, first: int, count: int, dim: int, stream: Stream) -> Tensor:
        theta = 2.0 * dim if self.theta is None else self.theta
        # r = theta / 2 times the square of a standard normal number has the law Gamma(1/2, theta).
        norm = math.sqrt(theta / 2.0) * stream.branch("norm").normal(first, count, 1).double().abs()
        return norm * directions(first, count, dim, stream)
