"""Known curves are found again, those that touch themselves or branch are refused, and new ones are like the fitted ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from generative.rendering.defects.curves import (
    Curve,
    between,
    fit,
    is_simple,
    new_curve,
    outline,
    placed,
    random_curve,
    rendered_mask,
)
from generative.rendering.defects.draws import generator
from generative.rendering.defects.widths import SIDE, known_curve, looping_curve

SHAPE = (SIDE, SIDE)


@pytest.mark.parametrize("number", range(6))
def test_a_known_curve_is_found(number: int) -> None:
    curve = known_curve(number)
    found = fit(rendered_mask(curve, SHAPE))
    a, b = curve.dense(step=0.05)[0], found.dense(step=0.05)[0]
    assert cKDTree(a).query(b)[0].mean() < 0.5
    assert cKDTree(b).query(a)[0].mean() < 0.5
    assert abs(np.median(found.widths) - curve.widths[0]) < 0.3
    assert 4 <= len(found.points) <= 20
    assert abs(found.length - curve.length) < 0.1 * curve.length


def test_a_local_width_is_found() -> None:
    points = np.stack([np.linspace(20, 120, 6), np.full(6, 70.0)], axis=1)
    found = fit(rendered_mask(Curve(points, np.linspace(4, 8, 6)), SHAPE))
    ends = found.widths[[0, -1]] if found.points[0, 0] < found.points[-1, 0] else found.widths[[-1, 0]]
    assert ends == pytest.approx([4, 8], abs=1.2)


def test_curves_that_touch_themselves_are_refused() -> None:
    for number in range(3):
        with pytest.raises(ValueError, match="touches itself"):
            fit(rendered_mask(looping_curve(number), SHAPE))
    assert not is_simple(looping_curve(0))


def test_branches_and_blobs_are_refused() -> None:
    line = np.stack([np.linspace(20, 120, 5), np.full(5, 70.0)], axis=1)
    across = np.stack([np.full(5, 70.0), np.linspace(70, 125, 5)], axis=1)
    branching = rendered_mask(Curve(line, np.full(5, 5.0)), SHAPE) | rendered_mask(
        Curve(across, np.full(5, 5.0)), SHAPE
    )
    with pytest.raises(ValueError, match="branches"):
        fit(branching)
    rows, columns = np.indices(SHAPE)
    with pytest.raises(ValueError, match="blob"):
        fit((rows - 70) ** 2 + (columns - 70) ** 2 < 60)


def test_a_curve_in_pieces_is_refused_and_a_crumb_is_none() -> None:
    mask = rendered_mask(known_curve(1), SHAPE)
    whole = fit(mask)
    crumb = mask.copy()
    crumb[2:4, 2:4] = True
    assert fit(crumb).points == pytest.approx(whole.points)
    rows = np.nonzero(mask.any(axis=1))[0]
    middle = int(np.median(rows))
    mask[middle - 3 : middle + 3] = False
    with pytest.raises(ValueError, match="in several pieces"):
        fit(mask)


def test_the_outline_follows_the_contour() -> None:
    curve = known_curve(1)
    mask = rendered_mask(curve, SHAPE)
    points = outline(mask, num_points=100)
    away = cKDTree(curve.dense()[0]).query(points)[0]
    assert np.median(away) == pytest.approx(curve.widths[0] / 2, abs=0.8)


def test_a_new_curve_is_near_the_old_one_and_as_smooth() -> None:
    first = known_curve(2)
    for number in range(8):
        found = new_curve(first, generator(0, "new", number))
        assert found.points.mean(axis=0) == pytest.approx([0, 0], abs=1e-9)
        assert 0.7 < found.length / first.length < 1.4
        away = np.linalg.norm(found.points - (first.points - first.points.mean(axis=0)), axis=1).mean()
        assert 0.0 < away < 0.25 * first.length


def test_between_two_curves_lies_between_them() -> None:
    first = known_curve(3)
    turned = placed(Curve(first.points - first.points.mean(axis=0), 2 * first.widths), (9.0, 4.0), 1.1, mirrored=True)
    mixed = between(first, turned, 0.5)
    assert mixed.length == pytest.approx(first.length, rel=0.02)  # the same shape, however it lies
    assert np.median(mixed.widths) == pytest.approx(1.5 * np.median(first.widths))


def test_placing_turns_from_x_to_y() -> None:
    curve = Curve(np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [4.0, 0.0]]), np.ones(4))
    assert placed(curve, (10.0, 20.0), np.pi / 2).points[0] == pytest.approx([10, 21])
    assert placed(curve, (0.0, 0.0), 0.0, mirrored=True).points[0] == pytest.approx([-1, 0])


def test_a_random_curve_is_as_long_as_asked() -> None:
    found = random_curve(generator(0, "random", 0), length=80, width=4)
    assert found.length == pytest.approx(80, rel=0.05)
    assert 4 <= len(found.points) <= 20
