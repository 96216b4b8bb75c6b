"""SIREN and Fourier features: counts, starts, values by hand; the command that compares."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn

from lightning_modules.dfm.descent import Budget
from lightning_modules.dfm.rivals import (
    FourierFeatures,
    Siren,
    coin_bytes,
    fit_rival,
    fourier_features_of,
    random_frequencies,
    siren_of,
)


@pytest.mark.parametrize(("asked", "siren", "features"), [(4272, 4215, 4329), (22_080, 21_927, 21_987)])
def test_rivals_have_about_as_many_parameters(asked: int, siren: int, features: int) -> None:
    sines, relus = siren_of(asked, 3), fourier_features_of(asked, 3)
    assert (sines.num_parameters, relus.num_parameters) == (siren, features)
    for rival in (sines, relus):
        assert sum(part.numel() for part in rival.start(seed=0, numbers=[0])) == rival.num_parameters
    assert coin_bytes(sines) == 2 * siren
    with pytest.raises(ValueError, match="the smallest network has 15 parameters, and 5 were asked for: ask for more"):
        siren_of(5, 3)


def test_good_rates_of_siren_pass_through_those_that_were_found() -> None:
    assert [Siren(width, 3).recipe.rate for width in (36, 84)] == pytest.approx([2e-3, 5e-4])


def test_siren_is_its_formula_and_starts_within_its_bounds() -> None:
    rival = Siren(width=64, channels=3, layers=2)
    parameters = rival.start(seed=0, numbers=[0, 1])
    bounds = [1 / 2, math.sqrt(6 / 64) / 30, math.sqrt(6 / 64) / 30]
    for place, bound in enumerate(bounds):
        assert 0.95 * bound < float(parameters[2 * place].abs().max()) <= bound
    layers = []
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        layer = nn.Linear(*weight.shape[1:])
        layer.weight.data, layer.bias.data = weight[1].T, bias[1, 0]
        layers.append(layer)
    points = torch.rand(5, 2, generator=torch.Generator().manual_seed(0))
    x = torch.sin(30 * layers[1](torch.sin(30 * layers[0](2 * points - 1))))
    torch.testing.assert_close(rival(points, parameters)[1], layers[2](x), rtol=0, atol=1e-4)
    alone = rival.start(seed=0, numbers=[1])
    assert all(torch.equal(one[0], both[1]) for one, both in zip(alone, parameters, strict=True))


def test_fourier_features_are_their_formula() -> None:
    rival = FourierFeatures(frequencies=5, width=6, channels=1, layers=1, spread=2.0)
    (weight, bias, last, last_bias) = (part.double() for part in rival.start(seed=3, numbers=[0]))
    points = torch.tensor([[0.25, 0.5]], dtype=torch.float64)
    angles = [4 * math.pi * (0.25 * float(column) + 0.5 * float(row)) for column, row in random_frequencies(0, 5).T]
    given = torch.tensor([*map(math.cos, angles), *map(math.sin, angles)], dtype=torch.float64)
    expected = torch.tanh(torch.relu(given @ weight[0] + bias[0]) @ last[0] + last_bias[0])
    torch.testing.assert_close(rival(points, [weight, bias, last, last_bias])[0], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("rival", [Siren(16, 1, layers=2), FourierFeatures(8, 12, 1, spread=2.0)])
def test_a_rival_learns_a_smooth_image(rival: Siren | FourierFeatures) -> None:
    ramp = torch.linspace(20, 230, 12)
    image = ((ramp + ramp[:, None]) / 2).to(torch.uint8)[None, None]
    found = fit_rival(image, rival, Budget(steps=60), compiled=False)
    assert found.psnr[0] > found.psnr_mean[0] + 2
    with pytest.raises(ValueError, match="networks of 3 channels cannot fit images of 1"):
        fit_rival(image, dataclasses.replace(rival, channels=3), Budget(steps=1), compiled=False)
