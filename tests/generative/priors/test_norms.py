"""Divergences of norms against closed forms, measured tables, sampled norms, and the frontier that is drawn of them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from generative.priors import frontier
from generative.priors.base import IsotropicPrior, Prior
from generative.priors.cauchy import Cauchy
from generative.priors.gamma import Gamma
from generative.priors.nonparametric import NonParametric
from generative.priors.normal import Normal
from generative.priors.norms import LogGrid, NormLaws, cosines, norm_laws, sampled_norm_laws
from generative.priors.radial import Radial
from generative.priors.student import Student
from generative.priors.truncated_cauchy import TruncatedCauchy
from generative.priors.uniform import Uniform
from generative.randomness import Stream

FEW = 300  # cells: enough for three digits


@pytest.mark.parametrize("dim", [1, 2, 3, 20, 100])
def test_normal_midpoints_are_as_far_as_their_joint_laws(dim: int) -> None:
    laws = norm_laws(Normal(), dim)
    # N(0, I / 2) and N(0, I): what tells them apart is the norm alone.
    assert laws.outside == pytest.approx(dim * (math.log(2) - 0.5) / 2, rel=4e-3)
    assert laws.missed == pytest.approx(dim * (1 - math.log(2)) / 2, rel=8e-3)


def test_normal_divergences_in_100_dimensions_are_the_printed_ones() -> None:
    laws = norm_laws(Normal(), 100, cells=900)
    assert (laws.outside, laws.missed) == pytest.approx((9.66, 15.34), abs=0.006)
    assert (laws.overlap, laws.jensen_shannon) == pytest.approx((0.016, 0.671), abs=2e-3)
    assert laws.tail == pytest.approx(1.2, abs=0.05)


@pytest.mark.parametrize("dim", [1, 2, 5, 100])
def test_midpoints_of_isotropic_cauchy_latents_have_their_law(dim: int) -> None:
    laws = norm_laws(Student(nu=1.0), dim, cells=FEW)
    assert max(laws.outside, laws.missed, laws.jensen_shannon) < 2e-4
    assert laws.overlap > 0.997


# The table of section 5 of our measurements; those were of sampled norms, ours of cells: they differ in the third digit.
@pytest.mark.parametrize(
    ("prior", "overlap", "jensen_shannon", "tail"),
    [
        (Gamma(), 0.738, 0.065, 4.8),
        (Student(nu=10.0), 0.456, 0.217, 2.6),
        (Student(nu=5.0), 0.646, 0.095, 4.6),
        (Student(nu=3.0), 0.772, 0.039, 9.8),
        (Student(nu=2.0), 0.861, 0.015, 25.5),
    ],
)
def test_laws_with_long_tails_are_as_far_as_measured(
    prior: IsotropicPrior, overlap: float, jensen_shannon: float, tail: float
) -> None:
    laws = norm_laws(prior, 100, cells=FEW)
    assert laws.overlap == pytest.approx(overlap, abs=5e-3)
    assert laws.jensen_shannon == pytest.approx(jensen_shannon, abs=2e-3)
    assert laws.tail == pytest.approx(tail, rel=0.04)


def test_the_scale_of_a_law_does_not_matter() -> None:
    small, large = (norm_laws(Gamma(theta=theta), 7, cells=60) for theta in (1e-3, 1e5))
    assert small.outside == pytest.approx(large.outside, rel=1e-9)


@pytest.mark.parametrize("prior", [Normal(), Gamma(), Student(nu=3.0)])
@pytest.mark.parametrize("dim", [1, 2, 10])
def test_sampled_norms_overlap_as_the_cells_say(prior: IsotropicPrior, dim: int) -> None:
    sampled = sampled_norm_laws(prior, dim, count=20_000, stream=Stream(0, "norms"), cells=40)
    exact = norm_laws(prior, dim, cells=FEW)
    # Counts lower the overlap by sqrt(40 / 20,000) / 2 = 0.022 at most, the width of their cells raises it. Of a quantile beyond
    # which 20 norms lie, the noise is a tenth or two.
    assert sampled.overlap == pytest.approx(exact.overlap, abs=0.025)
    assert sampled.tail == pytest.approx(exact.tail, rel=0.3)


def test_norms_are_counted_alike_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sampled_norm_laws(Uniform(), 3, count=50, stream=Stream(1, "norms"))
    monkeypatch.setattr("generative.priors.norms.AT_ONCE", 7)
    parts = sampled_norm_laws(Uniform(), 3, count=50, stream=Stream(1, "norms"))
    assert np.array_equal(whole.prior, parts.prior)
    assert np.array_equal(whole.midpoints, parts.midpoints)


@pytest.mark.parametrize("dim", [1, 2, 3, 7, 1000])
def test_cosines_have_mean_0_and_variance_1_over_dim(dim: int) -> None:
    cosine, weights = cosines(dim)
    # 3 dimensions have a kinked density of the angle at its ends, by which the rule errs as 1 / nodes^2.
    assert [weights.sum(), weights @ cosine, weights @ cosine**2] == pytest.approx([1, 0, 1 / dim], rel=1e-3, abs=1e-12)


def test_opposite_latents_of_one_norm_meet_in_the_lowest_cell() -> None:
    grid = LogGrid(-3.0, 0.1, 30)
    lower, share = grid.landings(np.ones(2), np.ones(2), np.array([-1.0, 1.0]))
    assert lower.tolist() == [0, 28]
    assert share.tolist() == [0.0, 1.0]


def test_two_laws_are_compared_as_defined() -> None:
    laws = NormLaws(np.array([0.5, 0.5]), np.array([0.25, 0.75]), 1.0)
    assert laws.overlap == 0.75
    assert laws.outside == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5))
    assert laws.missed == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))
    middle = (0.375, 0.625)
    sides = [
        0.5 * math.log(p / m) * p for law in (laws.prior, laws.midpoints) for p, m in zip(law, middle, strict=True)
    ]
    assert laws.jensen_shannon == pytest.approx(sum(sides))


@pytest.mark.parametrize(
    ("prior", "bound"),
    [
        (Uniform(), 0.95),
        (NonParametric(xi=0.75), 0.5),
        (TruncatedCauchy(xi=0.75), 0.5),
        (Normal(), 0.9),
        (Gamma(), 0.5),
        (Student(nu=10.0), 0.6),
        (Student(nu=5.0), 0.5),
        (Student(nu=3.0), 0.3),
        (Student(nu=2.0), 0.2),
    ],
)
def test_the_radial_prior_overlaps_more_at_a_shorter_tail(prior: Prior, bound: float) -> None:
    radial = norm_laws(Radial(rms_over_max=bound), 100, cells=FEW)
    if isinstance(prior, IsotropicPrior):
        other = norm_laws(prior, 100, cells=FEW)
    else:
        other = sampled_norm_laws(prior, 100, count=4_000, stream=Stream(0, "norms"))
    assert radial.tail < other.tail
    assert radial.overlap > other.overlap + 0.05
    assert radial.jensen_shannon < other.jensen_shannon


def test_dimension_0_is_refused() -> None:
    with pytest.raises(ValueError, match="dimension of at least 1, got 0"):
        norm_laws(Normal(), 0)


def test_the_frontier_is_a_table_and_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"Cauchy": Cauchy(), "Student t, nu = 3": Student(nu=3.0), "radial, rms/max 0.3": Radial()}
    monkeypatch.setattr(frontier, "priors", lambda: few)
    monkeypatch.setattr(frontier, "BOUNDS", (0.3,))
    frontier.main(["--output", str(tmp_path / "new"), "--dim", "5", "--count", "500"])
    lines = (tmp_path / "new" / "frontier.md").read_text().splitlines()
    cauchy, radial = (next(line for line in lines if line.startswith(f"| {name}")) for name in ("Cauchy", "radial"))
    assert cauchy.split(" | ")[3:5] == ["-", "-"]
    assert float(radial.split(" | ")[1]) == pytest.approx(0.939, abs=2e-3)
    assert "| 0.3 | 0.0456 | 0.939 | 39 |" in lines
    assert (tmp_path / "new" / "frontier.png").read_bytes().startswith(b"\x89PNG")


def test_too_few_sampled_norms_are_an_error_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        frontier.main(["--output", str(tmp_path), "--count", "1"])
    assert capsys.readouterr().err == "error: count must be at least 2 sampled norms, got 1\n"
