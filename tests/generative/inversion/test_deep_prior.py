"""Deep Image Prior: a network for each image that knows of no other, and what it makes of a hole."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from generative.inversion import deep_prior
from generative.inversion.deep_prior import NOISE_CHANNELS, Convolution, InputNoise, Layer, UNets, deep_prior_fill
from generative.inversion.fills import mean_fill
from generative.randomness import Stream

SMALL = {"steps": 4, "width": 4}


def images_and_known(count: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 2, 8, 9, generator=generator, dtype=torch.float64) * 2 - 1
    return images, torch.rand(count, 1, 8, 9, generator=generator) > 0.3


def test_laws_of_a_fill() -> None:
    """Exact where known, blind to the rest, in the images' precision, and another for another seed."""
    images, known = images_and_known()
    filled = deep_prior_fill(images, known, seed=0, **SMALL)
    assert filled.dtype == torch.float64
    assert not filled.requires_grad
    assert torch.equal(filled[known.expand_as(images)], images[known.expand_as(images)])
    spoilt = torch.where(known, images, torch.nan)
    with torch.no_grad():
        assert torch.equal(deep_prior_fill(spoilt, known, seed=0, **SMALL), filled)
    assert not torch.allclose(deep_prior_fill(images, known, seed=1, **SMALL), filled)
    assert deep_prior_fill(images.float(), known, seed=0, **SMALL).dtype == torch.float32


def test_a_batch_gives_what_its_images_give_by_number() -> None:
    images, known = images_and_known()
    filled = deep_prior_fill(images, known, seed=0, first=5, **SMALL)
    for number in range(3):
        part = slice(number, number + 1)
        alone = deep_prior_fill(images[part], known[part], seed=0, first=5 + number, **SMALL)
        torch.testing.assert_close(alone, filled[part], rtol=0, atol=1e-9)
    other = deep_prior_fill(images, known, seed=0, first=6, **SMALL)
    assert (other - filled).abs().amax(dim=(1, 2, 3)).min() > 0.01, "other numbers, other networks"


def test_a_convolution_is_that_of_each_image() -> None:
    layer = Convolution(3, 5, 4, kernel=3, stride=2)
    for weights in layer.parameters():
        torch.nn.init.normal_(weights)
    rows = torch.randn(3, 5, 8, 9)
    one_by_one = [
        F.conv2d(F.pad(row[None], (1, 1, 1, 1), mode="reflect"), layer.weight[k], layer.bias[k], stride=2)
        for k, row in enumerate(rows)
    ]
    torch.testing.assert_close(layer(rows), torch.cat(one_by_one), rtol=1e-4, atol=1e-4)


def test_a_layer_has_mean_and_deviation_of_each_channel() -> None:
    layer = Layer(2, 3, 4)
    layer.convolution.weight.data.normal_()
    layer.convolution.bias.data.normal_()
    layer.scale.data.fill_(0.5)
    layer.shift.data.fill_(9.0)  # nothing is below 0
    drawn = layer(torch.randn(2, 3, 8, 8))
    torch.testing.assert_close(drawn.mean(dim=(2, 3)), torch.full((2, 4), 9.0))
    torch.testing.assert_close(drawn.std(dim=(2, 3), correction=0), torch.full((2, 4), 0.5), rtol=1e-3, atol=0)


@pytest.mark.parametrize(("side", "levels"), [(8, 1), (15, 1), (28, 2), (32, 3), (256, 5), (300, 5)])
def test_an_image_is_halved_down_to_four_pixels_or_five_times(side: int, levels: int) -> None:
    with torch.device("meta"):
        network = UNets(torch.Size((2, 1, side, side + 3)), width=8)
        assert len(network.downs) == len(network.skips) == len(network.ups) == levels
        assert network(torch.empty(2, NOISE_CHANNELS, side, side + 3)).shape == (2, 1, side, side + 3)


def test_weights_are_functions_of_seed_and_number() -> None:
    def drawn(count: int, first: int) -> UNets:
        network = UNets(torch.Size((count, 1, 8, 8)), width=6)
        network.draw_weights(Stream(0, "weights"), first)
        return network

    many, one = drawn(4, 10), drawn(1, 12)
    for (name, all_weights), weights in zip(many.named_parameters(), one.parameters(), strict=True):
        assert torch.equal(all_weights[2:3], weights), name
    weight = many.ups[0][0].convolution.weight
    bound = 1 / math.sqrt(10 * 9)
    assert 0.98 * bound < weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_the_noise_of_the_input() -> None:
    """Fixed noise from 0 to 0.1, and normal noise that is new at each step; both go by the number of an image."""
    noise, of_one = InputNoise(0, 3, 2, torch.Size((6, 7))), InputNoise(0, 4, 1, torch.Size((6, 7)))
    fixed = noise.fixed()
    assert fixed.shape == (2, 32, 6, 7)
    assert fixed.min() >= 0
    assert 0.099 < fixed.max() <= 0.1
    assert torch.equal(of_one.fixed(), fixed[1:])
    steps = torch.stack([noise.next() for _ in range(3)])
    assert torch.equal(torch.stack([of_one.next() for _ in range(3)]), steps[:, 1:])
    assert steps.mean().abs() < 0.03
    assert steps.std().item() == pytest.approx(1, abs=0.03)
    assert torch.corrcoef(steps.flatten(1)).sub(torch.eye(3)).abs().max() < 0.1


def test_the_last_tenth_is_averaged_and_the_input_is_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    images, known = images_and_known()
    asked = {"seed": 0, "width": 4}
    averaged = deep_prior_fill(images, known, steps=20, **asked)
    calm = deep_prior_fill(images, known, steps=20, input_noise=0, **asked)
    monkeypatch.setattr(deep_prior, "AVERAGED", 1 / 20)
    last_two = [deep_prior_fill(images, known, steps=steps, **asked) for steps in (19, 20)]
    torch.testing.assert_close(averaged, torch.stack(last_two).mean(dim=0))
    assert (averaged - calm).abs().max() > 0.01


def test_stripes_go_on_in_a_hole() -> None:
    stripes = torch.tensor([0.8, 0.8, -0.8, -0.8]).repeat(4).expand(1, 1, 16, 16)
    known = torch.ones(1, 1, 16, 16, dtype=torch.bool)
    known[:, :, 6:10, 6:10] = False
    spoilt = torch.where(known, stripes, torch.nan)
    filled = deep_prior_fill(spoilt, known, seed=0, steps=150, width=8)
    errors = [(found - stripes)[~known].square().mean() for found in (filled, mean_fill(spoilt, known))]
    assert errors[0] < 0.1 * errors[1]


def test_bad_input() -> None:
    images, known = images_and_known()
    for settings, message in (
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"rate": 0.0}, r"rate must be positive and finite, got 0\.0"),
        ({"input_noise": -0.1}, r"input_noise must be at least 0, got -0\.1"),
    ):
        with pytest.raises(ValueError, match=message):
            deep_prior_fill(images, known, seed=0, **settings)
    with pytest.raises(ValueError, match="takes images of at least 8 pixels a side, got 7 x 9"):
        deep_prior_fill(images[:, :, 1:], known[:, :, 1:], seed=0)
    with pytest.raises(ValueError, match="leave a known pixel in every image"):
        deep_prior_fill(images, known & False, seed=0)
