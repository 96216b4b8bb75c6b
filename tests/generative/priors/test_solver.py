"""The solver's optima, its constraint, and its starts."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from generative.priors import solver
from generative.priors.divergences import DIVERGENCES, MIDPOINT, Array, EvenSums, LinearPath, missed
from generative.priors.solution_tables import solved
from generative.priors.solver import OBJECTIVES, Problem, cauchy_scale, start_masses, target_variance, tilted, variance

BINS, TARGET = 1024, 768.0  # xi 0.75


def kl_at(density: Array, at: Fraction) -> float:
    return missed(density, LinearPath(at).masses(density))


def test_scale_of_the_truncated_cauchy_law() -> None:
    assert cauchy_scale(BINS, TARGET) == pytest.approx(2.3663895, abs=1e-7)


def test_optimum_of_the_exact_divergence() -> None:
    found = solved(BINS, TARGET)
    density = found.density
    assert found.settled
    assert found.iterations < 500  # the chapter's count (Figure 4.1)
    assert found.costs[-1] == missed(density, MIDPOINT.masses(density)) == pytest.approx(0.0065720823, abs=1e-7)
    assert missed(density, EvenSums().masses(density)) == pytest.approx(0.0061620431, abs=1e-6)
    assert density.max() == pytest.approx(0.0953585, abs=1e-5)
    assert kl_at(density, Fraction(1, 3)) == pytest.approx(0.1122, abs=1e-5)
    assert (density == density[::-1]).all()
    assert density.sum() == pytest.approx(1.0, abs=1e-14)
    assert density.tobytes() == solved(BINS, TARGET).density.tobytes()


def test_optimum_of_the_chapters_divergence() -> None:
    found = solved(BINS, TARGET, objective="paper")
    assert found.costs[-1] == pytest.approx(0.0061151794, abs=1e-7)
    assert missed(found.density, MIDPOINT.masses(found.density)) == pytest.approx(0.0066263817, abs=1e-6)
    assert found.density.max() == pytest.approx(0.1015029, abs=1e-5)


def test_optimum_of_the_average_over_the_path() -> None:
    found = solved(BINS, TARGET, objective="average")
    assert found.costs[-1] == pytest.approx(0.0051838618, abs=1e-7)
    assert found.density.max() == pytest.approx(0.0818390, abs=1e-5)
    along = [kl_at(found.density, Fraction(a, b)) for a, b in ((1, 2), (1, 3), (1, 4), (1, 8), (2, 5), (3, 8))]
    np.testing.assert_allclose(along, [0.0102, 0.0056, 0.0035, 0.0015, 0.0080, 0.0072], rtol=0, atol=5.1e-5)


def test_optimum_with_extrapolated_points() -> None:
    found = solved(BINS, TARGET, objective="extrapolation")
    assert found.settled
    along = [kl_at(found.density, Fraction(a, b)) for a, b in ((1, 2), (5, 4), (3, 2))]
    np.testing.assert_allclose(along[1:], [0.034, 0.111], rtol=0, atol=5e-4)
    assert found.costs[-1] == pytest.approx(sum(along) / 3, rel=1e-12)


def test_a_divergence_that_is_infinite_from_the_start_is_refused() -> None:
    with pytest.raises(ValueError, match=r"infinite where points of the path leave the bins: choose missed"):
        solved(64, 3.0, objective="extrapolation", divergence="outside")


@pytest.mark.parametrize(("bins", "cost"), [(64, 0.0062244), (256, 0.0065768)])
def test_the_optimum_at_a_relative_deviation_hardly_depends_on_the_bins(bins: int, cost: float) -> None:
    target = target_variance(bins, relative_deviation=float(np.sqrt(4 * 0.75 / 1024)))
    assert solved(bins, target).costs[-1] == pytest.approx(cost, abs=1e-7)


def test_every_iterate_is_feasible(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Array] = []

    def watched(weights: Array, target: float) -> Array:
        seen.append(tilted(weights, target))
        return seen[-1]

    monkeypatch.setattr(solver, "tilted", watched)
    found = solved(64, 3.0, start="gaussian")
    assert len(seen) > found.evaluations
    assert max(abs(variance(density) / 3.0 - 1.0) for density in seen) < 1e-9


def test_costs_of_the_trace_never_rise() -> None:
    costs = solved(256, 192.0).costs
    assert len(costs) > 20
    assert (np.diff(costs) <= 0).all()


@pytest.mark.parametrize("start", ["uniform", "delta", "delta_off_centre", "gaussian", "gaussian_off_centre"])
def test_with_symmetry_all_starts_end_in_one_optimum(start: str) -> None:
    assert solved(64, 3.0, start=start).costs[-1] == pytest.approx(solved(64, 3.0).costs[-1], abs=1e-8)


@pytest.mark.parametrize("start", solver.STARTS)
def test_starts_have_the_variance_and_the_symmetry_that_are_asked_for(start: str) -> None:
    for symmetric in (True, False):
        found = start_masses(start, 64, 7.0, symmetric=symmetric)
        assert variance(found) == pytest.approx(7.0, rel=1e-9)
        mirrored = np.abs(found - found[::-1]).max() < 1e-12
        assert mirrored == (symmetric or not start.endswith("off_centre"))


def test_without_symmetry_a_start_off_the_centre_finds_the_loophole() -> None:
    """The chapter's divergence then falls below that of its symmetric optimum, and the exact one rises above."""
    found = solved(256, 192.0, objective="paper", start="delta_off_centre", symmetric=False)
    centred = solved(256, 192.0, objective="paper")
    assert found.costs[-1] < 0.9 * centred.costs[-1]
    exact, of_centred = (missed(solution.density, MIDPOINT.masses(solution.density)) for solution in (found, centred))
    assert exact > 2.0 * of_centred


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_gradient_of_the_cost(objective: str, divergence: str) -> None:
    if (objective, divergence) == ("extrapolation", "outside"):
        return  # infinite everywhere
    problem = Problem(3.0, OBJECTIVES[objective], DIVERGENCES[divergence])
    random = np.random.default_rng(0)
    # Off the centre, so that the tilt and the variance do not share their middle.
    roots = np.sqrt(start_masses("gaussian_off_centre", 16, 3.0, symmetric=False)) * random.uniform(0.8, 1.2, 16)
    gradient = problem.cost(roots)[1]
    for direction in random.normal(size=(3, 16)):
        step = 1e-6 * direction
        difference = (problem.cost(roots + step)[0] - problem.cost(roots - step)[0]) / 2e-6
        assert gradient @ direction == pytest.approx(difference, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bins": 1023, "xi": 0.75}, "even number of at least 2, got 1023"),
        ({"bins": 0, "xi": 0.75}, "even number of at least 2, got 0"),
        (
            {"bins": 64, "xi": 0.75, "relative_deviation": 0.1},
            "give one of xi and relative_deviation, got 0.75 and 0.1",
        ),
        ({"bins": 64}, "give one of xi and relative_deviation, got None and None"),
        ({"bins": 64, "xi": -1.0}, "xi -1 is not feasible with 64 bins"),
        ({"bins": 64, "xi": float("nan")}, "xi nan is not feasible"),
        ({"bins": 64, "relative_deviation": 0.6}, "between 0.25 and 341.25"),
        ({"bins": 64, "relative_deviation": 0.01}, "relative_deviation 0.01 is not feasible"),
    ],
)
def test_what_is_not_feasible_is_said(settings: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        target_variance(**settings)  # type: ignore[arg-type]


def test_a_truncated_cauchy_law_is_not_narrower_than_its_tails_allow() -> None:
    with pytest.raises(ValueError, match="too little for a truncated Cauchy law on 64 bins"):
        cauchy_scale(64, 1.0)


def test_a_tilt_that_cannot_be_found_is_said() -> None:
    weights = np.zeros(8)
    with pytest.raises(ValueError, match="no tilt gives this start the variance"):
        tilted(weights + (np.arange(8) == 3), 100.0)
