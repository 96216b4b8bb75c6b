"""Curves and bounds of the probability of detection against other solvers, brute force and planted curves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import chi2
from sklearn.linear_model import LogisticRegression

from generative.randomness import Stream
from metrics.detection_probability import DetectionCurve, bootstrap_bound, fit_curve, likelihood_bound

PLANTED = DetectionCurve(-6.0, 2.5, 0.0)  # a90 = exp((ln 9 + 6) / 2.5) = 26.5


def probed(count: int, seed: int, curve: DetectionCurve = PLANTED) -> tuple[np.ndarray, np.ndarray]:
    """Sizes between 2 and 80 and what an inspection of this curve finds of them."""
    random = np.random.default_rng(seed)
    sizes = np.exp(random.uniform(math.log(2), math.log(80), count))
    return sizes, random.uniform(size=count) < curve.probability(sizes)


@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e5])
def test_the_fit_is_that_of_another_solver_in_every_unit(unit: float) -> None:
    sizes, found = probed(200, seed=1)
    curve = fit_curve(unit * sizes, found)
    theirs = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    theirs.fit(np.log(sizes)[:, None], found)
    assert curve.slope == pytest.approx(theirs.coef_[0, 0], rel=1e-7)
    assert curve.intercept == pytest.approx(theirs.intercept_[0] - theirs.coef_[0, 0] * math.log(unit), rel=1e-7)
    p = curve.probability(unit * sizes)
    assert curve.log_likelihood == pytest.approx(np.log(np.where(found, p, 1 - p)).sum(), rel=1e-12)


def test_the_score_equations_hold_where_the_fit_is_nearly_a_step() -> None:
    """sum (y - POD) = 0 = sum (y - POD) ln a."""
    sizes = np.array([1.0, 2.0, 3.0, 3.01, 5.0, 1e4])
    found = np.array([False, False, True, False, True, True])
    rest = found - fit_curve(sizes, found).probability(sizes)
    assert rest.sum() == pytest.approx(0, abs=1e-8)
    assert (rest * np.log(sizes)).sum() == pytest.approx(0, abs=1e-8)


def test_the_size_is_the_inverse_of_the_curve_and_that_of_a_planted_one_comes_back() -> None:
    assert PLANTED.size() == pytest.approx(math.exp((math.log(9) + 6) / 2.5))
    for share in (0.1, 0.5, 0.9, 0.99):
        assert PLANTED.probability(PLANTED.size(share)) == pytest.approx(share)
    assert fit_curve(*probed(100_000, seed=2)).size() == pytest.approx(PLANTED.size(), rel=0.02)


@pytest.mark.parametrize(("simultaneous", "limit"), [(False, 2.705543), (True, 5.991465)])
def test_the_bound_is_the_largest_size_on_the_contour(simultaneous: bool, limit: float) -> None:
    """By brute force: all curves of a fine grid, those of them within the contour, the largest a90 of these."""
    assert limit == pytest.approx(chi2.ppf(0.95, 2) if simultaneous else chi2.ppf(0.9, 1), abs=1e-6)
    sizes, found = probed(80, seed=3)
    curve, logs = fit_curve(sizes, found), np.log(sizes)
    slopes = np.linspace(0.2 * curve.slope, 2.2 * curve.slope, 500)
    middles = np.linspace(-3.0, 3.0, 500)  # of the curve at the mean size, which with the slope is nearly uncorrelated
    b1, middle = (grid.ravel()[:, None] for grid in np.meshgrid(slopes, middles))
    at_mean = curve.intercept + curve.slope * logs.mean()
    b0 = at_mean + middle - b1 * logs.mean()
    values = np.concatenate([
        -np.logaddexp(0, np.where(found, -1, 1) * (b0[k : k + 5000] + b1[k : k + 5000] * logs)).sum(axis=1)
        for k in range(0, len(b1), 5000)
    ])  # fmt: skip
    within = 2 * (curve.log_likelihood - values) <= limit
    largest = np.exp(((logit(0.9) - b0) / b1).ravel()[within].max())
    bound = likelihood_bound(sizes, found, simultaneous=simultaneous)
    assert bound == pytest.approx(largest, rel=0.01)
    assert bound >= largest


def test_the_bound_of_one_size_covers_the_truth_as_often_as_it_says_and_the_whole_contour_more_often() -> None:
    sets = [probed(150, seed=100 + k) for k in range(300)]
    covered = np.mean([likelihood_bound(*one) >= PLANTED.size() for one in sets])
    assert 0.92 <= covered <= 0.975  # 0.95 less and more two deviations of 300 sets
    assert np.mean([likelihood_bound(*one, simultaneous=True) >= PLANTED.size() for one in sets]) >= 0.98


def test_the_bootstrap_agrees_where_defects_are_independent_and_is_wider_where_an_image_is_found_or_missed_whole() -> (
    None
):
    sizes, found = probed(400, seed=5)
    alone = bootstrap_bound(sizes, found, np.arange(400), seed=0, resamples=300)
    assert alone == pytest.approx(likelihood_bound(sizes, found), rel=0.1)
    # Each defect stands four times on its image: no more is known than before, and a bound of independent ones forgets that.
    fourfold, hits, images = (np.repeat(values, 4) for values in (sizes, found, np.arange(400)))
    assert bootstrap_bound(fourfold, hits, images, seed=0, resamples=300) == pytest.approx(alone, rel=1e-6)
    best = fit_curve(sizes, found).size()
    assert likelihood_bound(fourfold, hits) - best == pytest.approx((alone - best) / 2, rel=0.25)


def test_the_bootstrap_is_a_function_of_its_seed() -> None:
    sizes, found = probed(60, seed=6)
    first = bootstrap_bound(sizes, found, np.arange(60) // 3, seed=0, resamples=200)
    assert first == bootstrap_bound(sizes, found, np.arange(60) // 3, seed=0, resamples=200)
    assert first != bootstrap_bound(sizes, found, np.arange(60) // 3, seed=1, resamples=200)


def test_the_bootstrap_is_the_quantile_of_fits_to_resampled_clusters() -> None:
    """Against a plain loop that repeats the defects of each drawn cluster; steps and flat ones are among the draws."""
    sizes, found = np.array([1.0, 2, 3, 4, 4, 6, 7, 8]), np.array([0, 0, 1, 0, 1, 0, 1, 1], dtype=bool)
    sizes_found = []
    for row in Stream(4, "probability of detection").integers(0, 800, high=8).numpy().reshape(100, 8):
        some, hits = sizes[row], found[row]
        if hits.all():
            sizes_found.append(some.min())
        elif hits.any() and some[~hits].max() <= some[hits].min():
            sizes_found.append(some[hits].min())
        else:
            try:
                sizes_found.append(fit_curve(some, hits).size())
            except ValueError:
                sizes_found.append(math.inf)
    assert len({round(one, 6) for one in sizes_found}) > 20
    for confidence in (0.02, 0.2, 0.5, 0.8):
        expected = np.sort(sizes_found)[math.ceil(confidence * 99)]
        got = bootstrap_bound(sizes, found, np.arange(8), seed=4, resamples=100, confidence=confidence)
        assert got == pytest.approx(expected, rel=1e-6)


def test_a_bound_is_infinite_where_the_curve_may_not_rise() -> None:
    sizes = np.array([1.0, 2, 3, 4, 5, 6])
    found = np.array([False, True, False, True, False, True])
    assert math.isfinite(fit_curve(sizes, found).size())
    assert likelihood_bound(sizes, found) == math.inf
    assert bootstrap_bound(sizes, found, np.arange(6), seed=0, resamples=100) == math.inf


@pytest.mark.parametrize(
    ("sizes", "found", "message"),
    [
        ([1, 2, 3], [True, True, True], "all 3 defects were found, from size 1 on"),
        ([1, 2, 3], [False, False, False], "none of 3 defects was found, up to size 3"),
        ([2, 2, 2], [True, False, True], "all defects have the size 2"),
        ([1, 2, 2, 4], [False, False, True, True], "all defects up to size 2 were missed and all from 2 on found"),
        ([1, 2, 3, 4], [True, True, False, False], "were found and all from 3 on missed: no such curve exists"),
        ([1, 2, 3, 4], [True, False, True, False], "a90 does not exist: larger defects are not found more often"),
        ([1, 0, 3], [True, False, True], "sizes must be above 0 and finite, got 0"),
        ([1, math.nan, 3], [True, False, True], "sizes must be above 0 and finite, got nan"),
        ([1, 2], [True], "one defect each"),
        ([], [], "one defect each"),
        ([1, 2, 3], [0.2, 1, 0], "found must be bools"),
    ],
)
def test_what_has_no_answer_is_said(sizes: list[float], found: list[bool], message: str) -> None:
    for bound in (
        likelihood_bound,
        lambda *one: fit_curve(*one).size(),
        lambda *one: bootstrap_bound(*one, [1] * len(sizes), seed=0),
    ):
        with pytest.raises(ValueError, match=message):
            bound(sizes, found)


def test_settings_are_checked() -> None:
    sizes, found = probed(60, seed=6)
    with pytest.raises(ValueError, match="probability must lie between 0 and 1, got 1"):
        PLANTED.size(1)
    with pytest.raises(ValueError, match=r"confidence must be above 0\.5"):
        likelihood_bound(sizes, found, confidence=0.4)
    with pytest.raises(ValueError, match="at least two of them"):
        bootstrap_bound(sizes, found, np.zeros(60), seed=0)
    with pytest.raises(ValueError, match="one cluster for each of 60 defects"):
        bootstrap_bound(sizes, found, np.arange(59), seed=0)
