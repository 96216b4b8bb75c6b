"""Holes filled without a generator, against closed forms."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from generative.inversion.fills import harmonic_fill, mean_fill, without_seam

HEIGHT, WIDTH = 9, 11
ROWS, COLUMNS = torch.meshgrid(
    torch.arange(float(HEIGHT), dtype=torch.float64), torch.arange(float(WIDTH), dtype=torch.float64), indexing="ij"
)


def inner_holes() -> Tensor:
    """Of two images, neither at the border: a rectangle, and scattered pixels."""
    known = torch.ones(2, 1, HEIGHT, WIDTH, dtype=torch.bool)
    known[0, 0, 2:6, 3:9] = False
    known[1, 0, 1:-1, 1:-1] = torch.rand(HEIGHT - 2, WIDTH - 2, generator=torch.Generator().manual_seed(0)) > 0.6
    return known


def ramps() -> Tensor:
    """Linear in the position, two channels."""
    return torch.stack([0.1 * ROWS - 0.05 * COLUMNS, 0.02 * COLUMNS + 0.3]).expand(2, -1, -1, -1)


def noise(seed: int) -> Tensor:
    return torch.rand(2, 2, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("fill", [mean_fill, harmonic_fill])
def test_a_constant_is_filled_with_itself(fill: Callable[[Tensor, Tensor], Tensor]) -> None:
    known = torch.rand(2, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(4)) > 0.7  # also at the border
    images = torch.full((2, 3, HEIGHT, WIDTH), 0.25, dtype=torch.float64)
    spoilt = torch.where(known, images, float("nan"))
    torch.testing.assert_close(fill(spoilt, known), images)


def test_a_mean_is_that_of_the_known_pixels_by_image_and_channel() -> None:
    images, known = noise(0), inner_holes()
    filled = mean_fill(images, known)
    assert torch.equal(filled[known.expand_as(images)], images[known.expand_as(images)])
    expected = images[1, 1][known[1, 0]].mean()
    assert torch.allclose(filled[1, 1][~known[1, 0]], expected)


def test_a_ramp_is_harmonic() -> None:
    known = inner_holes()
    spoilt = torch.where(known, ramps(), float("nan"))
    torch.testing.assert_close(harmonic_fill(spoilt, known), ramps())


def test_a_hidden_pixel_is_the_mean_of_its_neighbours_in_the_image() -> None:
    images = noise(1)
    known = torch.rand(2, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(7)) > 0.5
    filled = harmonic_fill(images, known)
    for k, row, column in (~known[:, 0]).nonzero().tolist():
        around = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
        inside = [filled[k, :, i, j] for i, j in around if 0 <= i < HEIGHT and 0 <= j < WIDTH]
        torch.testing.assert_close(filled[k, :, row, column], torch.stack(inside).mean(dim=0))
    assert torch.equal(filled[known.expand_as(images)], images[known.expand_as(images)])
    assert filled.amax() <= images.amax(), "no value beyond those at the border of the hole"


def test_one_that_hides_nothing_is_left() -> None:
    known = torch.ones(2, 1, HEIGHT, WIDTH, dtype=torch.bool)
    assert torch.equal(harmonic_fill(noise(0).float(), known), noise(0).float())


def test_without_a_seam() -> None:
    originals, known = noise(0), inner_holes()
    spoilt = torch.where(known, originals, float("nan"))
    blank = torch.full_like(originals, 0.3)
    torch.testing.assert_close(without_seam(blank, spoilt, known), harmonic_fill(originals, known))
    shifted = originals + 0.4
    torch.testing.assert_close(without_seam(shifted, spoilt, known), originals), "an error that is linear is taken away"
    drawn = without_seam(noise(3), spoilt, known)
    assert torch.equal(drawn[known.expand_as(drawn)], originals[known.expand_as(drawn)])


@pytest.mark.parametrize("fill", [mean_fill, harmonic_fill])
def test_nothing_known_is_refused(fill: Callable[[Tensor, Tensor], Tensor]) -> None:
    known = inner_holes()
    known[1] = False
    with pytest.raises(ValueError, match="leave a known pixel in every image"):
        fill(noise(0), known)
