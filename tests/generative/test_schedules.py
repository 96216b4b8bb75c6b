"""Schedules against their closed forms."""

from __future__ import annotations

import math
from typing import Any

import pytest

from generative.schedules import Steps, half_cosine, linear_decay, polynomial_decay, warmup_cosine


def test_warmup_then_cosine() -> None:
    values = [warmup_cosine(n, warmup=100, end=1100) for n in (0, 25, 100, 350, 600, 850, 1100, 5000)]
    fourths = [0.5 + math.sqrt(0.5) / 2, 0.5, 0.5 - math.sqrt(0.5) / 2]
    assert values == pytest.approx([0.0, 0.25, 1.0, *fourths, 0.0, 0.0])


def test_half_a_cosine() -> None:
    assert [half_cosine(share) for share in (0, 0.5, 1)] == pytest.approx([1.0, 0.5, 0.0])
    assert half_cosine(1 / 3) == pytest.approx(0.75)


def test_without_warmup_it_starts_at_one() -> None:
    assert warmup_cosine(0, warmup=0, end=10) == 1.0


def test_the_mean_of_a_run_is_a_half() -> None:
    """Both ramps are antisymmetric about their middles."""
    values = [warmup_cosine(n, warmup=300, end=1000) for n in range(1001)]
    assert sum(values) / len(values) == pytest.approx(0.5, abs=1e-3)
    assert values == sorted(values[:301]) + sorted(values[301:], reverse=True)


def test_a_warmup_beyond_the_end_is_refused() -> None:
    with pytest.raises(ValueError, match="got 10 of 10 images"):
        warmup_cosine(0, warmup=10, end=10)


def test_polynomial_decay() -> None:
    assert polynomial_decay(0, end=100, power=0.9) == 1.0
    assert polynomial_decay(50, end=100, power=1.0) == linear_decay(50, start=0, end=100)
    assert polynomial_decay(75, end=100, power=0.5) == pytest.approx(0.5)
    assert polynomial_decay(100, end=100, power=0.9) == polynomial_decay(140, end=100, power=0.9) == 0.0
    with pytest.raises(ValueError, match="must be positive, got 0"):
        polynomial_decay(0, end=100, power=0)
    with pytest.raises(ValueError, match="at least 1 image, got 0"):
        polynomial_decay(0, end=0, power=1.0)


def test_steps_by_hand() -> None:
    steps = Steps([[0, 8], [0.5, 16], [2, 32]], name="sizes")
    assert [steps.at(images) for images in (0, 499, 500, 1999, 2000, 10**9)] == [8, 8, 16, 16, 32, 32]
    assert steps.values == [8, 16, 32]


WRONG: list[Any] = [
    [], "12", [[0]], [[0, 8, 9]], [["0", 8]], [[0, 0]], [[0, 1.5]], [[1, 8]], [[0, 8], [0, 16]], [[0, 8], 3],
]  # fmt: skip


@pytest.mark.parametrize("rows", WRONG)
def test_what_are_no_steps_is_refused(rows: Any) -> None:
    with pytest.raises(ValueError, match="sizes "):
        Steps(rows, name="sizes")
