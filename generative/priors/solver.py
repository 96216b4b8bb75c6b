"""The density of least divergence between a prior and its interpolated points at a given variance (eq. 4.6).

Unknowns are square roots s of masses: p = tilted(s^2), where a factor exp(a x^2) gives every iterate exactly the variance that was
asked for, so that L-BFGS meets no constraint. There are no random numbers: a machine gives the same bits on every run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.optimize import OptimizeResult, brentq, minimize

from generative.priors.divergences import MIDPOINT, Array, Divergence, EvenSums, LawOnPath, LinearPath

OBJECTIVES: dict[str, tuple[LawOnPath, ...]] = {
    "exact": (MIDPOINT,),
    "paper": (EvenSums(),),
    "average": tuple(LinearPath(Fraction(1, b)) for b in (2, 3, 4, 8)),
}
FEASIBLE = 1e-9  # the largest difference of an iterate's variance from what was asked for, as a share of it
NO_LOWER = 1e-12  # a solve ends where an iteration lowers the cost by a smaller share
LARGEST_TILT = 2.0**20  # of the exponent at the edge of the support: beyond it masses are 0 in float64


def positions(bins: int) -> Array:
    """Centres of ``bins`` bins of width 1 around 0."""
    return np.arange(bins, dtype=np.float64) - 0.5 * (bins - 1)


def variance(density: Array) -> float:
    """Of the centres of the bins, in squared bins."""
    x = positions(len(density))
    return float(density @ (x - density @ x) ** 2)


def target_variance(bins: int, *, xi: float | None = None, relative_deviation: float | None = None) -> float:
    """The variance, in squared bins, that ``xi`` = Var / bins or ``relative_deviation`` = sigma / (bins / 2) asks for.

    ValueError for bins that are odd or fewer than 2, for both or none of the two, and for a variance that is not between that of
    the two bins in the middle and that of the truncated Cauchy law, where a solve starts; the limit of that is the uniform law.
    """
    if bins < 2 or bins % 2:
        raise ValueError(f"bins must be an even number of at least 2, got {bins}")
    if xi is not None and relative_deviation is None:
        name, given, target = "xi", xi, xi * bins
    elif relative_deviation is not None and xi is None:
        name, given, target = "relative_deviation", relative_deviation, (relative_deviation * bins / 2.0) ** 2
    else:
        raise ValueError(
            f"give one of xi and relative_deviation, got {xi} and {relative_deviation}: make one of them null"
        )
    least, most = 0.25, variance(np.full(bins, 1.0 / bins))
    if not (given > 0 and least < target < most):
        raise ValueError(
            f"{name} {given:g} is not feasible with {bins} bins: it asks for a variance of {target:g} squared bins, which must lie "
            f"between {least:g} and {most:g}, that of the uniform law"
        )
    return target


def tilted(weights: Array, target: float) -> Array:
    """Masses in proportion to weights exp(a x^2) that have the variance ``target``; x are the centres of the bins.

    ValueError where no a gives it.
    """
    squares = (positions(len(weights)) / positions(len(weights))[-1]) ** 2

    def masses(a: float) -> Array:
        found = weights * np.exp(a * (squares - (a > 0)))  # the largest factor is 1
        return found / found.sum()

    def excess(a: float) -> float:
        return variance(masses(a)) / target - 1.0

    a = brentq(excess, *bracket(excess), xtol=1e-15)
    if not abs(excess(a)) <= FEASIBLE:
        raise ValueError(f"the variance {target:g} squared bins was missed by a share of {excess(a):.2g}")
    return masses(a)


def bracket(excess: Callable[[float], float]) -> tuple[float, float]:
    """An interval from 0 outward at whose ends ``excess``, which rises there, has different signs."""
    near = excess(0.0)
    far = -1.0 if near > 0 else 1.0
    while excess(far) * near > 0:
        far *= 2.0
        if abs(far) > LARGEST_TILT:
            raise ValueError("no tilt gives this start the variance that was asked for: choose another start")
    return min(0.0, far), max(0.0, far)


def cauchy_masses(bins: int, gamma: float) -> Array:
    """Masses in proportion to 1 / (1 + (x / gamma)^2) at the centres of the bins; ``gamma`` in bins."""
    found = 1.0 / (1.0 + (positions(bins) / gamma) ** 2)
    return found / found.sum()


def cauchy_scale(bins: int, target: float) -> float:
    """gamma, in bins, by which :func:`cauchy_masses` have the variance ``target``: it is below that of the uniform law."""
    return float(
        brentq(lambda gamma: variance(cauchy_masses(bins, gamma)) / target - 1.0, 1e-6, 1e6 * bins, xtol=1e-15)
    )


@dataclass(frozen=True)
class Solution:
    """``density`` [bins], ``costs`` of the start and after each iteration, and how often the cost was asked for."""

    density: Array
    costs: list[float]
    evaluations: int

    @property
    def iterations(self) -> int:
        return len(self.costs) - 1


@dataclass(frozen=True)
class Problem:
    """Eq. 4.6: the mean divergence of a density from its ``laws`` on the path, at the variance ``target`` (in squared bins)."""

    target: float
    laws: tuple[LawOnPath, ...]
    divergence: Divergence

    def cost(self, roots: Array) -> tuple[float, Array]:
        """The divergence of tilted(roots^2), and its gradient by the roots [n]."""
        density = tilted(roots**2, self.target)
        value, slopes = self.divergence_of(density)
        return value, 2.0 * np.divide(density * self.along(density, slopes), roots, out=0.0 * roots, where=roots != 0)

    def divergence_of(self, density: Array) -> tuple[float, Array]:
        """Mean over the laws, and its gradient by the masses [n] as if they were free."""
        value, slopes = 0.0, np.zeros_like(density)
        for law in self.laws:
            found = law.masses(density)
            by_prior, by_path = self.divergence.slopes(density, found)
            value += self.divergence.value(density, found) / len(self.laws)
            slopes += (by_prior + law.pull_back(density, by_path)) / len(self.laws)
        return value, slopes

    def along(self, density: Array, slopes: Array) -> Array:
        """``slopes`` without what the sum and the variance of the masses forbid, where the tilt pays for every change."""
        x = positions(len(density))
        centred = slopes - density @ slopes
        spread = (x - density @ x) ** 2 - self.target
        return centred - (density @ (centred * x**2)) / (density @ (spread * x**2)) * spread


def minimise(problem: Problem, start: Array, *, symmetric: bool = True) -> Solution:
    """From the weights ``start`` [n] downhill; ``symmetric`` keeps p_i = p_(n-1-i)."""
    costs: list[float] = []
    half = len(start) // 2

    def whole(roots: Array) -> Array:
        return np.concatenate([roots[::-1], roots]) if symmetric else roots

    def cost(roots: Array) -> tuple[float, Array]:
        value, slopes = problem.cost(whole(roots))
        return value, slopes[half:] + slopes[:half][::-1] if symmetric else slopes

    def follow(intermediate_result: OptimizeResult) -> None:
        costs.append(float(intermediate_result.fun))

    roots = np.sqrt(start[half:] if symmetric else start)
    roots /= np.linalg.norm(roots)
    costs.append(cost(roots)[0])
    limits = {"maxcor": 30, "ftol": NO_LOWER, "gtol": 0.0, "maxiter": 100_000, "maxfun": 400_000}
    found = minimize(cost, roots, jac=True, method="L-BFGS-B", callback=follow, options=limits)
    return Solution(tilted(whole(found.x) ** 2, problem.target), costs, found.nfev)
