"""What every prior of latents is: a law in any dimension, drawn by addressed random numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from generative.randomness import Stream


class Prior(ABC):
    """A law of latents z of ``dim`` numbers; a configuration names it and its parameters, never the dimension.

    ``stability``: the index alpha of a strictly stable law, of which sum w_i z_i has the law of
    (sum |w_i|^alpha)^(1/alpha) z; None of the others.
    """

    stability: float | None = None

    def sample(self, first: int, count: int, dim: int, stream: Stream) -> Tensor:
        """Latents number ``first .. first + count - 1`` of a stream: float32 [count, dim], each a function of its number.

        ValueError for a dimension below 1.
        """
        if dim < 1:
            raise ValueError(f"latents have a dimension of at least 1, got {dim}")
        return self.draw(first, count, dim, stream).to(torch.float32)

    @abstractmethod
    def draw(self, first: int, count: int, dim: int, stream: Stream) -> Tensor:
        """What :meth:`sample` returns, of any floating type; ``dim`` is at least 1."""


class ProductPrior(Prior):
    """Coordinates are independent and of one law on the line."""

    @abstractmethod
    def cdf(self, values: Tensor) -> Tensor:
        """P(coordinate <= value) of each of ``values``, float64 of any shape."""

    @abstractmethod
    def quantile(self, probabilities: Tensor) -> Tensor:
        """The inverse of :meth:`cdf` on (0, 1), float64 of any shape."""

    def draw(self, first: int, count: int, dim: int, stream: Stream) -> Tensor:
        return self.quantile(stream.open_uniform(first, count, dim))


class IsotropicPrior(Prior):
    """z = r v with v uniform on the unit sphere: only the law of the norm r tells one from another."""

    @abstractmethod
    def norm_cdf(self, norms: Tensor, dim: int) -> Tensor:
        """P(r <= norm) of each of ``norms``, float64 of any shape."""

    @abstractmethod
    def norm_quantile(self, probabilities: Tensor, dim: int) -> Tensor:
        """The inverse of :meth:`norm_cdf` on (0, 1), float64 of any shape."""

    def draw(self, first: int, count: int, dim: int, stream: Stream) -> Tensor:
        norms = self.norm_quantile(stream.branch("norm").open_uniform(first, count, 1), dim)
        return norms * directions(first, count, dim, stream)


def directions(first: int, count: int, dim: int, stream: Stream) -> Tensor:
    """Points uniform on the unit sphere: float64 [count, dim]."""
    normal = stream.normal(first, count, dim).double()
    return normal / normal.norm(dim=1, keepdim=True)
