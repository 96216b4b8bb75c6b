"""The optimum among densities that fall from the middle outward."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from generative.priors import unimodal
from generative.priors.divergences import DIVERGENCES, LinearPath, missed
from generative.priors.solution_tables import solved
from generative.priors.solver import OBJECTIVES, Problem, cauchy_masses, variance
from generative.priors.unimodal import Unimodal, minimise_unimodal, mixture, plateaus, pull_back, variances


def test_its_optimum_costs_little_at_midpoints_and_gains_much_before() -> None:
    found = solved(1024, 768.0, unimodal=True)
    density = found.density
    assert found.settled
    assert found.costs[-1] == pytest.approx(0.00859, abs=5e-6)
    assert variance(density) == pytest.approx(768.0, rel=1e-9)
    assert density.sum() == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_array_equal(density, density[::-1])
    assert (np.diff(density[512:]) <= 0).all()
    at_third = missed(density, LinearPath(Fraction(1, 3)).masses(density))
    assert at_third == pytest.approx(0.0178, abs=5e-5), "the optimum with side lobes has 0.1122"
    assert density.tobytes() == Unimodal(xi=0.75).density.tobytes()


def test_a_law_that_falls_is_a_mixture_of_plateaus() -> None:
    density = cauchy_masses(64, 3.0)
    masses = plateaus(density)
    assert (masses > 0).all()
    np.testing.assert_allclose(mixture(masses), density, rtol=1e-12)
    assert masses @ variances(32) == pytest.approx(variance(density), rel=1e-12)
    two_humps = np.array([0.1, 0.2, 0.05, 0.15, 0.15, 0.05, 0.2, 0.1])
    assert (plateaus(two_humps) < 0).any()


def test_slopes_by_plateaus_are_those_of_their_mixture() -> None:
    random = np.random.default_rng(0)
    masses, slopes = random.uniform(size=8), random.normal(size=16)
    by_each = [mixture(step) @ slopes for step in np.eye(8)]
    np.testing.assert_allclose(pull_back(slopes), by_each, rtol=1e-12)
    assert pull_back(slopes) @ masses == pytest.approx(slopes @ mixture(masses), rel=1e-12)


def test_the_gradient_that_it_descends_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against differences, at roots off the optimum."""
    random = np.random.default_rng(0)
    checked = []

    def check(cost, start, **settings):  # type: ignore[no-untyped-def]
        roots = start * random.uniform(0.8, 1.2, len(start))
        gradient = cost(roots)[1]
        for direction in random.normal(size=(3, len(start))):
            step = 1e-6 * direction
            difference = (cost(roots + step)[0] - cost(roots - step)[0]) / 2e-6
            checked.append((gradient @ direction, difference))
        raise StopIteration

    monkeypatch.setattr(unimodal, "minimize", check)
    for objective in OBJECTIVES:
        with pytest.raises(StopIteration):
            minimise_unimodal(Problem(3.0, OBJECTIVES[objective], DIVERGENCES["missed"]), 16)
    ours, differences = zip(*checked, strict=True)
    np.testing.assert_allclose(ours, differences, rtol=1e-5, atol=1e-8)
