"""Fits in the basis of half angles: the same functions and, by Muon, the same steps as by the coefficients themselves."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from lightning_modules.dfm.descent import Budget
from lightning_modules.dfm.fitting import Networks, fit, fit_family, pixels_of, start_by
from lightning_modules.dfm.networks import Shape
from lightning_modules.dfm.recipe import recipe_of
from lightning_modules.dfm.walsh import WalshNetworks, from_walsh, to_walsh

SHAPES = [
    Shape(width=4, depth=3, channels=3),
    Shape(width=3, depth=2, channels=3),  # the last layer adds its input
    Shape(width=3, depth=1, channels=1),
    Shape(width=3, depth=2, channels=3, residual=False),
]


def normal(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SHAPES)
def test_both_bases_are_the_same_functions(shape: Shape) -> None:
    coefficients = shape.split(0.3 * normal(2, shape.num_coefficients))
    turned = to_walsh(coefficients, shape)
    assert len(turned) == (3 if shape.depth > 1 else 2)
    for points in (normal(7, 2), normal(2, 7, 2)):
        found, expected = WalshNetworks(shape)(points, turned), Networks(shape)(points, coefficients)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    for back, given in zip(from_walsh(turned, shape), coefficients, strict=True):
        torch.testing.assert_close(back, given, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_muon_steps_alike_in_both_bases(shape: Shape) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, shape.channels, 6, 6), dtype=torch.uint8, generator=generator)
    recipe = dataclasses.replace(recipe_of("ours", shape), batch=20)
    found = fit(images, shape, recipe, Budget(steps=5), dtype=torch.float64, compiled=False)
    pixels = pixels_of(images, seed=0, numbers=[0, 1], mask=None, dtype=torch.float64)
    start = [part.double() for part in start_by(recipe, shape, images, mask=None, seed=0, numbers=[0, 1])]
    direct = fit_family(Networks(shape), start, pixels, recipe, Budget(steps=5), compiled=False)
    assert found.family == direct.family
    for turned, plain, begun in zip(found.course.parameters, direct.course.parameters, start, strict=True):
        torch.testing.assert_close(turned, plain, rtol=0, atol=1e-10)
        assert not torch.allclose(plain, begun, atol=1e-4)
