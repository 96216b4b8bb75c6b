"""The non-parametric prior without side lobes: the optimum of eq. 4.6 among densities that fall from the middle outward.

Such a density that is symmetric is a mixture of plateaus, of which number k = 1, 2 .. is uniform on the 2k bins in the
middle. Unknowns are square roots of the plateaus' masses. A factor exp(a V_k), V_k the variance of a plateau, gives every
iterate exactly the variance that was asked for, as in :mod:`generative.priors.solver`.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from generative.priors.divergences import Array
from generative.priors.nonparametric import NonParametric
from generative.priors.solver import (
    LEAST_GAIN,
    SMALLEST_MASS,
    Problem,
    Solution,
    allowed,
    by_roots,
    cauchy_start,
    start_cost,
    with_variance,
)

MOST_ITERATIONS = 2000


class Unimodal(NonParametric):
    """As :class:`NonParametric`, of densities that fall outward: a little worse at midpoints, and much better at 1/3.

    With 1,024 bins and xi 0.75 its exact KL is 0.0086 at 1/2 and 0.0178 at 1/3, against 0.0066 and 0.1122.
    """

    def solve(self, problem: Problem, bins: int) -> Solution:
        return minimise_unimodal(problem, bins)


def widths(count: int) -> Array:
    """Of ``count`` plateaus, in bins."""
    return 2.0 * np.arange(1, count + 1, dtype=np.float64)


def variances(count: int) -> Array:
    """Of the centres of the bins under each plateau, in squared bins."""
    return (widths(count) ** 2 - 1.0) / 12.0


def mixture(masses: Array) -> Array:
    """The density [2m] of plateaus of ``masses`` [m]: it falls from the middle outward."""
    half = np.cumsum((masses / widths(len(masses)))[::-1])[::-1]
    return np.concatenate([half[::-1], half])


def plateaus(density: Array) -> Array:
    """The masses [n / 2] whose :func:`mixture` is the symmetric ``density`` [n]; negative where it does not fall."""
    half = density[len(density) // 2 :]
    return widths(len(half)) * (half - np.append(half[1:], 0.0))


def pull_back(slopes: Array) -> Array:
    """The gradient [m] by masses of plateaus of a function whose gradient by the density is ``slopes`` [2m]."""
    half = len(slopes) // 2
    return np.cumsum(slopes[half:] + slopes[:half][::-1]) / widths(half)


def minimise_unimodal(problem: Problem, bins: int) -> Solution:
    """From the truncated Cauchy law, which falls outward, downhill; see :func:`generative.priors.solver.minimise`."""
    spread = variances(bins // 2)
    start = mixture(np.maximum(plateaus(cauchy_start(bins, problem.target)), SMALLEST_MASS))
    costs = [start_cost(problem, start)]

    def masses_of(roots: Array) -> Array:
        return with_variance(
            roots**2, problem.target, exponents=spread, variance_of=lambda masses: float(masses @ spread)
        )

    def cost(roots: Array) -> tuple[float, Array]:
        masses = masses_of(roots)
        value, slopes = problem.divergence_of(mixture(masses))
        free = allowed(masses, pull_back(slopes), exponents=spread, beyond=spread - problem.target)
        return value, by_roots(roots, masses, free)

    def follow(intermediate_result: OptimizeResult) -> None:
        costs.append(float(intermediate_result.fun))

    limits = {"maxcor": 30, "ftol": LEAST_GAIN, "gtol": 0.0, "maxiter": MOST_ITERATIONS, "maxfun": 20 * MOST_ITERATIONS}
    found = minimize(cost, np.sqrt(plateaus(start)), jac=True, method="L-BFGS-B", callback=follow, options=limits)
    return Solution(mixture(masses_of(found.x)), costs, found.nfev, found.success)
