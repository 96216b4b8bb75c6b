"""Patches copied into a hole, on textures whose continuation is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from generative.inversion.exemplar import exemplar_fill, largest_patches, most_urgent

SIDE = 24
ROWS, COLUMNS = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
TEXTURES = {
    "stripes": COLUMNS // 2 % 2 == 0,
    "lying stripes": ROWS % 3 == 0,
    "slanted stripes": (ROWS + COLUMNS) // 2 % 2 == 0,
    "checkers": (ROWS // 2 + COLUMNS // 2) % 2 == 0,
    "dots": (ROWS % 3 == 0) & (COLUMNS % 3 == 0),
}


def one_hole(top: int, bottom: int, left: int, right: int) -> Tensor:
    known = torch.ones(1, 1, SIDE, SIDE, dtype=torch.bool)
    known[:, :, top:bottom, left:right] = False
    return known


@pytest.mark.parametrize("texture", TEXTURES)
@pytest.mark.parametrize("hole", [(7, 16, 9, 17), (0, 9, 15, 24), (5, 6, 0, 24)])
def test_a_texture_goes_on(texture: str, hole: tuple[int, int, int, int]) -> None:
    """In two channels of which one is the other turned around; in the middle, in a corner and from side to side."""
    image = torch.where(TEXTURES[texture], 0.7, -0.4)
    images = torch.stack([image, -image])[None]
    known = one_hole(*hole)
    assert torch.equal(exemplar_fill(torch.where(known, images, torch.nan), known), images)


@pytest.mark.parametrize(("row", "column"), [(10, 12), (0, 12), (23, 23)])
def test_a_pixel_is_that_of_the_nearest_patch(row: int, column: int) -> None:
    """By the pixels around it that lie in the image."""
    image = torch.rand(2, SIDE, SIDE, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    known = one_hole(row, row + 1, column, column + 1)
    inside = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if 0 <= row + i < SIDE and 0 <= column + j < SIDE]
    errors = {}
    for top, left in itertools.product(range(1, SIDE - 1), range(1, SIDE - 1)):
        if known[0, 0, top - 1 : top + 2, left - 1 : left + 2].all():
            differences = [image[:, top + i, left + j] - image[:, row + i, column + j] for i, j in inside if i or j]
            errors[top, left] = torch.stack(differences).square().sum().item()
    top, left = min(errors, key=lambda place: errors[place])
    filled = exemplar_fill(torch.where(known, image, torch.nan), known, patch=3)
    assert torch.equal(filled[0, :, row, column], image[:, top, left])


def urgency(image: Tensor, known: Tensor) -> tuple[int, int, float]:
    """Of an image [H, W] without a margin, patches of 5 pixels."""
    grey, seen = np.pad(image.double().numpy(), 2), np.pad(known[0, 0].numpy(), 2)
    missing = np.pad(~known[0, 0].numpy(), 2)
    row, column, trust = most_urgent(np.where(seen, grey, 0.0), seen, missing, seen.astype(np.float64), 5)
    return row - 2, column - 2, trust


def test_where_nothing_is_drawn_the_pixel_with_most_known_around_it_comes_first() -> None:
    """At a corner of a hole 9 of the 25 pixels around its own are hidden."""
    row, column, trust = urgency(torch.zeros(SIDE, SIDE), one_hole(6, 16, 8, 18))
    assert (row, column) in {(6, 8), (6, 17), (15, 8), (15, 17)}
    assert trust == pytest.approx(16 / 25)


def test_a_line_that_runs_into_the_hole_comes_before_its_corners_and_one_along_it_does_not() -> None:
    known = one_hole(6, 16, 5, 20)
    crossing = torch.where((COLUMNS == 12) & (ROWS < 6), 1.0, 0.0)
    row, column, trust = urgency(crossing, known)
    assert row == 6
    assert abs(column - 12) <= 3, "in whose square the line lies"
    assert trust == pytest.approx(10 / 25)
    along = torch.where(ROWS == 3, 1.0, 0.0)
    assert urgency(along, known)[:2] in {(6, 5), (6, 19)}


def test_the_border_of_the_image_is_no_border_of_the_hole() -> None:
    """A hole across the image has its direction downwards up to the last column: a line beside it runs along, not in."""
    along = torch.where(ROWS == 9, 1.0, 0.0)
    row, column, trust = urgency(along, one_hole(10, 24, 0, 24))
    assert row == 10
    assert 2 <= column < SIDE - 2
    assert trust == pytest.approx(10 / 25)


def test_laws_of_a_fill() -> None:
    """Exact where known, blind to the rest, each image alone; what hides nothing is left."""
    images = torch.rand(3, 2, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    known = torch.cat([one_hole(3, 9, 4, 12), one_hole(0, 4, 18, 24), one_hole(0, 0, 0, 0)])
    filled = exemplar_fill(images, known)
    assert filled.dtype == images.dtype
    assert torch.equal(filled[known.expand_as(images)], images[known.expand_as(images)])
    assert not torch.equal(filled, images)
    assert torch.equal(filled[2], images[2])
    assert torch.equal(exemplar_fill(torch.where(known, images, torch.nan), known), filled)
    assert torch.equal(exemplar_fill(images.flip(0), known.flip(0)), filled.flip(0))


def test_bad_input() -> None:
    images, known = torch.zeros(1, 1, SIDE, SIDE), one_hole(4, 20, 4, 20)
    for patch in (1, 4):
        with pytest.raises(ValueError, match=f"patch must be an odd number of pixels from 3 on, got {patch}"):
            exemplar_fill(images, known, patch=patch)
    for patch in (5, 25):
        with pytest.raises(
            ValueError, match=f"24 x 24 pixels has no square of {patch} pixels .*: choose a smaller patch"
        ):
            exemplar_fill(images, known, patch=patch)
    with pytest.raises(ValueError, match="leave a known pixel in every image"):
        exemplar_fill(images, known & False)


def test_the_largest_patch_is_that_of_each_mask() -> None:
    whole, thin = torch.ones(4, 1, 12, 12, dtype=torch.bool), torch.ones(12, 12, dtype=torch.bool)
    thin[::3], thin[:, ::3] = False, False
    whole[1, 0], whole[2, 0, 6:], whole[3, 0, :, 4] = thin, False, False
    assert largest_patches(whole, most=9) == [9, 1, 5, 7]
    assert largest_patches(whole, most=5) == [5, 1, 5, 5]
    assert largest_patches(whole[:, :, :2], most=9) == [1, 1, 1, 1]
