"""The standard normal prior."""

from __future__ import annotations

from torch import Tensor

from generative.priors.base import Prior
from generative.randomness import Stream


class Normal(Prior):
    """z ~ N(0, I). Its squared norm has the law chi^2(dim), that of a midpoint half of it (eq. 4.2)."""

    is_isotropic = True

    def draw(self, first: int, count: int, dim: int, stream: Stream) -> Tensor:
        return stream.normal(first, count, dim)
