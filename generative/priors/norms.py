"""Norms of latents and of their midpoints: how far apart their laws are, in any dimension.

A prior of independent directions z = r v and its midpoints are both isotropic, so that their divergence is that of their norms,
r' = sqrt(r1^2 + r2^2 + 2 r1 r2 c) / 2 with c the cosine between two directions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from generative.priors import divergences
from generative.priors.base import IsotropicPrior, Prior
from generative.priors.divergences import Array
from generative.randomness import Stream

FEWEST_ANGLES = 64  # enough up to dimension 450; the peak of the angles' law narrows as 1 / sqrt(dim)
SAMPLED_CELLS = 60
BEYOND = 5e-4  # of sampled norms, on either side of the cells of one width
AT_ONCE = 20_000  # latents of a draw


@dataclass(frozen=True)
class NormLaws:
    """The masses ``prior`` and ``midpoints`` [n] of norms in the same n cells; ``tail`` is q99.9 / q50 of the prior's norm.

    Divergences are in nats. Coarser cells never raise one.
    """

    prior: Array
    midpoints: Array
    tail: float

    @property
    def overlap(self) -> float:
        """The mass that both laws have: from 0 to 1."""
        return float(np.minimum(self.prior, self.midpoints).sum())

    @property
    def jensen_shannon(self) -> float:
        """From 0 to ln 2."""
        return divergences.jensen_shannon(self.prior, self.midpoints)

    @property
    def outside(self) -> float:
        """KL(Q|P) of the midpoints Q from the prior P: are midpoints where a generator was trained?"""
        return divergences.outside(self.prior, self.midpoints)

    @property
    def missed(self) -> float:
        """KL(P|Q), which the farthest norms rule: a midpoint is there only if both latents point one way."""
        return divergences.missed(self.prior, self.midpoints)


@dataclass(frozen=True)
class LogGrid:
    """``cells`` equal parts of ln r from ``first`` on, each ``step`` wide."""

    first: float
    step: float
    cells: int

    @property
    def log_edges(self) -> Array:
        """[cells + 1]"""
        return self.first + self.step * np.arange(self.cells + 1, dtype=np.float64)

    @property
    def log_norms(self) -> Array:
        """The middles [cells], which stand for the norms of their cells."""
        return self.log_edges[:-1] + 0.5 * self.step

    def landings(self, a: Array, b: Array, cosine: Array) -> tuple[Array, Array]:
        """Where the midpoints of latents of the norms ``a`` and ``b`` at ``cosine`` fall, all of shapes that broadcast.

        Returns the lower of two neighbouring middles and the share of the upper one, linear in ln r'. What falls beyond an end
        of the grid is counted to the last cell there.
        """
        # (a - b)^2 + 2 ab (1 + c) has no difference of large numbers; two opposite latents of one norm meet in the origin.
        squared = (0.5 * (a - b)) ** 2 + 0.5 * a * b * (1.0 + cosine)
        with np.errstate(divide="ignore"):
            position = ((0.5 * np.log(squared) - self.log_norms[0]) / self.step).clip(0.0, self.cells - 1)
        lower = np.minimum(position.astype(np.int64), self.cells - 2)
        return lower, position - lower

    def midpoint_masses(self, masses: Array, dim: int) -> Array:
        """Masses [cells] of the norms of midpoints of latents whose norms have the masses ``masses`` [cells]."""
        found = np.zeros(self.cells)
        norms = np.exp(self.log_norms)
        cosine, weights = cosines(dim)
        stretch = np.ones(1)
        if dim == 1:
            # No angle spreads two latents of one cell, so their ratio has to, by its law: a triangle on ln r1 - ln r2.
            middles = (np.arange(FEWEST_ANGLES) + 0.5) / FEWEST_ANGLES * 2.0 - 1.0
            stretch = np.repeat(np.exp(middles * self.step), len(cosine))
            weights = np.outer((1.0 - abs(middles)) / (1.0 - abs(middles)).sum(), weights).ravel()
            cosine = np.tile(cosine, FEWEST_ANGLES)
        for first in range(self.cells):
            # The nearer of two latents comes first: the other half of the pairs is the same.
            lower, share = self.landings(norms[first], norms[first:, None] * stretch, cosine)
            pairs = 2.0 * masses[first] * masses[first:]
            pairs[0] /= 2.0
            chance = pairs[:, None] * weights
            for index, part in ((lower, chance * (1.0 - share)), (lower + 1, chance * share)):
                found += np.bincount(index.ravel(), part.ravel(), minlength=self.cells)
        return found


def cosines(dim: int) -> tuple[Array, Array]:
    """The cosine c between two directions uniform on the sphere of ``dim`` dimensions: nodes and weights of a quadrature.

    c = 2 Beta((dim - 1) / 2, (dim - 1) / 2) - 1, so the angle has a density in proportion to sin^(dim - 2); the rule takes
    the middles of equal parts of [0, pi]. Gauss nodes would leave out nearly parallel pairs from dimension 50 on, and
    only those have midpoints near the largest norm. Dimension 1 has the cosines -1 and 1.
    """
    if dim == 1:
        return np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    count = max(FEWEST_ANGLES, 3 * math.isqrt(dim))
    angles = (np.arange(count) + 0.5) * (math.pi / count)
    weights = np.sin(angles) ** (dim - 2)
    return np.cos(angles), weights / weights.sum()


def norm_laws(prior: IsotropicPrior, dim: int, *, cells: int = 600) -> NormLaws:
    """The laws of the norms of ``prior`` and of its midpoints in ``dim`` dimensions, without random numbers.

    Errors are of second order in the width of a cell: 0.1 % of KL(P|Q) for the normal law in 100 dimensions, and less of the
    rest.
    """
    if dim < 1:
        raise ValueError(f"latents have a dimension of at least 1, got {dim}")
    grid = grid_around(prior, dim, cells)
    norms = torch.from_numpy(np.exp(grid.log_edges[1:-1]))  # the lowest cell reaches to 0 and the highest to infinity
    below = np.concatenate([[0.0], prior.norm_cdf(norms, dim).numpy(), [1.0]])
    above = np.concatenate([[1.0], prior.norm_survival(norms, dim).numpy(), [0.0]])
    masses = np.where(below[1:] < 0.5, np.diff(below), -np.diff(above))
    masses /= masses.sum()
    midpoints = grid.midpoint_masses(masses, dim)
    farthest = np.flatnonzero(midpoints)[-1]  # from here on their masses are below float64: one cell
    prior_masses, midpoint_masses = (np.append(m[:farthest], m[farthest:].sum()) for m in (masses, midpoints))
    return NormLaws(prior_masses, midpoint_masses, tail_ratio(prior, dim))


def grid_around(prior: IsotropicPrior, dim: int, cells: int) -> LogGrid:
    """Cells for all norms that either law has with a probability above 1e-9; none lies below the support of the prior."""

    def quantile(probability: float) -> float:
        return float(prior.norm_quantile(torch.tensor([probability], dtype=torch.float64), dim))

    # Two latents of one norm have a midpoint at 0.71 of it, in many dimensions hardly ever below 0.4. Midpoints as far out as
    # the prior is are those of latents at 1.22 of that norm.
    low = math.log(max(0.4 * quantile(1e-9), quantile(1e-300)))
    high = math.log(1.25 * float(prior.norm_upper_quantile(torch.tensor([1e-13], dtype=torch.float64), dim)))
    return LogGrid(low, (high - low) / cells, cells)


def tail_ratio(prior: IsotropicPrior, dim: int) -> float:
    """q99.9 / q50 of the norm."""
    far, middle = prior.norm_quantile(torch.tensor([0.999, 0.5], dtype=torch.float64), dim).tolist()
    return far / middle


def sampled_norm_laws(prior: Prior, dim: int, *, count: int, stream: Stream, cells: int = SAMPLED_CELLS) -> NormLaws:
    """:func:`norm_laws` of any prior, counted over ``count`` latents and as many midpoints of others.

    The noise of counts makes the overlap too small by about sqrt(cells / count) / 2.
    """
    norms = drawn_norms(prior, dim, count, stream)
    _, shares = log_histograms(norms, cells=cells)
    middle, far = np.quantile(norms[0], [0.5, 0.999])
    return NormLaws(shares[0], shares[1], float(far / middle))


def log_histograms(norms: Sequence[Array], *, cells: int) -> tuple[Array, list[Array]]:
    """Shares [cells] of each of several samples of norms, in the same cells: of one width of ln r but for the two at the ends.

    Returns the edges between cells [cells - 1] as well. The first cell reaches to 0 and the last to infinity, each with a
    share ``BEYOND`` of all norms together.
    """
    low, high = np.quantile(np.concatenate(norms), [BEYOND, 1.0 - BEYOND])
    edges = np.geomspace(low, high, cells - 1)
    bounds = np.concatenate([[0.0], edges, [np.inf]])
    return edges, [np.histogram(some, bounds)[0] / len(some) for some in norms]


def drawn_norms(prior: Prior, dim: int, count: int, stream: Stream) -> tuple[Array, Array]:
    """Norms of ``count`` latents and of the midpoints of as many pairs of others: float64 [count] each."""
    names = ("of the prior", "one end", "other end")
    norms = np.empty((2, count))
    for first in range(0, count, AT_ONCE):
        size = min(AT_ONCE, count - first)
        latents, a, b = (prior.sample(first, size, dim, stream.branch(name)).double() for name in names)
        norms[0, first : first + size] = latents.norm(dim=1)
        norms[1, first : first + size] = (0.5 * (a + b)).norm(dim=1)
    return norms[0], norms[1]
