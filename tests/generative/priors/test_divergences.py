"""Laws of interpolated points against released files, quadrature and closed forms, and their divergences."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from generative.priors.density_file import read_density
from generative.priors.divergences import (
    DIVERGENCES,
    MIDPOINT,
    Array,
    EvenSums,
    LawOnPath,
    LinearPath,
    cell_masses,
    jensen_shannon,
    missed,
    outside,
    symmetric,
)
from generative.priors.solver import cauchy_masses, cauchy_scale, positions, variance
from tests.support.released import released_outputs

ROOT = Path(__file__).resolve().parents[3]
AUTHORS = ROOT.parent / "shared" / "data" / "priors" / "non_param_pdf.mat"
BINS, TARGET = 1024, 768.0  # xi 0.75


def some_density(bins: int) -> Array:
    found = np.random.default_rng(bins).gamma(0.5, size=bins)
    return found / found.sum()


@released_outputs("prior_divergences_*.npz")
def test_released_outputs(path: Path) -> None:
    stored = np.load(path)
    names = [key.removesuffix("_density") for key in stored if key.endswith("_density")]
    assert names
    for name in names:
        density = stored[f"{name}_density"]
        midpoint = MIDPOINT.masses(density)
        np.testing.assert_allclose(midpoint, stored[f"{name}_exact_midpoint"], rtol=0, atol=1e-9)
        assert missed(density, midpoint) == pytest.approx(float(stored[f"{name}_exact_kl"]), abs=1e-9)
        assert missed(density, EvenSums().masses(density)) == pytest.approx(float(stored[f"{name}_paper_kl"]), abs=1e-9)
        assert variance(density) / len(density) == pytest.approx(float(stored[f"{name}_variance_over_n"]), abs=1e-9)


@pytest.mark.skipif(not AUTHORS.is_file(), reason="the authors' non_param_pdf.mat is not here")
def test_released_outputs_of_the_authors_density() -> None:
    density = read_density(AUTHORS, bins=BINS)
    assert missed(density, EvenSums().masses(density)) == pytest.approx(0.0075084109, abs=1e-9)
    assert missed(density, MIDPOINT.masses(density)) == pytest.approx(0.0077114218, abs=1e-9)
    assert missed(density, LinearPath(Fraction(1, 3)).masses(density)) == pytest.approx(0.0274484, abs=1e-7)
    assert variance(density) / BINS == pytest.approx(0.7504340371, abs=1e-9)


def normal_masses() -> Array:
    found = np.exp(-0.5 * positions(BINS) ** 2 / TARGET)
    return found / found.sum()


@pytest.mark.parametrize(
    ("density", "by_chapter", "exact"),
    [
        (np.full(BINS, 1.0 / BINS), 0.3061760768, None),
        (normal_masses(), 0.1534264097, 0.1532637420),
        (cauchy_masses(BINS, cauchy_scale(BINS, TARGET)), 0.0127431479, 0.0128014811),
    ],
    ids=["uniform", "normal", "truncated Cauchy"],
)
def test_divergences_of_known_laws(density: Array, by_chapter: float, exact: float | None) -> None:
    assert missed(density, EvenSums().masses(density)) == pytest.approx(by_chapter, abs=1e-9)
    if exact is not None:
        assert missed(density, MIDPOINT.masses(density)) == pytest.approx(exact, abs=1e-9)


def test_the_truncated_cauchy_law_extrapolates_as_measured() -> None:
    density = cauchy_masses(BINS, cauchy_scale(BINS, TARGET))
    found = [missed(density, LinearPath(Fraction(a, b)).masses(density)) for a, b in ((1, 3), (5, 4), (3, 2))]
    assert [round(found[0], 4), round(found[1], 3), round(found[2], 3)] == [0.0077, 0.043, 0.121]


def test_the_chapters_divergence_is_blind_to_two_bins_of_opposite_parity() -> None:
    density = np.zeros(BINS)
    density[[0, -1]] = 0.5
    assert missed(density, EvenSums().masses(density)) == pytest.approx(0.0, abs=1e-12)
    assert missed(density, MIDPOINT.masses(density)) == pytest.approx(math.log(2.0), abs=1e-12)


def test_a_third_of_the_way_shares_its_cells_as_one_two_and_one() -> None:
    np.testing.assert_allclose(cell_masses(2, 1), [0.25, 0.5, 0.25], rtol=1e-15)


@pytest.mark.parametrize("at", [Fraction(1, 3), Fraction(2, 5), Fraction(5, 8), Fraction(5, 4), Fraction(-1, 2)])
def test_masses_on_the_path_are_those_of_a_quadrature(at: Fraction) -> None:
    """Both uniform numbers of a bin by midpoints of 400 parts; the law is piecewise linear, an edge cuts cells of (1/400)^2."""
    density, parts = some_density(5), 400
    inner = (np.arange(parts) + 0.5) / parts
    expected = np.zeros(5)
    for i, j in np.ndindex(5, 5):
        first, second = i + inner[:, None], j + inner[None, :]
        bins = np.floor(float(1 - at) * first + float(at) * second).astype(int)
        inside = bins[(bins >= 0) & (bins < 5)]
        expected += density[i] * density[j] * np.bincount(inside, minlength=5) / parts**2
    np.testing.assert_allclose(LinearPath(at).masses(density), expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("at", [Fraction(1, 2), Fraction(1, 3), Fraction(1, 8), Fraction(3, 8)])
@pytest.mark.parametrize("bins", [2, 5, 64])
def test_interpolated_masses_sum_to_one_whichever_end_is_first(at: Fraction, bins: int) -> None:
    density = some_density(bins)
    found = LinearPath(at).masses(density)
    assert found.sum() == pytest.approx(1.0, abs=1e-14)
    assert np.abs(found - LinearPath(1 - at).masses(density)).max() < 1e-15  # the ends have one law


def test_a_mirrored_law_has_mirrored_points_in_extrapolation() -> None:
    density = some_density(64)
    path = LinearPath(Fraction(5, 4))
    np.testing.assert_allclose(path.masses(density[::-1]), path.masses(density)[::-1], rtol=0, atol=1e-15)
    assert path.masses(density).sum() < 1.0


LAWS = [EvenSums(), *(LinearPath(Fraction(a, b)) for a, b in ((1, 2), (1, 3), (3, 8), (5, 4)))]


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_slopes_are_pulled_back_by_the_transpose(law: LawOnPath) -> None:
    """Exact in the central difference, for masses are quadratic; those of EvenSums are a ratio, and agree to its order."""
    density, slopes, step = some_density(7), np.random.default_rng(0).normal(size=7), 1e-5
    differences = [
        slopes @ (law.masses(density + step * unit) - law.masses(density - step * unit)) / (2.0 * step)
        for unit in np.eye(7)
    ]
    np.testing.assert_allclose(law.pull_back(density, slopes), differences, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_slopes_of_divergences_are_their_differences(name: str) -> None:
    p = 0.5 * some_density(6) + 1.0 / 12.0  # far from 0, where third derivatives are large
    divergence, q = DIVERGENCES[name], np.roll(p, 1)
    by_p, by_q = divergence.slopes(p, q)
    towards = p - q  # a change that keeps both normalised
    for slopes, at in ((by_p, lambda t: (p + t * towards, q)), (by_q, lambda t: (p, q + t * towards))):
        difference = (divergence.value(*at(1e-6)) - divergence.value(*at(-1e-6))) / 2e-6
        assert slopes @ towards == pytest.approx(difference, rel=1e-6, abs=1e-7)


def test_both_directions_and_jensen_shannon_of_two_coins() -> None:
    p, q = np.array([0.5, 0.5]), np.array([0.25, 0.75])
    assert missed(p, q) == pytest.approx(0.5 * math.log(4.0 / 3.0), abs=1e-15)
    assert outside(p, q) == pytest.approx(0.75 * math.log(1.5) - 0.25 * math.log(2.0), abs=1e-15)
    m = 0.5 * (p + q)
    assert jensen_shannon(p, q) == pytest.approx(0.5 * (missed(p, m) + missed(q, m)), abs=1e-15)
    assert symmetric(p, q) == pytest.approx(2.0 * jensen_shannon(p, q), abs=1e-15)


def test_what_leaves_the_bins_counts() -> None:
    """All of Q outside: no overlap at all, so Jensen-Shannon is ln 2 and both directions are infinite."""
    p, q = np.array([0.5, 0.5]), np.zeros(2)
    assert jensen_shannon(p, q) == pytest.approx(math.log(2.0), abs=1e-15)
    assert missed(p, q) == outside(p, q) == math.inf


def test_in_d_dimensions_the_divergence_is_d_times_that_of_a_coordinate() -> None:
    density = some_density(9)
    midpoint = MIDPOINT.masses(density)
    joint = [np.einsum("i,j,k->ijk", law, law, law) for law in (density, midpoint)]
    for divergence in (missed, outside):
        assert divergence(*joint) == pytest.approx(3.0 * divergence(density, midpoint), rel=1e-12)
