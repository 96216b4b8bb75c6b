"""Outlines of masks, and what a warp makes of them and of the pixels inside."""

from __future__ import annotations

import numpy as np
import pytest

from generative.rendering.defects.draws import generator
from generative.rendering.defects.polygons import NUM_VERTICES, filled, fit, is_simple, new_warp, warped
from tests.support.defects import blot_mask


def test_the_polygon_covers_the_mask() -> None:
    mask = blot_mask(0)
    vertices = fit(mask)
    assert NUM_VERTICES[0] <= len(vertices) <= NUM_VERTICES[1]
    found = filled(vertices, mask.shape)
    assert (found & mask).sum() / (found | mask).sum() > 0.93
    square = np.zeros((30, 30), dtype=bool)
    square[5:20, 5:20] = True
    assert len(fit(square)) >= NUM_VERTICES[0]
    with pytest.raises(ValueError, match="empty"):
        fit(np.zeros((5, 5), dtype=bool))
    with pytest.raises(ValueError, match="no area"):
        fit(np.eye(1, 5, dtype=bool))


def test_the_way_back_is_the_way_back() -> None:
    points = np.random.default_rng(0).normal(0, 20, (50, 2))
    for number in range(6):
        warp = new_warp(generator(0, "warp", number), turn=0.7 * number, mirrored=number % 2 == 1)
        assert warp.sources(warp.moved(points)) == pytest.approx(points, abs=1e-9)


def test_radii_vary_by_the_noise_that_is_asked_for() -> None:
    angles = np.linspace(0, 2 * np.pi, 60)
    factors = [np.log(new_warp(generator(0, "radii", number)).factor(angles)) for number in range(300)]
    assert np.std(factors) == pytest.approx(0.15, rel=0.1)


def test_crossing_sides_are_seen() -> None:
    square = np.array([[0.0, 0], [4, 0], [4, 4], [0, 4]])
    assert is_simple(square)
    assert not is_simple(square[[0, 2, 1, 3]])


def test_the_inside_moves_with_its_outline() -> None:
    mask = blot_mask(0)
    vertices = fit(mask)
    centre = vertices.mean(axis=0)
    pixels = np.dstack([np.where(mask, 0.8, 0.1), mask]).astype(float)
    warp = new_warp(generator(0, "inside", 0), turn=1.0)
    moved = warp.moved(vertices - centre)
    found, low = warped(pixels, centre, warp, moved)
    inside = filled(moved - low, found.shape[:2])
    assert (found[..., 0] > 0.45)[inside].mean() > 0.97
    assert (found[..., 0] > 0.45)[~inside].mean() < 0.1
