"""Equation 3.1, as a mask and to the letter, and the noise and blur of pictures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from generative.rendering.defects.backends import Rendering
from generative.rendering.defects.blending import PRINTED_ALPHA, blend, blur_of, noise_of, softened, with_noise
from tests.support.defects import part


def disc() -> Rendering:
    rows, columns = np.indices((40, 40))
    coverage = ((rows - 20) ** 2 + (columns - 20) ** 2 < 60).astype(float)
    return Rendering(np.full((40, 40, 1), 0.9), coverage, np.zeros((40, 40)))


def test_alpha_as_a_mask_leaves_the_rest_bit_for_bit() -> None:
    background = np.random.default_rng(0).random((40, 40, 1))
    found = blend(background, disc(), alpha=PRINTED_ALPHA)
    outside = disc().coverage == 0
    assert np.array_equal(found[outside], background[outside])
    inside = ~outside
    assert found[inside] == pytest.approx(0.3 * 0.9 + 0.7 * background[inside])


def test_the_whole_tile_is_the_equation() -> None:
    background = np.random.default_rng(0).random((40, 40, 1))
    dark = Rendering(np.zeros((40, 40, 1)), np.ones((40, 40)), np.zeros((40, 40)))
    assert blend(background, dark, alpha=0.3, whole_tile=True) == pytest.approx(0.7 * background)


def test_a_shadow_darkens_and_a_translucent_material_shows_the_ground() -> None:
    background = np.full((40, 40, 1), 0.5)
    shaded = Rendering(disc().colour, disc().coverage, np.full((40, 40), 0.4))
    assert blend(background, shaded)[0, 0, 0] == pytest.approx(0.3)
    assert blend(background, disc(), through=0.5)[20, 20, 0] == pytest.approx(0.7)
    with pytest.raises(ValueError, match="alpha must be from 0 to 1"):
        blend(background, disc(), alpha=1.5)


@pytest.mark.parametrize("deviation", [2.0, 6.0])
def test_noise_is_measured_beside_edges(deviation: float) -> None:
    picture = np.full((128, 128), 80.0)
    picture[:, 64:] = 160
    noisy = picture + np.random.default_rng(0).normal(0, deviation, picture.shape)
    assert noise_of(noisy) == pytest.approx(deviation, rel=0.1)
    assert 1.5 < noise_of(part(0)) < 3.5


def test_blur_grows_with_the_blur() -> None:
    picture = np.full((128, 128), 60.0)
    picture[40:90, 40:90] = 180
    found = [blur_of(ndimage.gaussian_filter(picture, sigma)) for sigma in (0.1, 0.8, 1.3)]
    assert found[0] < found[1] < found[2]
    assert found[1] == pytest.approx(0.8, abs=0.25)
    assert found[2] == pytest.approx(1.3, abs=0.3)


def test_softening_keeps_the_area_and_the_colour() -> None:
    found = softened(disc(), 1.0)
    assert found.coverage.sum() == pytest.approx(disc().coverage.sum(), rel=0.02)
    assert found.colour[found.coverage > 0.01] == pytest.approx(0.9, abs=1e-6)


def test_drawn_parts_get_the_noise_that_they_lack() -> None:
    random = np.random.default_rng(0)
    ground = 0.5 + 0.05 * random.standard_normal((200, 200, 1))
    weight = np.zeros((200, 200))
    weight[:, 100:] = 0.6
    mixed = ground * (1 - weight[..., None]) + 0.5 * weight[..., None]
    found = with_noise(mixed, weight, random, noise=0.05)
    assert np.array_equal(found[:, :100], ground[:, :100])
    assert found[:, 100:].std() == pytest.approx(0.05, rel=0.05)
