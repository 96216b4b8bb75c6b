"""Holes filled without a generator, against closed forms."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from generative.inversion.fills import (
    biharmonic_fill,
    harmonic_fill,
    mean_fill,
    navier_stokes_fill,
    telea_fill,
    without_seam,
)

Fill = Callable[[Tensor, Tensor], Tensor]
OF_LIBRARIES: list[Fill] = [biharmonic_fill, telea_fill, navier_stokes_fill]
ALL: list[Fill] = [mean_fill, harmonic_fill, *OF_LIBRARIES]
LEVEL = 1 / 127.5  # of 256: OpenCV rounds to it, and Telea's values drift upwards by one as they are handed on
ROUNDING: dict[Fill, float] = {telea_fill: 3 * LEVEL, navier_stokes_fill: LEVEL / 2}

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


@pytest.mark.parametrize("fill", ALL)
def test_a_constant_is_filled_with_itself(fill: Fill) -> None:
    known = torch.rand(2, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(4)) > 0.7  # also at the border
    images = torch.full((2, 3, HEIGHT, WIDTH), 0.25, dtype=torch.float64)
    spoilt = torch.where(known, images, float("nan"))
    torch.testing.assert_close(fill(spoilt, known), images, rtol=0, atol=ROUNDING.get(fill, 1e-7))


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


def test_without_a_seam() -> None:
    originals, known = noise(0), inner_holes()
    spoilt = torch.where(known, originals, float("nan"))
    blank = torch.full_like(originals, 0.3)
    torch.testing.assert_close(without_seam(blank, spoilt, known), harmonic_fill(originals, known))
    shifted = originals + 0.4
    torch.testing.assert_close(without_seam(shifted, spoilt, known), originals), "an error that is linear is taken away"
    drawn = without_seam(noise(3), spoilt, known)
    assert torch.equal(drawn[known.expand_as(drawn)], originals[known.expand_as(drawn)])


def test_a_ramp_is_biharmonic_and_so_is_a_parabola_but_not_harmonic() -> None:
    """In the middle of an image, where the whole stencil of 13 pixels lies in it; within the range of what is known."""
    known = torch.ones(2, 1, HEIGHT, WIDTH, dtype=torch.bool)
    known[0, 0, 3:6, 3:8] = False
    known[1, 0, 2:7, 4:6] = False
    spoilt = torch.where(known, ramps(), float("nan"))
    torch.testing.assert_close(biharmonic_fill(spoilt, known), ramps())
    parabola = 0.02 * (ROWS**2 + ROWS * COLUMNS - 10)
    spoilt = torch.where(known, parabola, float("nan"))
    torch.testing.assert_close(biharmonic_fill(spoilt, known)[:, 0], parabola.expand(2, -1, -1))
    assert (harmonic_fill(spoilt, known)[:, 0] - parabola).abs().amax() > 0.01


@pytest.mark.parametrize("fill", [telea_fill, navier_stokes_fill])
def test_an_edge_goes_on_through_a_hole_in_levels_of_8_bits(fill: Fill) -> None:
    known = torch.ones(1, 1, HEIGHT, WIDTH, dtype=torch.bool)
    known[:, :, 3:6, 3:8] = False
    images = torch.where(COLUMNS < 5, -0.8, 0.6).expand(1, 2, -1, -1)
    filled = fill(torch.where(known, images, float("nan")), known)
    assert filled[:, :, 3:6, 3].amax() < -0.5, "dark at the left, as around it"
    assert filled[:, :, 3:6, 7].amin() > 0.05, "bright at the right"
    levels = (filled[:, :, 3:6, 3:8] + 1) * 127.5
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("fill", ALL)
def test_laws_of_a_fill(fill: Fill) -> None:
    """Exact where known, blind to the rest, each image and each channel alone; what hides nothing is left."""
    images, known = noise(2).float(), inner_holes()
    filled = fill(images, known)
    assert filled.dtype == images.dtype
    assert torch.equal(filled[known.expand_as(images)], images[known.expand_as(images)])
    assert not torch.equal(filled, images)
    assert torch.equal(fill(torch.where(known, images, float("nan")), known), filled)
    torch.testing.assert_close(fill(images[1:, :1], known[1:]), filled[1:, :1])
    assert torch.equal(fill(images, torch.ones_like(known)), images)


@pytest.mark.parametrize(
    ("fill", "library"), list(zip(OF_LIBRARIES, ["skimage.restoration", "cv2", "cv2"], strict=True))
)
def test_a_missing_library_is_named_with_the_remedy(fill: Fill, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ValueError, match=r'need.* (scikit-image|OpenCV) \(.*\): pip install -e "\.\[inpainting\]"'):
        fill(noise(0), inner_holes())


@pytest.mark.parametrize("fill", ALL)
def test_nothing_known_is_refused(fill: Fill) -> None:
    known = inner_holes()
    known[1] = False
    with pytest.raises(ValueError, match="leave a known pixel in every image"):
        fill(noise(0), known)
