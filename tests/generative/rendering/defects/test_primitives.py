"""Drawn primitives are what they are called, by a count of pieces that another library makes, and of the sizes asked for."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import label

from generative.rendering.defects.draws import generator
from generative.rendering.defects.primitives import AREA_WITHIN, Board, Drawn, Size, draw, measure
from tests.support.defects import SIDE, board

CLASSES = {
    "open": ("bridge", False),
    "short": ("bridge", True),
    "mousebite": ("bump", False),
    "spur": ("bump", True),
    "copper": ("island", True),
    "pin-hole": ("island", False),
}
SIZES = {
    "bridge": Size(80.0, 14.0, 5.7, 7.0, 1.0, ragged=False),
    "bump": Size(50.0, 7.0, 7.0, 7.0, 1.0, ragged=False),
    "island": Size(70.0, 11.0, 6.4, 20.0, 10.0, ragged=False),
}


def counts(copper: np.ndarray, place: tuple[slice, slice], *, least: int = 1) -> tuple[int, int]:
    """Pieces of copper and of board, of so many pixels or more, within 12 pixels of a place."""
    window = tuple(slice(max(0, side.start - 12), side.stop + 12) for side in place)
    labels = label(copper[window], connectivity=2), label(~copper[window], connectivity=1)
    of_copper, of_board = (int((np.bincount(found.ravel())[1:] >= least).sum()) for found in labels)
    return of_copper, of_board


def meets_its_rule(copper: np.ndarray, drawn: Drawn, primitive: str, adds_copper: bool) -> bool:
    rows, columns = np.nonzero(drawn.mask)
    top, left = drawn.place[0].start, drawn.place[1].start
    tight = (slice(top + rows.min(), top + rows.max() + 1), slice(left + columns.min(), left + columns.max() + 1))
    after = copper.copy()
    after[drawn.place][drawn.mask] = adds_copper
    before, now = counts(copper, tight), counts(after, tight)
    own, other = (now[k] - before[k] for k in ((0, 1) if adds_copper else (1, 0)))
    return {"bridge": own < 0, "bump": own == 0 == other, "island": own == 1 and other == 0}[primitive]


@pytest.mark.parametrize("name", CLASSES)
def test_what_is_drawn_is_what_it_is_called(name: str) -> None:
    primitive, adds_copper = CLASSES[name]
    copper = board() < 128
    size = SIZES[primitive]
    areas = []
    for number in range(12):
        drawn = draw(Board(copper), [size], generator(0, name, number), primitive=primitive, adds_copper=adds_copper)
        assert drawn is not None
        assert not drawn.kind.ragged
        assert meets_its_rule(copper, drawn, primitive, adds_copper)
        assert (copper[drawn.place][drawn.mask] != adds_copper).all()  # every pixel of the mask changes
        assert 0 < drawn.score <= 1
        areas.append(drawn.mask.sum())
    low, high = AREA_WITHIN
    assert 0.75 * size.area < np.median(areas) < 1.35 * size.area
    assert all(0.5 * low * size.area < area < 2.0 * high * size.area for area in areas)


def test_the_same_number_draws_the_same_and_another_draws_another() -> None:
    copper = board() < 128
    masks = [
        draw(Board(copper), [SIZES["bump"]], generator(0, "spur", number), primitive="bump", adds_copper=True)
        for number in (5, 5, 6)
    ]
    assert all(found is not None for found in masks)
    first, again, other = (found.place for found in masks if found is not None)
    assert first == again != other


def test_a_board_without_copper_has_no_room_for_a_bridge() -> None:
    bare = Board(np.zeros((SIDE, SIDE), dtype=bool))
    assert draw(bare, [SIZES["bridge"]], generator(0, "x", 0), primitive="bridge", adds_copper=True) is None
    assert draw(bare, [SIZES["bump"]], generator(0, "x", 0), primitive="bump", adds_copper=True) is None


def test_what_is_taken_is_kept_free() -> None:
    copper = board() < 128
    whole = Board(copper)
    whole.take((slice(0, SIDE), slice(0, SIDE)))
    assert draw(whole, [SIZES["island"]], generator(0, "x", 0), primitive="island", adds_copper=True) is None


def test_measured_sizes() -> None:
    copper = board() < 128
    mask = np.zeros_like(copper)
    mask[34:48, 40:46] = True  # the gap between the first two tracks
    found = measure(copper, mask, primitive="bridge", adds_copper=True)
    assert found.area == 84
    assert found.reach == 14
    assert found.width == 6
    mask[40:] = False
    assert measure(copper, mask, primitive="bump", adds_copper=True).reach == 6
    mask[:] = False
    mask[16:20, 110:130] = True
    assert measure(copper, mask, primitive="island", adds_copper=True).reach == pytest.approx(4 * np.sqrt(20**2 / 12))
