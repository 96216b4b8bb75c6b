"""Strokes: discs along a parabola, and noise of a stated strength."""

from __future__ import annotations

import numpy as np
import pytest

from generative.rendering.defects.strokes import Stroke, bent, unevenness


def test_the_depth_of_a_disc() -> None:
    disc = Stroke(np.array([[20.0, 30.0]]), np.array([6.0]))
    place = disc.place((60, 60))
    assert place is not None
    depth = disc.depth(place)
    assert depth.max() == pytest.approx(6)
    assert (depth > 0).sum() == pytest.approx(np.pi * 36, rel=0.05)
    assert disc.place((60, 34)) is None


def test_a_bent_stroke_passes_its_middle() -> None:
    stroke = bent(np.array([0.0, 0.0]), np.array([0.0, 40.0]), bend=0.1, width=4, random=np.random.default_rng(0))
    assert stroke.points[0] == pytest.approx([0, 0])
    assert stroke.points[-1] == pytest.approx([0, 40])
    assert np.abs(stroke.points[:, 0]).max() == pytest.approx(4, abs=0.05)


@pytest.mark.parametrize("length", [0.8, 1.5])
def test_unevenness_has_the_deviation_one(length: float) -> None:
    assert unevenness((200, 200), np.random.default_rng(0), length=length).std() == pytest.approx(1, rel=0.08)
