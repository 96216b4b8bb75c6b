"""Intervals against their closed forms."""

from __future__ import annotations

import pytest
import torch

from metrics.intervals import half_width, wilson


def test_wilson() -> None:
    """(p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4 n^2)) / (1 + z^2 / n)."""
    z2 = 1.959964**2
    middle, half = 0.8 + z2 / 20, (z2 * (0.16 / 10 + z2 / 400)) ** 0.5
    expected = (0.8, (middle - half) / (1 + z2 / 10), (middle + half) / (1 + z2 / 10))
    assert wilson(8, 10) == pytest.approx(expected, abs=1e-6)
    assert wilson(0, 10).low == 0
    assert 0 < wilson(0, 10).high < 1


def test_normal_half_width() -> None:
    values = torch.tensor([0.0, 0.0, 1.0, 1.0])  # of variance 1/3
    assert half_width(values) == pytest.approx(1.96 * (1 / 3 / 4) ** 0.5)
    assert half_width(torch.ones(3)) == 0
