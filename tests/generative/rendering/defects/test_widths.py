"""Normalised central moments are OpenCV's, and each measure finds the width of a picture that its curve lies on."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from generative.rendering.defects.curves import rendered_mask
from generative.rendering.defects.widths import (
    DISTURBANCES,
    MEASURES,
    ORDERS,
    SIDE,
    known_curve,
    moments,
    pictured,
    searched,
)


def test_moments_are_those_of_opencv() -> None:
    weights = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    theirs = cv2.moments(weights)
    assert moments(weights.astype(float)) == pytest.approx([theirs[f"nu{p}{q}"] for p, q in ORDERS], rel=1e-4, abs=1e-9)


def test_moments_mind_neither_place_nor_scale() -> None:
    mask = rendered_mask(known_curve(0), (SIDE, SIDE)).astype(float)
    assert moments(np.roll(mask, (3, -2), axis=(0, 1))) == pytest.approx(moments(mask), abs=1e-12)
    assert moments(np.kron(mask, np.ones((3, 3)))) == pytest.approx(moments(mask), rel=0.02, abs=1e-3)


def test_where_the_curve_lies_all_measures_find_its_width() -> None:
    curve = known_curve(0)
    found = searched(pictured(curve, DISTURBANCES["registered"], number=0), curve)
    assert {name: abs(width - curve.widths[0]) < 0.6 for name, width in found.items()} == dict.fromkeys(MEASURES, True)


def test_moved_and_turned_binarised_measures_still_do_and_squares_do_not() -> None:
    errors: dict[str, list[float]] = {name: [] for name in MEASURES}
    for number in range(1, 4):
        curve = known_curve(number)
        for name, width in searched(pictured(curve, DISTURBANCES["3 px, 5 degrees"], number=number), curve).items():
            errors[name].append(abs(width - float(curve.widths[0])))
    assert np.mean(errors["moments, binarised"]) < 0.5
    assert np.mean(errors["area, binarised"]) < 0.3
    assert np.mean(errors["l2"]) > 1
    assert np.mean(errors["moments, grey"]) > 1
