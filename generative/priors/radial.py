"""The radial non-parametric prior: the law of the norm that its own midpoints leave least, at a bound on its tail."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy import optimize, sparse
from torch import Tensor

from generative.priors.base import IsotropicPrior, log_area
from generative.priors.divergences import DIVERGENCES, Array
from generative.priors.norms import LogGrid, NormLaws, cosines
from generative.priors.student import Student

CELLS = 240
SMALLEST_NORM = 3e-3  # in units of the largest: what lies below is counted to the lowest cell
GRID = LogGrid(math.log(SMALLEST_NORM), -math.log(SMALLEST_NORM) / CELLS, CELLS)
# The mean of r^2 in each cell, in which ln r is uniform.
SQUARED = np.exp(GRID.log_norms) ** 2 * (math.sinh(GRID.step) / GRID.step)
BOUNDS = (0.1, 0.95)  # of rms_over_max: beyond them much of the mass lies in the cell at an end of the grid
OBJECTIVES = ("outside", "missed")  # of divergences.DIVERGENCES


class Radial(IsotropicPrior):
    """z = r v, v uniform on the sphere, the norm r of the law P that minimises a divergence from the norms Q of midpoints.

    P has masses on 240 cells of ln r, in each of which ln r is uniform. It is scaled to variance 1 in each coordinate.
    ``rms_over_max``: the root mean square of the norm over the largest norm, in 0.1 .. 0.95. The smaller it is, the longer is
    the tail and the less is the divergence. ``objective``: ``outside`` is KL(Q|P), which counts the
    midpoints that lie where the prior has little mass; ``missed`` is KL(P|Q), which counts the norms of the prior that
    midpoints miss, so that the few largest norms rule it.

    The law is solved for in the dimension of the latents when the first of them are drawn, in less than a second.
    """

    def __init__(self, *, rms_over_max: float = 0.3, objective: str = "outside") -> None:
        low, high = BOUNDS
        if not low <= rms_over_max <= high:
            raise ValueError(f"rms_over_max must lie in {low} .. {high}, which the grid can meet, got {rms_over_max}")
        if objective not in OBJECTIVES:
            raise ValueError(f"objective must be one of {', '.join(OBJECTIVES)}, got {objective!r}")
        self.rms_over_max = rms_over_max
        self.objective = objective

    def solution(self, dim: int) -> NormSolution:
        """The masses of the norm in ``dim`` dimensions, and how they were found."""
        return solve_norms(dim, self.rms_over_max, self.objective)

    def log_scale(self, dim: int) -> float:
        """ln of the largest norm, by which E r^2 = dim."""
        return math.log(math.sqrt(dim) / self.rms_over_max)

    def norm_cdf(self, norms: Tensor, dim: int) -> Tensor:
        log_norms = norms.log().numpy() - self.log_scale(dim)
        return torch.from_numpy(np.interp(log_norms, GRID.log_edges, self.solution(dim).cumulative))

    def norm_quantile(self, probabilities: Tensor, dim: int) -> Tensor:
        log_norms = np.interp(probabilities.numpy(), self.solution(dim).cumulative, GRID.log_edges)
        return torch.from_numpy(np.exp(log_norms + self.log_scale(dim)))

    def log_density_at(self, norms: Tensor, dim: int) -> Tensor:
        log_norms = norms.log() - self.log_scale(dim)
        cells = (((log_norms - GRID.log_edges[0]) / GRID.step).floor()).clamp(-1, CELLS).long()
        # ln r is uniform in a cell, so that r has the density mass / (step r); no mass lies outside of the grid.
        masses = np.concatenate([self.solution(dim).masses, [0.0, 0.0]])
        of_norm = torch.from_numpy(np.log(masses, where=masses > 0, out=np.full(CELLS + 2, -np.inf)))[cells]
        return torch.where(
            of_norm.isfinite(), of_norm - math.log(GRID.step) - norms.log() - log_area(norms, dim), -math.inf
        )


@dataclass(frozen=True, eq=False)
class NormSolution:
    """``masses`` [240] of the cells of ln r, ``midpoint_masses`` [240] of the norms of midpoints, ``costs`` by iteration."""

    masses: Array
    midpoint_masses: Array
    costs: tuple[float, ...]

    @property
    def laws(self) -> NormLaws:
        """Both laws on the cells of the solver."""
        middle, far = np.interp([0.5, 0.999], self.cumulative, GRID.log_edges)
        return NormLaws(self.masses, self.midpoint_masses, math.exp(far - middle))

    @property
    def cumulative(self) -> Array:
        """P(r below an edge of the cells): [241], from 0 to 1."""
        inner = np.cumsum(self.masses[:-1]).clip(max=1.0)
        return np.concatenate([[0.0], inner, [1.0]])


@cache
def solve_norms(dim: int, rms_over_max: float, objective: str) -> NormSolution:
    """L-BFGS-B in the square roots of masses, which the tilt brings to the bound; the same bits on every run."""
    midpoints = MidpointMap(dim)

    def value_and_gradient(roots: Array) -> tuple[float, Array]:
        masses = with_mean_square(roots**2, rms_over_max**2)
        value, gradient = divergence(masses, midpoints, objective)
        return value, 2.0 * masses / roots * along_the_bound(gradient, masses)

    start = np.sqrt(with_mean_square(student_masses(dim, rms_over_max), rms_over_max**2))
    costs = [value_and_gradient(start)[0]]
    if not math.isfinite(costs[0]):
        raise ValueError(f"objective={objective} is infinite to float64 in {dim} dimensions: give objective=outside")
    found = optimize.minimize(
        value_and_gradient,
        start,
        jac=True,
        method="L-BFGS-B",
        callback=lambda intermediate_result: costs.append(float(intermediate_result.fun)),
        options={"maxcor": 30, "ftol": 1e-12, "gtol": 1e-9, "maxiter": 3000, "maxfun": 6000},
    )
    assert found.success, found.message
    masses = with_mean_square(found.x**2, rms_over_max**2)
    solution = NormSolution(masses, midpoints(masses), tuple(costs))
    for shared in (solution.masses, solution.midpoint_masses):
        shared.setflags(write=False)
    return solution


class MidpointMap:
    """Masses of norms of a prior -> masses of the norms of its midpoints, on the same cells.

    r' = sqrt(r1^2 + r2^2 + 2 r1 r2 c) / 2 with c of :func:`cosines`, shared between the two middles of cells about ln r'.
    """

    def __init__(self, dim: int) -> None:
        self.first, self.second = np.triu_indices(CELLS)  # r1 <= r2: the other half is the same
        norms = np.exp(GRID.log_norms)
        cosine, weights = cosines(dim)
        lower, share = GRID.landings(norms[self.first, None], norms[self.second, None], cosine)
        chance = np.where(self.first == self.second, 1.0, 2.0)[:, None] * weights
        pair = np.broadcast_to(np.arange(len(self.first))[:, None], lower.shape)
        entries = [(chance * (1.0 - share), lower), (chance * share, lower + 1)]
        shape = (CELLS, len(self.first))
        self.matrix = sum(sparse.csr_array((v.ravel(), (row.ravel(), pair.ravel())), shape=shape) for v, row in entries)
        self.transposed = self.matrix.T.tocsr()

    def __call__(self, masses: Array) -> Array:
        return self.matrix @ (masses[self.first] * masses[self.second])

    def pulled_back(self, gradient: Array, masses: Array) -> Array:
        """The gradient by ``masses`` of what has ``gradient`` by the masses of the midpoints."""
        by_pair = self.transposed @ gradient
        found = np.zeros(CELLS)
        for end, other in ((self.first, self.second), (self.second, self.first)):
            found += np.bincount(end, by_pair * masses[other], minlength=CELLS)
        return found


def divergence(masses: Array, midpoints: MidpointMap, objective: str) -> tuple[float, Array]:
    """``objective`` in nats of the prior's ``masses`` [240], and its gradient by them, on which the midpoints hang too."""
    of_midpoints = midpoints(masses)
    chosen = DIVERGENCES[objective]
    with np.errstate(divide="ignore", invalid="ignore"):
        by_prior, by_midpoints = chosen.slopes(masses, of_midpoints)
        gradient = midpoints.pulled_back(by_midpoints, masses) + by_prior
    return chosen.value(masses, of_midpoints), gradient


def with_mean_square(masses: Array, mean_squared: float) -> Array:
    """``masses`` times exp(a r^2), normalised, with the a by which E r^2 is ``mean_squared``."""

    logs = np.log(masses)

    def tilt(a: float) -> Array:
        exponent = logs + a * SQUARED
        raw = np.exp(exponent - exponent.max())
        return raw / raw.sum()

    # At these ends all mass but exp(-500) lies in the lowest and in the highest cell.
    steepest = 500.0 / np.diff(SQUARED)[[0, -1]]
    a = optimize.brentq(lambda a: tilt(a) @ SQUARED - mean_squared, -steepest[0], steepest[1], xtol=1e-14, rtol=1e-14)
    met = tilt(a)
    assert abs(met @ SQUARED - mean_squared) < 1e-9 * mean_squared
    return met


def along_the_bound(gradient: Array, masses: Array) -> Array:
    """``gradient`` less its part in the span of 1 and r^2 in the inner product weighted by ``masses``.

    What is left is the gradient through :func:`with_mean_square`, at masses that meet the bound.
    """
    basis = np.stack([np.ones(CELLS), SQUARED])
    weighted = basis * masses
    return gradient - np.linalg.solve(weighted @ basis.T, weighted @ gradient) @ basis


def student_masses(dim: int, rms_over_max: float) -> Array:
    """Masses of the cells under the isotropic Student law of one degree of freedom, of which midpoints have the law itself.

    Cut at the largest norm, a law of scale s has a mean of r^2 near s sqrt(dim): so it starts near the bound.
    """
    scale = rms_over_max**2 / math.sqrt(dim)
    cdf = Student(nu=1.0).norm_cdf(torch.from_numpy(np.exp(GRID.log_edges) / scale), dim).numpy()
    return np.diff(cdf) + 1e-12  # no cell of mass 0: the square roots' gradient would keep it there
