"""Differences with a template: planted defects come back, what two photos always differ in does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from generative.rendering.template_difference import (
    DifferenceSetting,
    changes,
    exceeds,
    find,
    grown,
    offset_of,
    opened,
    pieces,
)

PLAIN = DifferenceSetting()


def board(*, seed: int = 0, channels: int = 1, side: int = 96) -> np.ndarray:
    """Two grey levels with smooth curved edges, uint8 [side, side] or [side, side, channels]."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), 6)
    grey = np.where(smooth > 0, 220, 40).astype(np.uint8)
    return grey if channels == 1 else np.repeat(grey[..., None], channels, axis=2)


def with_squares(template: np.ndarray, *corners: tuple[int, int], side: int = 6) -> np.ndarray:
    """A copy of ``template`` inverted in squares whose left upper pixels are at (row, column)."""
    image = template.copy()
    for top, left in corners:
        part = image[top : top + side, left : left + side]
        part[:] = 255 - part
    return image


@pytest.mark.parametrize("channels", [1, 3])
def test_a_planted_change_is_boxed_tightly_and_then_by_the_margin(channels: int) -> None:
    template = np.full((64, 80, channels), 40, dtype=np.uint8).squeeze()
    image = with_squares(template, (10, 20), (50, 70))
    image[52:58, 72:78] = image[50, 70]  # the second one is larger: 44 pixels that hang together
    found = find(image, template, PLAIN)
    assert found.boxes.tolist() == [[70, 50, 78, 58], [20, 10, 26, 16]]
    assert found.areas.tolist() == [56, 36]
    wide = find(image, template, replace(PLAIN, margin=7))
    assert wide.boxes.tolist() == [[63, 43, 80, 64], [13, 3, 33, 23]]  # cut at the borders
    assert len(find(template, template, PLAIN).boxes) == 0
    assert find(template, template, PLAIN).boxes.shape == (0, 4)


def test_edges_may_lie_as_many_pixels_aside_as_is_tolerated() -> None:
    template = board()
    moved = np.roll(template, (1, -1), axis=(0, 1))
    for tolerance, change in ((0, True), (1, False)):
        found, _ = changes(moved, template, blur=0, tolerance=tolerance)
        assert bool((found[2:-2, 2:-2] > 0).any()) == change  # what rolls in at the border is another matter


def test_the_change_is_what_is_outside_the_template_s_range_around_a_pixel() -> None:
    """By a plain loop, the median of the difference taken off."""
    random = np.random.default_rng(1)
    image, template = random.integers(0, 256, (2, 9, 11), dtype=np.uint8)
    found, deviation = changes(image, template, blur=0, tolerance=1)
    rest = image.astype(float) - template
    middle = np.median(rest)
    assert deviation[0] == pytest.approx(np.median(np.abs(rest - middle)))
    for row in range(9):
        for column in range(11):
            near = template[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].astype(float)
            value = image[row, column] - middle
            assert found[row, column, 0] == pytest.approx(max(value - near.max(), near.min() - value, 0))


@pytest.mark.parametrize("offset", [(0, 0), (2, -1), (-3, 3)])
def test_a_moved_template_is_moved_back_and_its_border_is_no_change(offset: tuple[int, int]) -> None:
    scene = board(seed=2)
    inner = np.s_[8:-8, 8:-8]
    template = np.roll(scene, offset, axis=(0, 1))[inner]  # T(x + offset) = I(x)
    image = with_squares(scene[inner], (30, 40))
    assert offset_of(image, template, 3) == offset
    assert offset_of(image, template, 0) == (0, 0)
    change, _ = changes(image, template, offset=offset, blur=0, tolerance=0)
    rows, columns = np.nonzero(change[..., 0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (30, 35, 40, 45)
    assert find(image, template, replace(PLAIN, shift=3, tolerance=0)).boxes.tolist() == [[40, 30, 46, 36]]
    colours = [np.repeat(one[..., None], 3, axis=2) for one in (image, template)]
    assert find(*colours, replace(PLAIN, shift=3, tolerance=0)).boxes.tolist() == [[40, 30, 46, 36]]


def test_noise_and_light_of_another_photo_are_no_change_and_a_defect_in_one_channel_is() -> None:
    random = np.random.default_rng(3)
    scene = board(channels=3).astype(float)
    scene[20:30, 60:70, 2] = 130.0
    photos = [np.clip(scene * 0.8 + light + random.normal(0, 4, scene.shape), 0, 255) for light in (10, 18)]
    template, image = (photo.round().astype(np.uint8) for photo in photos)
    image[40:48, 10:18, 1] = np.clip(image[40:48, 10:18, 1].astype(int) - 60, 0, 255).astype(np.uint8)
    image[70:78, 70:78, 1] = np.clip(image[70:78, 70:78, 1].astype(int) + 60, 0, 255).astype(np.uint8)
    setting = replace(PLAIN, deviations=7.0, levels=1.0, tolerance=0)
    _, deviation = changes(image, template, blur=0, tolerance=0)
    np.testing.assert_allclose(deviation, 0.6745 * 4 * 2**0.5, rtol=0.1)
    found = find(image, template, setting)
    assert sorted(found.boxes.round().tolist()) == [[10, 40, 18, 48], [70, 70, 78, 78]]
    assert len(find(image, template, replace(setting, levels=100.0)).boxes) == 0
    assert find(image, template, replace(setting, deviations=1.0, opening=1)).areas.max() > 1000


def test_a_change_exceeds_both_thresholds_in_some_channel() -> None:
    change = np.array([[[5.0, 0.0], [9.0, 0.0], [9.0, 21.0]]], dtype=np.float32)
    deviation = np.array([1.0, 10.0], dtype=np.float32)
    assert exceeds(change, deviation, deviations=2, levels=8).tolist() == [[False, True, True]]
    assert exceeds(change, deviation, deviations=2, levels=10).tolist() == [[False, False, True]]
    assert exceeds(change, deviation, deviations=3, levels=10).tolist() == [[False, False, False]]


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5])
def test_opening_is_that_of_scipy(side: int) -> None:
    mask = np.random.default_rng(4).random((40, 41)) < 0.85
    expected = np.zeros_like(mask)
    for row in range(40 - side + 1):
        for column in range(41 - side + 1):
            window = np.s_[row : row + side, column : column + side]
            expected[window] |= mask[window].all()
    np.testing.assert_array_equal(opened(mask, side), expected)
    if side % 2:
        np.testing.assert_array_equal(opened(mask, side), ndimage.binary_opening(mask, np.ones((side, side))))


def test_pieces_are_joined_within_reach_and_small_ones_dropped_before() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[2:5, 2:5] = True  # 9 pixels
    mask[5:8, 5:8] = True  # meets it at a corner: one piece of 18
    mask[2:6, 12:16] = True  # 16 pixels, 4 columns to the right of the second
    mask[15, 20:23] = True  # 3 pixels
    assert pieces(mask, least_area=3, reach=0).boxes.tolist() == [[2, 2, 8, 8], [12, 2, 16, 6], [20, 15, 23, 16]]
    assert pieces(mask, least_area=17, reach=0).areas.tolist() == [18]
    assert pieces(mask, least_area=4, reach=1).areas.tolist() == [18, 16]
    joined = pieces(mask, least_area=4, reach=2)
    assert (joined.boxes.tolist(), joined.areas.tolist()) == ([[2, 2, 16, 8]], [34])
    assert pieces(mask, least_area=19, reach=5).boxes.shape == (0, 4)
    assert pieces(np.zeros((5, 5), dtype=bool), least_area=0, reach=2).areas.tolist() == []
    assert grown(joined.boxes, 3, (20, 30)).tolist() == [[0, 0, 19, 11]]


def test_bad_input_is_said() -> None:
    image = board()
    with pytest.raises(ValueError, match=r"of one shape, got \(96, 96\) and \(90, 96\)"):
        find(image, image[:90], PLAIN)
    with pytest.raises(ValueError, match="must be uint8, got float64 and uint8"):
        find(image / 255.0, image, PLAIN)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="reach of a template difference must be at least 0, got -1"):
        DifferenceSetting(reach=-1)
    with pytest.raises(ValueError, match="opening of a template difference must be at least 1"):
        DifferenceSetting(opening=0)
