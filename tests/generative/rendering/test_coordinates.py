"""Coordinates of pixels: corners, shared points, windows."""

from __future__ import annotations

import pytest
import torch

from generative.rendering.coordinates import coordinate_grid


def test_grid_corners_and_shared_points() -> None:
    grid = coordinate_grid(5, 3)
    assert grid.shape == (5, 3, 2)
    assert grid[0, 0].tolist() == [0, 0]
    assert grid[-1, -1].tolist() == [1, 1]
    assert grid[1, 0].tolist() == [0.25, 0.0], "the first coordinate runs over rows"
    assert torch.equal(coordinate_grid(64, 64)[::9, ::9], coordinate_grid(8, 8)), "the same bits, not nearly the same"


def test_window() -> None:
    grid = coordinate_grid(7, 7, window=(-0.25, 1.25))
    assert grid[0, 0].tolist() == [-0.25, -0.25]
    assert grid[-1, -1].tolist() == [1.25, 1.25]
    assert torch.allclose(grid[1:-1, 1:-1], coordinate_grid(5, 5)), "the inner points are the plain grid"


@pytest.mark.parametrize("size", [0, 1, -3])
def test_a_grid_needs_two_pixels(size: int) -> None:
    with pytest.raises(ValueError, match=f"at least 2 pixels a side, got {size} x {size}"):
        coordinate_grid(size, size)
    with pytest.raises(ValueError, match="from its lower to its higher end"):
        coordinate_grid(4, 4, window=(1.0, 0.0))
