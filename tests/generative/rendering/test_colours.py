"""Maps in colours, and over images."""

from __future__ import annotations

import pytest
import torch

from generative.rendering.colours import enlarged, hot, min_max_scaled, overlay


def test_maps_run_from_black_to_white() -> None:
    maps = torch.tensor([[[0.0, 1.0], [2.0, 3.0]], [[5e-20, 5e-20], [5e-20, 6e-20]], [[7.0, 7.0], [7.0, 7.0]]])
    shares = min_max_scaled(maps)
    torch.testing.assert_close(shares[0], torch.tensor([[0.0, 1 / 3], [2 / 3, 1.0]]))
    assert shares[1].tolist() == [[0, 0], [0, 1]], "however small the values are"
    assert not shares[2].any(), "a flat map says nothing"
    colours = hot(shares)
    assert colours[0, :, 0, 0].tolist() == [-1, -1, -1]
    torch.testing.assert_close(colours[0, :, 0, 1], torch.tensor([1.0, -1.0, -1.0]), msg="red at a third")
    assert colours[0, :, 1, 1].tolist() == [1, 1, 1]


def test_maps_are_normalized_and_corners_stay() -> None:
    values = torch.tensor([[[-3.0, 1.0], [0.0, 5.0]], [[2.0, 2.0], [2.0, 2.0]]])
    large = enlarged(values, (3, 5))
    assert large.shape == (2, 3, 5)
    torch.testing.assert_close(large[0, ::2, ::4], (values[0] + 3) / 8)
    torch.testing.assert_close(large[0, 0], torch.linspace(0, 0.5, 5), msg="linear from corner to corner")
    assert float(large[0, 1, 2]) == pytest.approx(float((values[0].mean() + 3) / 8)), (
        "the middle is the mean of the corners"
    )
    assert not large[1].any()


def test_overlay_between_image_and_map() -> None:
    images, shares = torch.rand(2, 1, 3, 4) * 2 - 1, torch.rand(2, 3, 4)
    torch.testing.assert_close(overlay(images, shares, opacity=0.0), images.expand(-1, 3, -1, -1))
    torch.testing.assert_close(overlay(images, shares, opacity=1.0), hot(shares))
    with pytest.raises(ValueError, match=r"opacity must be between 0 and 1, got 1\.5"):
        overlay(images, shares, opacity=1.5)
