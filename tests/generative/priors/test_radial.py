"""The radial prior against measured optima, closed forms of midpoints of few norms, finite differences and its own draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import special

from generative.priors import radial
from generative.priors.radial import CELLS, GRID, MidpointMap, Radial, solve_norms
from generative.randomness import Stream


@pytest.mark.parametrize(
    ("bound", "dim", "measured"),
    [
        (0.5, 100, 0.1496),
        (0.3, 100, 0.0461),
        (0.15, 100, 0.0109),
        (0.5, 5, 0.1451),
        (0.3, 5, 0.0456),
        (0.15, 5, 0.0108),
    ],
)
def test_the_optimum_is_the_measured_one(bound: float, dim: int, measured: float) -> None:
    solution = Radial(rms_over_max=bound).solution(dim)
    assert special.rel_entr(solution.midpoint_masses, solution.masses).sum() == pytest.approx(measured, abs=1e-4)
    assert list(solution.costs) == sorted(solution.costs, reverse=True)
    assert solution.costs[0] > 1.3 * solution.costs[-1]


@pytest.mark.parametrize(("bound", "measured"), [(0.5, 0.853), (0.3, 0.939), (0.15, 0.982)])
def test_norms_overlap_as_measured(bound: float, measured: float) -> None:
    solution = Radial(rms_over_max=bound).solution(100)
    assert solution.laws.overlap == pytest.approx(measured, abs=1e-3)


def test_norms_that_are_drawn_overlap_as_solved() -> None:
    prior, dim, count = Radial(rms_over_max=0.3), 100, 20_000
    latents = prior.sample(0, 2 * count, dim, Stream(0, "latents"))
    midpoints = (latents[:count] + latents[count:]) / 2
    edges = np.exp(
        GRID.log_edges[::8] + prior.log_scale(dim)
    )  # 30 cells: the noise of a cell's count biases an overlap down
    edges[0] = 0.0
    shares = [np.histogram(z.double().norm(dim=1), edges)[0] / len(z) for z in (latents, midpoints)]
    assert [share.sum() for share in shares] == pytest.approx([1.0, 1.0])
    assert np.minimum(*shares).sum() == pytest.approx(0.939, abs=0.01)


def test_the_dimension_hardly_matters_from_20_on() -> None:
    costs = [Radial().solution(dim).costs[-1] for dim in (20, 400)]
    assert costs[0] == pytest.approx(costs[1], rel=5e-3)


def test_the_other_direction_is_ruled_by_the_largest_norms() -> None:
    outside, other = (Radial(objective=objective).solution(100) for objective in ("outside", "missed"))
    assert other.laws.overlap == pytest.approx(0.756, abs=0.015)
    of_outside = special.rel_entr(outside.masses, outside.midpoint_masses).sum()
    assert other.costs[-1] == pytest.approx(special.rel_entr(other.masses, other.midpoint_masses).sum())
    assert other.costs[-1] < of_outside / 2


@pytest.mark.parametrize("dim", [1, 2, 100])
def test_the_law_meets_its_bound_and_has_variance_1(dim: int) -> None:
    prior = Radial(rms_over_max=0.4)
    probabilities = (torch.arange(400_000, dtype=torch.float64) + 0.5) / 400_000
    norms = prior.norm_quantile(probabilities, dim)
    assert float(norms.square().mean()) == pytest.approx(dim, rel=1e-5)
    largest = float(prior.norm_quantile(torch.ones(1, dtype=torch.float64), dim))
    assert math.sqrt(dim) / largest == pytest.approx(0.4)
    assert torch.allclose(prior.norm_cdf(norms, dim), probabilities, rtol=0, atol=1e-9)
    ends = torch.tensor([0.0, 2 * largest], dtype=torch.float64)
    assert prior.norm_cdf(ends, dim).tolist() == [0.0, 1.0]


def test_it_is_solved_to_the_same_bits() -> None:
    first, again = (solve_norms.__wrapped__(10, 0.3, "outside") for _ in range(2))
    assert first.costs == again.costs
    assert np.array_equal(first.masses, again.masses)


def test_equal_norms_on_a_line_meet_in_the_origin_or_in_themselves() -> None:
    masses = np.zeros(CELLS)
    masses[100] = 1.0
    found = MidpointMap(1)(masses)
    assert found[[0, 100]] == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("dim", [2, 3, 4, 40])
def test_midpoints_of_equal_norms_have_the_law_of_a_half_angle(dim: int) -> None:
    masses = np.zeros(CELLS)
    masses[-1] = 1.0
    # r' = r cos(angle / 2) and (1 + c) / 2 has the law Beta((dim - 1) / 2, (dim - 1) / 2).
    edges = np.exp(GRID.log_edges[1:-1] - GRID.log_norms[-1])
    expected = special.betainc((dim - 1) / 2, (dim - 1) / 2, np.minimum(edges, 1.0) ** 2)
    found = np.cumsum(MidpointMap(dim)(masses))[:-1]
    # A node of the quadrature moves the sum by its weight, and the interpolation by a cell's mass.
    assert np.abs(found - expected).max() < 0.04


@pytest.mark.parametrize("dim", [1, 3, 100])
def test_midpoints_have_half_the_mean_square(dim: int) -> None:
    solution = Radial().solution(dim)
    mean_squares = [masses @ np.exp(GRID.log_norms) ** 2 for masses in (solution.masses, solution.midpoint_masses)]
    # Interpolation in ln r adds at most half of the squared step of itself to r^2.
    assert mean_squares[1] == pytest.approx(mean_squares[0] / 2, rel=GRID.step**2)


@pytest.mark.parametrize("objective", ["outside", "missed"])
@pytest.mark.parametrize("at_the_bound", [False, True])
def test_gradients_are_those_of_finite_differences(objective: str, at_the_bound: bool) -> None:
    midpoints = MidpointMap(3)
    law = radial.with_mean_square(1.0 / np.arange(1, CELLS + 1), 0.09)
    change = law * np.cos(np.arange(CELLS))
    change -= law * change.sum()  # masses stay masses

    def value(size: float) -> float:
        masses = law + size * change
        masses = radial.with_mean_square(masses, 0.09) if at_the_bound else masses
        return radial.divergence(masses, midpoints, objective)[0]

    gradient = radial.divergence(law, midpoints, objective)[1]
    gradient = radial.along_the_bound(gradient, law) if at_the_bound else gradient
    assert gradient @ change == pytest.approx((value(1e-5) - value(-1e-5)) / 2e-5, rel=1e-6)


@pytest.mark.parametrize("bound", [-0.3, 0.0, 0.05, 0.99, 1.0, 2.0, float("nan")])
def test_a_bound_that_the_grid_cannot_meet_is_refused(bound: float) -> None:
    with pytest.raises(ValueError, match=rf"rms_over_max must lie in 0.1 .. 0.95.*got {bound}"):
        Radial(rms_over_max=bound)


def test_an_unknown_objective_is_refused() -> None:
    with pytest.raises(ValueError, match="objective must be one of outside, missed, got 'inside'"):
        Radial(objective="inside")


def test_an_objective_that_is_infinite_is_refused() -> None:
    with pytest.raises(
        ValueError, match="objective=missed is infinite to float64 in 900 dimensions: give objective=out"
    ):
        Radial(objective="missed").solution(900)
