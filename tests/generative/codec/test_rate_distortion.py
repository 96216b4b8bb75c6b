"""PSNR by hand, rates, and BD-rates of curves that differ by a known factor."""

from __future__ import annotations

import importlib.util
import math
import sys

import numpy as np
import pytest

from generative.codec.rate_distortion import bd_rate, bits_per_pixel, bytes_at, frontier, psnr

needs_package = pytest.mark.skipif(importlib.util.find_spec("bjontegaard") is None, reason="needs the extra [codec]")
ANCHOR = [(0.2, 24.0), (0.4, 27.5), (0.8, 31.0), (1.6, 36.0)]


def test_psnr_by_hand() -> None:
    image = np.full((3, 4, 5), 250, dtype=np.uint8)
    copy = image.copy()
    assert math.isinf(psnr(image, copy))
    copy[0, 0, 0] = 10  # 240 levels apart in one of 60 numbers
    assert psnr(image, copy) == pytest.approx(10 * math.log10(255**2 * 60 / 240**2))
    with pytest.raises(ValueError, match="give both as uint8 of one shape"):
        psnr(image, copy[:, :2])


def test_rates() -> None:
    assert bits_per_pixel(1024, 64, 128) == 1.0
    assert bytes_at(0.25, 100, 100) == 312
    assert bits_per_pixel(bytes_at(0.25, 100, 100), 100, 100) <= 0.25


def test_points_that_cost_more_and_are_no_better_are_left_out() -> None:
    assert frontier([(2.0, 30.0), (1.0, 31.0), (1.0, 29.0), (3.0, 33.0)]) == [(1.0, 31.0), (3.0, 33.0)]


@needs_package
def test_bd_rates_of_a_known_factor() -> None:
    assert bd_rate(ANCHOR, [(0.8 * rate, quality) for rate, quality in ANCHOR]) == pytest.approx(-20.0, abs=1e-6)
    assert bd_rate(ANCHOR, [(1.5 * rate, quality) for rate, quality in ANCHOR]) == pytest.approx(50.0, abs=1e-6)
    assert bd_rate(ANCHOR, [(rate, quality + 30.0) for rate, quality in ANCHOR]) is None
    assert bd_rate(ANCHOR, ANCHOR[:2]) is None


def test_without_the_package_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bjontegaard", None)
    with pytest.raises(ValueError, match=r'bjontegaard.*pip install -e "\.\[codec\]"'):
        bd_rate(ANCHOR, ANCHOR)
