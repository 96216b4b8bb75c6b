"""Every renderer covers the same pixels, its shadow falls away from the light, and a missing one says how to get it."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest

from generative.rendering.defects import mitsuba_tubes, povray_tubes
from generative.rendering.defects.backends import MODULES, Light, Rendering, Tube, lifted, renderer
from generative.rendering.defects.curves import Curve, rendered_mask
from generative.rendering.defects.draws import generator
from generative.rendering.defects.materials import PRESETS

SHAPE = (64, 72)
BENT = Curve(
    np.array([[14.0, 50.0], [20.0, 26.0], [34.0, 22.0], [46.0, 40.0], [56.0, 16.0]]), np.array([7.0, 8, 9, 8, 6])
)


def rendered(name: str, *, direction: tuple[float, float, float] = (-0.48, -0.36, 0.8)) -> Rendering:
    tube = lifted(BENT, generator(0, "tube", 0))
    return renderer(name)(tube, PRESETS[2], Light(direction, shadow=0.5), SHAPE)


def test_a_ball_covers_a_disc_and_shines_towards_the_light() -> None:
    ball = Tube(np.array([[30.0, 30.0, 12.0]]), np.array([12.0]))
    found = renderer("numpy")(ball, PRESETS[3], Light((-0.6, 0.0, 0.8)), (64, 64))
    assert found.coverage.sum() == pytest.approx(np.pi * 12**2, rel=0.01)
    rows, columns = np.indices((64, 64))
    assert found.coverage[(rows - 30) ** 2 + (columns - 30) ** 2 < 11**2].min() == 1
    grey = np.where(found.coverage > 0.9, found.colour[..., 0], 0)
    # Halfway between the light and the viewer: (-0.6, 0, 1.8) normalised, times the radius.
    assert np.unravel_index(grey.argmax(), grey.shape) == pytest.approx(
        (30, 30 - 12 * 0.6 / np.sqrt(0.6**2 + 1.8**2)), abs=1.5
    )
    across = np.average(columns, weights=found.shadow)
    assert across == pytest.approx(30 + 12 * 0.75, abs=0.7)  # its centre is 12 above the ground


def test_the_coverage_is_that_of_the_flat_curve() -> None:
    flat = rendered_mask(BENT, SHAPE)
    mask = rendered("numpy").mask
    assert (flat & mask).sum() / (flat | mask).sum() > 0.97


@pytest.mark.parametrize("name", ["mitsuba", "povray"])
def test_other_renderers_cover_the_same_pixels(name: str) -> None:
    if name == "mitsuba":
        pytest.importorskip("mitsuba")
    elif shutil.which("povray") is None:
        pytest.skip("the program povray is not installed")
    ours, theirs = rendered("numpy"), rendered(name)
    assert (ours.mask & theirs.mask).sum() / (ours.mask | theirs.mask).sum() >= 0.97
    assert theirs.colour.shape[:2] == theirs.coverage.shape == theirs.shadow.shape == SHAPE
    away = [np.average(np.indices(SHAPE)[1], weights=found.shadow * (found.coverage == 0)) for found in (ours, theirs)]
    assert abs(away[0] - away[1]) < 4
    assert 0.1 < theirs.shadow.max() <= 1
    again = rendered(name)
    assert np.array_equal(theirs.colour, again.colour)
    assert np.array_equal(theirs.coverage, again.coverage)


def test_a_missing_renderer_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mitsuba", None)
    with pytest.raises(ValueError, match=r"mitsuba needs the package .* or take --renderer numpy"):
        mitsuba_tubes.render(Tube(np.ones((2, 3)), np.ones(2)), PRESETS[0], Light(), SHAPE)
    monkeypatch.setattr(povray_tubes, "PROGRAM", "no-such-povray")
    with pytest.raises(ValueError, match="needs the program povray, which is not installed"):
        povray_tubes.render(Tube(np.ones((2, 3)), np.ones(2)), PRESETS[0], Light(), SHAPE)
    with pytest.raises(ValueError, match=f"choose one of {', '.join(MODULES)}"):
        renderer("blender")


def test_tubes_lie_on_the_ground_or_above() -> None:
    tube = lifted(BENT, generator(0, "tube", 1))
    assert (tube.centres[:, 2] >= tube.radii - 1e-9).all()
    assert tube.centres[:, 2].max() > tube.radii.max()
