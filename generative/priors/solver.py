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
    "extrapolation": (MIDPOINT, LinearPath(Fraction(5, 4)), LinearPath(Fraction(3, 2))),
}
FEASIBLE = 1e-9  # the largest difference of an iterate's variance from what was asked for, as a share of it
LEAST_GAIN = 1e-12  # a solve ends where an iteration lowers the cost by a smaller share of it
DEFAULT_START = "truncated_cauchy"
NARROWEST = 1e-6  # gamma of a truncated Cauchy law, in bins
SPREAD = 1e-3
SMALLEST_MASS = 1e-150  # of an iterate: its square is above 0 in float64, so that no logarithm is infinite
ROUND = 200  # iterations
MOST_ROUNDS = 50
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
    the two bins in the middle and that of the uniform law, which is the widest truncated Cauchy law, where a solve starts.
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
    return with_variance(weights, target, exponents=positions(len(weights)) ** 2, variance_of=variance)


def with_variance(weights: Array, target: float, *, exponents: Array, variance_of: Callable[[Array], float]) -> Array:
    """Masses in proportion to weights exp(a exponents), all [n], whose ``variance_of`` them is ``target``; it rises with a.

    The last of the exponents is the largest, and positive. ValueError where no a gives that variance.
    """
    relative = exponents / exponents[-1]

    def masses(a: float) -> Array:
        factors = np.exp(a * (relative - (a > 0)))  # the largest is 1
        found = np.maximum(weights * factors, SMALLEST_MASS)
        return found / found.sum()

    def excess(a: float) -> float:
        return variance_of(masses(a)) / target - 1.0

    a = brentq(excess, *bracket(excess), xtol=1e-15)
    if not abs(excess(a)) <= FEASIBLE:
        raise ValueError(f"the variance {target:g} squared bins was missed by a share of {excess(a):.2g}")
    return masses(a)


def allowed(masses: Array, slopes: Array, *, exponents: Array, beyond: Array) -> Array:
    """``slopes`` [n] by masses of :func:`with_variance`, without what their sum and their variance forbid.

    The tilt pays for every change. ``beyond`` [n]: what each mass adds to the variance, less the target.
    """
    centred = slopes - masses @ slopes
    return centred - (masses @ (centred * exponents)) / (masses @ (beyond * exponents)) * beyond


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
    """gamma, in bins, by which :func:`cauchy_masses` have the variance ``target``.

    ValueError below the variance of the narrowest, whose masses fall like 1 / x^2: near bins / pi^2.
    """

    def excess(gamma: float) -> float:
        return variance(cauchy_masses(bins, gamma)) / target - 1.0

    if excess(NARROWEST) > 0:
        raise ValueError(
            f"a variance of {target:g} squared bins is too little for a truncated Cauchy law on {bins} bins, which has at least "
            f"{variance(cauchy_masses(bins, NARROWEST)):g}: raise xi or relative_deviation"
        )
    return float(brentq(excess, NARROWEST, 1e6 * bins, xtol=1e-15))


def cauchy_start(bins: int, target: float) -> Array:
    """Truncated Cauchy masses of the variance ``target``, or the narrowest of them, tilted to it where it is less."""
    narrowest = cauchy_masses(bins, NARROWEST)
    if variance(narrowest) > target:
        return tilted(narrowest, target)
    return cauchy_masses(bins, cauchy_scale(bins, target))


def bump(bins: int, at: float, width: float) -> Array:
    """Masses of a Gaussian cut to the bins; ``at`` and its deviation ``width`` in halves of the support, 0 in the middle."""
    found = np.exp(-0.5 * ((positions(bins) / (bins / 2.0) - at) / width) ** 2)
    return found / found.sum()


STARTS: dict[str, Callable[[int, float], Array]] = {
    "truncated_cauchy": cauchy_start,
    "uniform": lambda bins, target: np.full(bins, 1.0 / bins),
    "delta": lambda bins, target: bump(bins, 0.0, 0.5 / bins),
    "delta_off_centre": lambda bins, target: bump(bins, 0.5, 0.5 / bins),
    "gaussian": lambda bins, target: bump(bins, 0.0, 0.25),
    "gaussian_off_centre": lambda bins, target: bump(bins, 0.5, 0.1),
}


def start_masses(name: str, bins: int, target: float, *, symmetric: bool) -> Array:
    """A start of ``STARTS`` [bins], of the variance ``target``; ``symmetric``: the mean of it and of its mirror image.

    To all but the first, which has the variance already, a share ``SPREAD`` of the mass is added evenly: a mass that is nearly 0
    has a root without a slope, and no solve would move it. It is done twice, since the first tilt takes from the edges again.
    """
    found = STARTS[name](bins, target)
    if symmetric:
        found = 0.5 * (found + found[::-1])
    if name == DEFAULT_START:
        return found
    for _ in range(2):
        found = tilted((1.0 - SPREAD) * found + SPREAD / bins, target)
    return found


@dataclass(frozen=True)
class Solution:
    """``density`` [bins]; ``costs`` of the start and after each iteration; how often the cost was asked for; whether it settled."""

    density: Array
    costs: list[float]
    evaluations: int
    settled: bool

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
        x = positions(len(density))
        free = allowed(density, slopes, exponents=x**2, beyond=(x - density @ x) ** 2 - self.target)
        return value, by_roots(roots, density, free)

    def divergence_of(self, density: Array) -> tuple[float, Array]:
        """Mean over the laws, and its gradient by the masses [n] as if they were free."""
        value, slopes = 0.0, np.zeros_like(density)
        for law in self.laws:
            found = law.masses(density)
            by_prior, by_path = self.divergence.slopes(density, found)
            value += self.divergence.value(density, found) / len(self.laws)
            slopes += (by_prior + law.pull_back(density, by_path)) / len(self.laws)
        return value, slopes


def by_roots(roots: Array, masses: Array, slopes: Array) -> Array:
    """The gradient [n] by the roots of masses in proportion to their squares, of ``slopes`` by the masses."""
    return 2.0 * np.divide(masses * slopes, roots, out=0.0 * roots, where=roots != 0)


def start_cost(problem: Problem, density: Array) -> float:
    """ValueError where it is infinite, since no step would lead down from there."""
    cost = problem.divergence_of(density)[0]
    if not np.isfinite(cost):
        raise ValueError(
            "this divergence is infinite where points of the path leave the bins: choose missed (KL(P|Q)), symmetric or l2"
        )
    return cost


def minimise(problem: Problem, start: Array, *, symmetric: bool = True) -> Solution:
    """From the masses ``start`` [n] downhill; ``symmetric`` keeps p_i = p_(n-1-i).

    Every ``ROUND`` iterations the tilt that has been found goes into the roots. A start near the optimum takes one round; one that
    is far from it would crawl by the roots of the start, which are no longer in proportion to those of the masses.
    """
    half = len(start) // 2 if symmetric else 0
    density, costs, evaluations, settled = start, [start_cost(problem, start)], 0, False

    def whole(roots: Array) -> Array:
        return np.concatenate([roots[::-1], roots]) if symmetric else roots

    def cost(roots: Array) -> tuple[float, Array]:
        value, slopes = problem.cost(whole(roots))
        return value, slopes[half:] + slopes[:half][::-1] if symmetric else slopes

    def follow(intermediate_result: OptimizeResult) -> None:
        costs.append(float(intermediate_result.fun))

    limits = {"maxcor": 30, "ftol": LEAST_GAIN, "gtol": 0.0, "maxiter": ROUND, "maxfun": 20 * ROUND}
    for _ in range(MOST_ROUNDS):
        roots = np.sqrt(density[half:])
        roots /= np.linalg.norm(roots)
        found = minimize(cost, roots, jac=True, method="L-BFGS-B", callback=follow, options=limits)
        density, evaluations, settled = (
            tilted(whole(found.x) ** 2, problem.target),
            evaluations + found.nfev,
            found.success,
        )
        if found.nit < ROUND:
            break
    return Solution(density, costs, evaluations, settled)
