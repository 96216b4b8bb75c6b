"""What every prior of latents is: a law in any dimension, drawn by addressed random numbers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import partial

import torch
from torch import Tensor

from generative.priors.line import NORMAL, LineLaw, chi, monotone_map
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

    @abstractmethod
    def to_normal(self, latents: Tensor) -> Tensor:
        """The standard normal latents that ``latents`` [..., dim] of this law stand for: float64, and one to one."""

    @abstractmethod
    def from_normal(self, latents: Tensor) -> Tensor:
        """The inverse of :meth:`to_normal`: normal latents [..., dim], float64, to latents of this law."""

    @abstractmethod
    def log_density(self, latents: Tensor) -> Tensor:
        """ln of the density at ``latents`` [..., dim] of float64: [...], in nats; -inf where the law has no mass."""

    def state(self) -> dict[str, Tensor]:
        """What it read from disk, by name: a checkpoint keeps it, so that it draws where the file is not."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take :meth:`state` of the same prior back; ValueError for what is none of it."""
        if state:
            raise ValueError(
                f"{type(self).__name__} reads nothing from disk, so a checkpoint cannot hold {', '.join(state)}"
            )


class ProductPrior(Prior):
    """Coordinates are independent and of one law on the line."""

    @abstractmethod
    def cdf(self, values: Tensor) -> Tensor:
        """P(coordinate <= value) of each of ``values``, float64 of any shape."""

    @abstractmethod
    def quantile(self, probabilities: Tensor) -> Tensor:
        """The inverse of :meth:`cdf` on (0, 1), float64 of any shape."""

    @abstractmethod
    def log_pdf(self, values: Tensor) -> Tensor:
        """ln of the density of a coordinate at each of ``values``, float64 of any shape."""

    def log_density(self, latents: Tensor) -> Tensor:
        return self.log_pdf(latents).sum(dim=-1)

    def survival(self, values: Tensor) -> Tensor:
        """P(coordinate > value); a law with far tails says it better than by 1 - cdf, which is 0 from 1e-16 on."""
        return 1.0 - self.cdf(values)

    def upper_quantile(self, probabilities: Tensor) -> Tensor:
        """The inverse of :meth:`survival` on (0, 1)."""
        return self.quantile(1.0 - probabilities)

    @property
    def law(self) -> LineLaw:
        """The law of a coordinate."""
        return LineLaw(cdf=self.cdf, survival=self.survival, quantile=self.quantile, upper_quantile=self.upper_quantile)

    def draw(self, first: int, count: int, dim: int, stream: Stream) -> Tensor:
        return self.quantile(stream.open_uniform(first, count, dim))

    def to_normal(self, latents: Tensor) -> Tensor:
        return monotone_map(latents, source=self.law, target=NORMAL)

    def from_normal(self, latents: Tensor) -> Tensor:
        return monotone_map(latents, source=NORMAL, target=self.law)


class SymmetricPrior(ProductPrior):
    """A coordinate and its negative have one law, so that the upper tail is as exact as the lower one."""

    def survival(self, values: Tensor) -> Tensor:
        return self.cdf(-values)

    def upper_quantile(self, probabilities: Tensor) -> Tensor:
        return -self.quantile(probabilities)


class IsotropicPrior(Prior):
    """z = r v with v uniform on the unit sphere: only the law of the norm r tells one from another."""

    @abstractmethod
    def norm_cdf(self, norms: Tensor, dim: int) -> Tensor:
        """P(r <= norm) of each of ``norms``, float64 of any shape."""

    @abstractmethod
    def norm_quantile(self, probabilities: Tensor, dim: int) -> Tensor:
        """The inverse of :meth:`norm_cdf` on (0, 1), float64 of any shape."""

    @abstractmethod
    def log_density_at(self, norms: Tensor, dim: int) -> Tensor:
        """ln of the density of z, which is that at any point with one of ``norms``, float64 of any shape."""

    def log_density(self, latents: Tensor) -> Tensor:
        return self.log_density_at(latents.norm(dim=-1), latents.shape[-1])

    def norm_survival(self, norms: Tensor, dim: int) -> Tensor:
        """P(r > norm); a law with far tails says it better than by 1 - cdf, which is 0 from 1e-16 on."""
        return 1.0 - self.norm_cdf(norms, dim)

    def norm_upper_quantile(self, probabilities: Tensor, dim: int) -> Tensor:
        """The inverse of :meth:`norm_survival` on (0, 1)."""
        return self.norm_quantile(1.0 - probabilities, dim)

    def norm_law(self, dim: int) -> LineLaw:
        """The law of r in ``dim`` dimensions."""
        return LineLaw(
            cdf=partial(self.norm_cdf, dim=dim),
            survival=partial(self.norm_survival, dim=dim),
            quantile=partial(self.norm_quantile, dim=dim),
            upper_quantile=partial(self.norm_upper_quantile, dim=dim),
        )

    def to_normal(self, latents: Tensor) -> Tensor:
        dim = latents.shape[-1]
        return with_norms_mapped(latents, source=self.norm_law(dim), target=chi(dim))

    def from_normal(self, latents: Tensor) -> Tensor:
        dim = latents.shape[-1]
        return with_norms_mapped(latents, source=chi(dim), target=self.norm_law(dim))

    def draw(self, first: int, count: int, dim: int, stream: Stream) -> Tensor:
        norms = self.norm_quantile(stream.branch("norm").open_uniform(first, count, 1), dim)
        return norms * directions(first, count, dim, stream)


def log_area(norms: Tensor, dim: int) -> Tensor:
    """ln of the area of the spheres of radius ``norms`` in ``dim`` dimensions; in one dimension ln 2, of two points."""
    unit = math.log(2.0) + 0.5 * dim * math.log(math.pi) - math.lgamma(0.5 * dim)
    return unit + torch.special.xlogy(dim - 1.0, norms)


def directions(first: int, count: int, dim: int, stream: Stream) -> Tensor:
    """Points uniform on the unit sphere: float64 [count, dim]."""
    normal = stream.normal(first, count, dim).double()
    return normal / normal.norm(dim=1, keepdim=True)


def with_norms_mapped(latents: Tensor, *, source: LineLaw, target: LineLaw) -> Tensor:
    """Latents [..., dim] of the same directions, their norms brought from the law ``source`` to ``target``.

    0, which has no direction, stays.
    """
    norms = latents.norm(dim=-1, keepdim=True)
    mapped = monotone_map(norms, source=source, target=target)
    return latents * torch.where(norms > 0, mapped / norms, 0.0)
