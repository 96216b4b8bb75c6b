"""A convention of boxes is learned and applied, and overlaps are those of known boxes."""

from __future__ import annotations

import numpy as np
import pytest

from generative.rendering.defects.boxes import learn, overlap, tight


def test_the_margins_of_a_set_are_found_and_cut_at_the_border() -> None:
    random = np.random.default_rng(0)
    found = [(left, 40.0, left + 12, 60.0) for left in map(float, random.integers(30, 80, 21))]
    given = [(a - 10 - random.integers(-2, 3), b - 9, c + 8, d + 7) for a, b, c, d in found]
    convention = learn(given, found)
    assert convention.margins == pytest.approx((10, 9, 8, 7), abs=1)
    assert convention.low[0] < 10 < convention.high[0]
    mask = np.zeros((10, 10), dtype=bool)
    mask[2:8, 3:9] = True
    exact = learn([(0.0, 0.0, 20.0, 20.0)], [(10.0, 9.0, 12.0, 13.0)])
    assert tight(mask, offset=(20, 30)) == (33, 22, 39, 28)
    assert exact.box(mask, offset=(20, 30), shape=(100, 100)) == (23, 13, 47, 35)
    assert exact.box(mask, offset=(0, 0), shape=(10, 12)) == (0, 0, 12, 10)


def test_overlaps() -> None:
    assert overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (10, 0, 20, 10)) == 0


def test_nothing_to_learn_from() -> None:
    with pytest.raises(ValueError, match="at least one box with a mask"):
        learn([], [])
