"""The preset that made some pixels is found again, with their colour."""

from __future__ import annotations

import numpy as np
import pytest

from generative.rendering.defects.materials import PRESETS, from_data, nearest

COLOUR = np.array([0.6, 0.4, 0.2])


def pixels(preset_number: int, ground: np.ndarray) -> np.ndarray:
    """What a surface of a preset shows where most of it faces the light and a part is a highlight."""
    preset = PRESETS[preset_number]
    body = np.tile(COLOUR * (preset.ambient + 0.75 * preset.diffuse), (len(ground), 1))
    body[::20] += preset.specular * (1 - body[::20])
    return 255 * (preset.translucency * ground + (1 - preset.translucency) * body)


@pytest.mark.parametrize("number", [0, 3])
def test_gloss_tells_dull_from_metal(number: int) -> None:
    ground = np.random.default_rng(0).random((400, 1)) * np.ones(3)
    found = nearest(pixels(number, ground), 255 * ground)
    assert found.name == PRESETS[number].name
    assert found.colour == pytest.approx(COLOUR, abs=0.05)


def test_translucency_is_the_share_of_the_ground() -> None:
    ground = np.random.default_rng(1).random((400, 1)) * np.ones(3)
    shown = 255 * (0.45 * ground + 0.55 * COLOUR)
    found = nearest(shown, 255 * ground)
    assert found.translucency == pytest.approx(0.45, abs=0.01)
    assert from_data(found.as_data()).colour == pytest.approx(found.colour, abs=1e-3)


def test_no_pixels() -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        nearest(np.zeros((0, 3)), np.zeros((0, 3)))
