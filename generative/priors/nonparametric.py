"""The non-parametric prior: of all densities on bins the one whose midpoints differ least from it (eq. 4.6)."""

from __future__ import annotations

from generative.priors.divergences import DIVERGENCES, Array
from generative.priors.solver import OBJECTIVES, Problem, Solution, cauchy_start, minimise, target_variance
from generative.priors.tabulated import Tabulated


class NonParametric(Tabulated):
    """Every coordinate from the density of least KL(P|Q) at a given variance; it is solved for here, in about 0.1 s.

    ``objective``: ``exact`` takes the law of midpoints as it is, ``paper`` the chapter's, which loses odd sums, ``average``
    the mean of KL over lambda = 1/2, 1/3, 1/4 and 1/8, and ``extrapolation`` that over 1/2, 5/4 and 3/2. ``xi`` is the
    chapter's bound Var / bins >= xi, Var in squared bins, or ``relative_deviation`` is the standard deviation over half of
    the support, which alone decides the law: sqrt(4 xi / bins).
    """

    def __init__(
        self,
        *,
        objective: str = "exact",
        bins: int = 1024,
        xi: float | None = None,
        relative_deviation: float | None = None,
        deviation: float | None = None,
        half_width: float | None = None,
        jitter: bool = True,
    ) -> None:
        super().__init__(deviation=deviation, half_width=half_width, jitter=jitter)
        if objective not in OBJECTIVES:
            raise ValueError(f"objective {objective!r} is not known: choose one of {', '.join(OBJECTIVES)}")
        target = target_variance(bins, xi=xi, relative_deviation=relative_deviation)
        self.solution = self.solve(Problem(target, OBJECTIVES[objective], DIVERGENCES["missed"]), bins)
        if not self.solution.settled:
            raise ValueError(
                f"the density of {bins} bins and a variance of {target:g} squared bins was not found: choose others"
            )

    def solve(self, problem: Problem, bins: int) -> Solution:
        """Among the densities that this prior may have, the one of least divergence."""
        return minimise(problem, cauchy_start(bins, problem.target))

    @property
    def density(self) -> Array:
        return self.solution.density
