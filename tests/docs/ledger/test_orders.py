"""Orders of two arms, alone and among all of a page."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from docs.ledger.orders import Order, Row, decided, holm

HIGH, LOW, NEAR = [3.0, 3.1, 3.2], [1.0, 1.1, 0.9], [2.9, 3.2, 3.0]


def test_an_order_is_reproduced_reversed_or_undecided() -> None:
    for better, worse, lower in ((HIGH, LOW, False), (LOW, HIGH, True)):
        assert Order("x", better, worse, lower=lower).verdict(0.049) == "reproduced at this scale"
        assert Order("x", worse, better, lower=lower).verdict(0.049).endswith("the other way round")
        assert Order("x", better, worse, lower=lower).verdict(0.05) == "undecided at this scale"
    assert Order("x", HIGH, LOW).found() == (
        "x +2.1000, 95 % interval +1.8733 to +2.3267 (Welch), p 1.4e-05; values do not overlap"
    )
    assert "overlap" not in Order("x", HIGH, NEAR).found()


def test_distances_are_compared_as_ratios() -> None:
    """Three seeds that spread by a factor of two, as distances do: three times the others, whatever the unit."""
    far, near = [1.2, 1.5, 2.6], [0.31, 0.30, 0.33]
    ratio, low, high = Order("x", far, near, lower=True).difference()
    assert ratio == pytest.approx((1.2 * 1.5 * 2.6 / (0.31 * 0.30 * 0.33)) ** (1 / 3))
    assert 1 < low < ratio < high
    assert low * high == pytest.approx(ratio**2), "the interval is even on logarithms"
    assert Order("x", far, near).difference()[1] < 0, "by differences the widest seed hides the order"
    scaled = Order("x", [10 * value for value in far], [10 * value for value in near], lower=True)
    assert scaled.difference() == pytest.approx((ratio, low, high))
    with pytest.raises(ValueError, match="on logarithms and must be positive, got -0"):
        Order("x", far, [0.3, -0.1, 0.3], lower=True)


def test_two_times_of_the_same_runs_are_compared_run_by_run() -> None:
    """Runs that differ by a factor of four, each 1.2 to 1.3 times what it was: unpaired the runs hide the order."""
    late, early = [1.0, 2.0, 4.0], [1.2, 2.5, 5.2]
    ours = Order("factor", late, early, lower=True, paired=True)
    assert ours.p == pytest.approx(stats.ttest_1samp(np.log([1.2, 1.25, 1.3]), 0.0).pvalue)
    assert ours.p < 0.02 < 0.5 < Order("factor", late, early, lower=True).p
    ratio, low, high = ours.difference()
    assert low < ratio < high < 1
    assert "(paired on logarithms)" in ours.found()


def test_values_that_are_all_the_same_decide_nothing() -> None:
    same = Order("recall", [0.0] * 3, [0.0] * 3)
    (level, sure) = decided([row(same), row(Order("x", HIGH, LOW))])
    assert sure.verdict == "reproduced at this scale"
    assert level.verdict == "undecided at this scale"
    assert level.ours.endswith("1 among 2 orders (Holm)")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_score_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="FD must be finite to be compared"):
        Order("FD", HIGH, [1.0, value, 1.0], lower=True)


def test_holm_on_a_page_worked_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def row(order: Order | None, verdict: str = "") -> Row:
    return Row("where", "says", verdict=verdict, order=order)


def test_the_more_orders_on_a_page_the_more_each_must_show() -> None:
    once = Order("x", [3.0, 3.2, 3.1], [2.5, 2.8, 2.6])
    assert 0.01 < once.test().pvalue < 0.025
    alone = decided([row(once), row(None, "counted")])
    assert [claim.verdict for claim in alone] == ["reproduced at this scale", "counted"]
    others = [row(Order("x", NEAR, HIGH)) for _ in range(5)]
    (among, *_) = decided([row(once), *others])
    assert among.verdict == "undecided at this scale"
    assert among.ours.endswith("among 6 orders (Holm)")
    (gated, *rest) = decided([row(once, "not stated"), *others])
    assert gated.verdict == "not stated", "and it is none of those that are asked"
    assert rest[0].ours.endswith("among 5 orders (Holm)")
