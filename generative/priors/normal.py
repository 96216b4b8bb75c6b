"""The standard normal prior."""

from __future__ import annotations

import torch
from scipy import special
from torch import Tensor

from generative.priors.base import IsotropicPrior
from generative.randomness import Stream


class Normal(IsotropicPrior):
    """z ~ N(0, I). Its squared norm has the law chi^2(dim), that of a midpoint half of it (eq. 4.2)."""

    stability = 2.0

    def draw(self, first: int, count: int, dim: int, stream: Stream) -> Tensor:
        return stream.normal(first, count, dim)

    def norm_cdf(self, norms: Tensor, dim: int) -> Tensor:
        return torch.from_numpy(special.gammainc(dim / 2.0, 0.5 * norms.square().numpy()))

    def norm_quantile(self, probabilities: Tensor, dim: int) -> Tensor:
        return torch.from_numpy(special.gammaincinv(dim / 2.0, probabilities.numpy())).mul(2.0).sqrt()
