"""Defects are placed where the real ones lay: at the same kind of edge, and on the same side of it."""

from __future__ import annotations

import numpy as np
import pytest

from generative.rendering.defects.draws import generator
from generative.rendering.defects.placement import Ground, find, levels_at, offsets, spread_of, surroundings
from tests.support.defects import SIDE, blot_mask, part

LEFT, RIGHT = 50, 140  # edges of the die, its upper and lower ones too


def from_edge(x: float, y: float) -> float:
    """How far a place is from the rim of the die, in pixels."""
    inside = LEFT <= x <= RIGHT and LEFT <= y <= RIGHT
    to_sides = [abs(x - LEFT), abs(x - RIGHT), abs(y - LEFT), abs(y - RIGHT)]
    if inside:
        return min(to_sides)
    return float(np.hypot(max(LEFT - x, 0, x - RIGHT), max(LEFT - y, 0, y - RIGHT)))


@pytest.mark.parametrize("anywhere", [False, True])
def test_a_blot_over_an_edge_is_drawn_over_an_edge(anywhere: bool) -> None:
    like = surroundings(part(0), blot_mask(2), (0, 0), part(0).shape)
    free = np.zeros((SIDE, SIDE), dtype=bool)
    found = [find(Ground(part(7), free, anywhere), like, generator(0, "place", number)) for number in range(20)]
    away = [from_edge(*place.centre) for place in found if place is not None]
    assert len(away) == 20
    assert (np.median(away) < 7) is not anywhere


def test_the_mirrored_surroundings_are_those_of_the_mirrored_picture() -> None:
    mask = blot_mask(2)
    plain = surroundings(part(0), mask, (0, 0), part(0).shape)
    mirrored = surroundings(part(0)[:, ::-1], mask[:, ::-1], (0, 0), part(0).shape)
    assert plain.mirrored.levels == pytest.approx(mirrored.levels, abs=0.03)


def test_rings_turn_from_x_to_y() -> None:
    field = np.zeros((50, 50, 1), dtype=np.float32)
    field[25:, :, 0] = 1  # bright below
    levels = levels_at(field, np.array([[25.0, 25.0]]), np.array([np.pi / 2]), 10.0)[0, :, 0]
    ring = offsets(10.0)
    right = int(np.argmax(ring[:, 0]))
    assert levels[right] == 1  # what is to the right of the defect looks down


def test_places_that_are_taken_and_spots() -> None:
    like = surroundings(part(0), blot_mask(2), (0, 0), part(0).shape)
    assert find(Ground(part(7), np.ones((SIDE, SIDE), dtype=bool)), like, generator(0, "x", 0)) is None
    assert spread_of(np.array([[0.5, 0.5], [0.51, 0.5]])) == 0.03
    free = np.zeros((SIDE, SIDE), dtype=bool)
    near = [find(Ground(part(7), free), like, generator(0, "spot", k), spread=0.03) for k in range(10)]
    moved = [np.hypot(p.centre[0] / SIDE - like.position[0], p.centre[1] / SIDE - like.position[1]) for p in near if p]
    assert np.median(moved) < 0.1
