"""Images of two levels are told from others, a board is aligned with its template, and defects keep to one phase."""

from __future__ import annotations

import numpy as np
import pytest

from generative.rendering.defects.binary import difference, levels_of, shift_between, smoothed
from generative.rendering.defects.boxes import tight
from tests.support.defects import SIDE, board, defect_of_a_board, part


def test_boards_are_of_two_levels_and_photos_are_not() -> None:
    noisy = np.where(board() < 128, 20, 230) + np.random.default_rng(0).integers(-9, 10, (SIDE, SIDE))
    levels = levels_of([noisy.astype(np.uint8)])
    assert levels is not None
    assert levels.threshold == pytest.approx(125, abs=2)
    assert levels_of([part(0).mean(axis=2).astype(np.uint8)]) is None
    assert levels_of([np.full((32, 32), 90, dtype=np.uint8)]) is None


def test_drawn_levels_are_those_of_the_phase() -> None:
    levels = levels_of([board()])
    assert levels is not None
    where = np.zeros((20, 20), dtype=bool)
    where[4:16, 4:16] = True
    uniform = np.random.default_rng(1).random((20, 20))
    assert (levels.drawn(where, uniform, dark=True)[where] < levels.threshold).all()
    assert (levels.drawn(where, uniform, dark=False)[where] > levels.threshold).all()


@pytest.mark.parametrize("channels", [(), (3,)])
def test_only_pixels_that_change_phase_change(channels: tuple[int, ...]) -> None:
    levels = levels_of([board()])
    assert levels is not None
    ground = board()
    grey = np.where(ground < levels.threshold, 100, 160).astype(np.uint8)  # all of it, yet no pixel's phase
    grey[20:30, 40:60] = 255 - grey[20:30, 40:60]
    uniform = np.random.default_rng(1).random(ground.shape)
    inputs = [np.broadcast_to(image.reshape(*image.shape, *(1 for _ in channels)), (*image.shape, *channels))
              for image in (grey, ground)]  # fmt: skip
    kept = levels.kept(*inputs, uniform)
    changed = np.zeros(ground.shape, dtype=bool)
    changed[20:30, 40:60] = True
    phase = (kept if not channels else kept[..., 0]) < levels.threshold
    assert (phase == ((ground < levels.threshold) ^ changed)).all()
    assert (kept[~changed] == inputs[1][~changed]).all()
    assert np.isin(kept[changed], np.unique(ground)).mean() > 0.9, "levels as the board has them"


@pytest.mark.parametrize("shift", [(0, 0), (2, -1), (-3, 3)])
def test_a_defect_is_found_on_a_board_that_is_off_its_template(shift: tuple[int, int]) -> None:
    tested = board()
    left, top, right, bottom = defect_of_a_board(tested, "short", 3)
    template = np.roll(board(), shift, axis=(0, 1))
    copper = tested < 128
    assert shift_between(copper, template < 128) == (-shift[0], -shift[1])
    mask, moved = difference(copper, template < 128, (left - 9, top - 9, right + 9, bottom + 9))
    assert tight(mask) == (left, top, right, bottom)
    assert (moved[20:-20, 20:-20] == (board() < 128)[20:-20, 20:-20]).all()


def test_nothing_differs_where_rims_are_a_pixel_off() -> None:
    tested = board()
    ragged = tested.copy()
    ragged[20, 40:80] = 255  # one row of a track
    assert not difference(ragged < 128, tested < 128, (30, 10, 90, 50))[0].any()


@pytest.mark.parametrize("adds_copper", [True, False])
def test_smoothing_changes_one_phase_near_the_defect(adds_copper: bool) -> None:
    copper = board() < 128
    mask = np.zeros_like(copper)
    mask[30:60, 40:52] = True
    mask &= copper ^ adds_copper
    found = smoothed(copper, mask, adds_copper=adds_copper)
    assert not (found & ~(copper ^ adds_copper)).any()
    rows, columns = np.nonzero(found)
    assert rows.min() >= 28
    assert rows.max() <= 61
    assert columns.min() >= 38
    assert columns.max() <= 53
    assert found.sum() > 0.8 * mask.sum()
