"""Pieces are counted as scikit-image counts them, and each row of the table is told from the others."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import label

from generative.rendering.defects.topology import (
    BOARD_NEIGHBOURS,
    COPPER_NEIGHBOURS,
    Change,
    Kind,
    kind_of,
    pieces,
    primitive_of,
    window,
)


def two_tracks() -> np.ndarray:
    """Copper bool [40, 60]: two tracks of eight rows, twelve apart."""
    copper = np.zeros((40, 60), dtype=bool)
    copper[6:14] = copper[26:34] = True
    return copper


def part(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((40, 60), dtype=bool)
    mask[rows, columns] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "adds_copper", "expected"),
    [
        (part(slice(14, 26), slice(28, 32)), True, "bridge"),
        (part(slice(14, 20), slice(28, 32)), True, "bump"),
        (part(slice(17, 22), slice(28, 32)), True, "island"),
        (part(slice(6, 14), slice(28, 32)), False, "bridge"),
        (part(slice(6, 10), slice(28, 32)), False, "bump"),
        (part(slice(8, 11), slice(28, 32)), False, "island"),
    ],
)
def test_each_primitive_in_both_polarities(mask: np.ndarray, adds_copper: bool, expected: str) -> None:
    assert kind_of(two_tracks(), mask, adds_copper=adds_copper) == Kind(expected, ragged=False)


def test_crumbs_make_it_ragged_and_a_second_piece_makes_it_nothing() -> None:
    mask = part(slice(17, 22), slice(28, 32))
    crumb = mask | part(slice(17, 19), slice(36, 38))
    assert kind_of(two_tracks(), crumb, adds_copper=True) == Kind("island", ragged=True)
    twice = mask | part(slice(17, 22), slice(36, 40))
    assert kind_of(two_tracks(), twice, adds_copper=True).primitive is None


def test_a_loop_and_an_empty_mask_are_nothing() -> None:
    copper = two_tracks()
    loop = part(slice(14, 20), slice(20, 40)) & ~part(slice(14, 17), slice(24, 36))
    assert kind_of(copper, loop, adds_copper=True).primitive is None
    assert kind_of(copper, part(slice(6, 10), slice(0, 9)), adds_copper=True).primitive is None  # nothing changes
    with pytest.raises(ValueError, match="the mask is empty"):
        window(np.zeros((4, 4), dtype=bool))


def test_copper_is_connected_over_corners_and_board_is_not() -> None:
    diagonal = np.eye(6, dtype=bool)
    assert pieces(diagonal, neighbours=COPPER_NEIGHBOURS) == label(diagonal, connectivity=2).max() == 1
    assert pieces(diagonal, neighbours=BOARD_NEIGHBOURS) == label(diagonal, connectivity=1).max() == 6


def test_counts_are_those_of_another_library() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        phase = random.random((30, 40)) < 0.45
        assert pieces(phase, neighbours=COPPER_NEIGHBOURS) == label(phase, connectivity=2).max()
        found = label(phase, connectivity=1)
        assert pieces(phase, neighbours=BOARD_NEIGHBOURS, least=5) == (np.bincount(found.ravel())[1:] >= 5).sum()


def test_the_table() -> None:
    assert primitive_of(Change(-1, 0)) == primitive_of(Change(-1, 1)) == primitive_of(Change(-2, 2)) == "bridge"
    assert primitive_of(Change(0, 0)) == "bump"
    assert primitive_of(Change(1, 0)) == "island"
    assert primitive_of(Change(1, 1)) is primitive_of(Change(1, -1)) is None
    assert primitive_of(Change(-1, 2)) is primitive_of(Change(0, 1)) is primitive_of(Change(2, 0)) is None
