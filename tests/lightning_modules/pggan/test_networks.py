"""PGGAN's networks: published sizes, stages by hand, and what makes two convolutions one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.pggan.growth import Stage
from lightning_modules.pggan.layers import (
    Convolution,
    Dense,
    EnlargingConvolution,
    ReducingConvolution,
    doubled,
    enlarging_kernel,
    pixel_norm,
    pooled,
)
from lightning_modules.pggan.networks import Critic, Generator, channels

PUBLISHED = {  # px: generator all and last, critic all and last (section 1.2 of its paper's sizes)
    8: (11_277_318, 11_275_779, 11_283_457, 11_281_409),
    16: (15_998_473, 15_995_395, 16_005_121, 16_001_025),
    32: (20_719_628, 20_715_011, 20_726_785, 20_720_641),
    64: (22_490_383, 22_484_227, 22_498_049, 22_489_857),
    128: (22_933_394, 22_926_467, 22_941_313, 22_932_097),
    256: (23_044_309, 23_036_995, 23_052_353, 23_042_625),
    512: (23_072_120, 23_064_611, 23_080_225, 23_070_241),
    1024: (23_079_115, 23_071_507, 23_087_249, 23_077_137),
}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def generator(side: int = 16) -> Generator:
    torch.manual_seed(0)
    return Generator(image_shape=(3, side, side), latent_dim=6, base=64, most=8).double()


def critic(side: int = 16, **settings: int) -> Critic:
    torch.manual_seed(0)
    return Critic(image_shape=(3, side, side), base=64, most=8, **settings).double()


def latents(number: int = 4) -> Tensor:
    return torch.randn(number, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def images(number: int = 4, side: int = 16) -> Tensor:
    return torch.rand(number, 3, side, side, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("side", PUBLISHED)
def test_parameters_of_the_published_sizes(side: int) -> None:
    with torch.device("meta"):
        networks = Generator(image_shape=(3, side, side)), Critic(image_shape=(3, side, side))
    ends = networks[0].to_image, networks[1].from_image
    counts = [
        (count(network), count(network) - sum(map(count, end[:-1])))
        for network, end in zip(networks, ends, strict=True)
    ]
    assert (*counts[0], *counts[1]) == PUBLISHED[side]


def test_features_of_the_published_layers() -> None:
    """The table of layers at 256 pixels: layer 4 is 8 x 8, layer 8 is 32 x 32."""
    with torch.device("meta"):
        network = Generator(image_shape=(3, 256, 256))
        z = torch.zeros(1, 512)
        shapes = [tuple(network.features(z, layer).shape[1:]) for layer in (1, 2, 4, 8, 9, 12, 14)]
    assert shapes == [
        (512, 4, 4),
        (512, 4, 4),
        (512, 8, 8),
        (512, 32, 32),
        (256, 64, 64),
        (128, 128, 128),
        (64, 256, 256),
    ]
    assert [network.width_at(layer) for layer in (1, 8, 9, 14)] == [512, 512, 256, 64]
    for layer in (0, 15):
        with pytest.raises(ValueError, match=f"a number of blocks from 1 to 14, got {layer}"):
            network.width_at(layer)


def test_one_transposed_convolution_is_doubling_and_a_convolution() -> None:
    torch.manual_seed(0)
    layer, x = EnlargingConvolution(5, 7).double(), torch.randn(2, 5, 6, 6, dtype=torch.float64)
    expected = F.conv2d(
        F.interpolate(x, scale_factor=2, mode="nearest"), layer.weight * layer.scale, layer.bias, padding=1
    )
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0, 0, 2] = 1.0  # one corner goes to four places of the larger kernel
    assert enlarging_kernel(weight)[0, 0].nonzero().tolist() == [[2, 0], [2, 1], [3, 0], [3, 1]]


def test_one_convolution_of_stride_2_is_a_convolution_and_pooling() -> None:
    torch.manual_seed(0)
    layer, x = ReducingConvolution(5, 7).double(), torch.randn(2, 5, 12, 8, dtype=torch.float64)
    expected = F.avg_pool2d(F.conv2d(x, layer.weight * layer.scale, layer.bias, padding=1), 2)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "inputs"), [(Convolution, 8), (Dense, 72), (EnlargingConvolution, 8), (ReducingConvolution, 8)]
)
def test_layers_keep_the_variance_that_their_gain_asks_for(kind: type[Convolution | Dense], inputs: int) -> None:
    """Weights of variance 1 are stored, and used times sqrt(2 / fan-in)."""
    torch.manual_seed(0)
    layer = kind(inputs, 16)
    assert layer.weight.var().item() == pytest.approx(1.0, abs=0.1)
    assert layer.scale**2 == pytest.approx(2.0 / 72)
    assert not layer.bias.any()


def test_pixel_norm_leaves_a_mean_square_of_1() -> None:
    x = torch.randn(3, 8, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(
        pixel_norm(x).square().mean(dim=1), torch.ones(3, 4, 4, dtype=torch.float64), rtol=1e-6, atol=0
    )
    torch.testing.assert_close(pixel_norm(7 * x), pixel_norm(x), rtol=1e-6, atol=1e-7)


def test_a_generator_in_a_transition_blends_two_sizes() -> None:
    """By hand: what 8 x 8 drew alone, doubled, and what 16 x 16 draws; both at full size."""
    network, z = generator(), latents()
    alone = {}
    for levels in (1, 2, 3):
        network.stage = Stage(levels)
        alone[levels] = network(z)
        assert alone[levels].shape == (4, 3, 16, 16)
        side = 2 ** (levels + 1)
        small = pooled(alone[levels], times=3 - levels)
        torch.testing.assert_close(doubled(small, times=3 - levels), alone[levels], rtol=0, atol=1e-14)
        assert small.shape[2] == side
    network.stage = Stage(3, 0.4)
    torch.testing.assert_close(network(z), 0.6 * alone[2] + 0.4 * alone[3], rtol=0, atol=1e-12)
    network.stage = Stage(3, 0.0)
    torch.testing.assert_close(network(z), alone[2], rtol=0, atol=1e-12)


def test_a_critic_in_a_transition_blends_two_ways_into_its_features() -> None:
    network, x = critic(), images()
    for blend, levels in ((0.0, 2), (1.0, 3)):
        network.stage = Stage(levels)
        alone = network(x)
        network.stage = Stage(3, blend)
        torch.testing.assert_close(network(x), alone, rtol=0, atol=1e-12)
    network.stage = Stage(3, 0.3)
    h = F.leaky_relu(network.from_image[2](x), 0.2)
    for convolution in network.halvings[1]:
        h = F.leaky_relu(convolution(h), 0.2)
    coarse = F.leaky_relu(network.from_image[1](F.avg_pool2d(x, 2)), 0.2)
    mixed = 0.7 * coarse + 0.3 * h
    network.from_image[1].forward = lambda _: torch.where(mixed > 0, mixed, mixed / 0.2)  # type: ignore[method-assign]
    blended = network(x)
    network.stage = Stage(2)
    torch.testing.assert_close(network(x), network(x))
    assert blended.shape == (4,)


def test_what_is_not_in_use_gets_no_gradient_and_what_is_gets_one() -> None:
    network, judge = generator(), critic()
    network.stage = judge.stage = Stage(2, 0.5)
    judge(network(latents())).sum().backward()
    used = {name for name, p in [*network.named_parameters(), *judge.named_parameters()] if p.grad is not None}
    assert {
        "blocks.3.weight",
        "to_image.0.weight",
        "to_image.1.bias",
        "from_image.0.weight",
        "halvings.0.1.weight",
    } <= used
    assert not used & {"blocks.4.weight", "to_image.2.weight", "from_image.2.weight", "halvings.1.0.weight"}


def test_the_critic_sees_groups_of_neighbours() -> None:
    """Images of one group change each other's logits, those of another do not; without a group none do."""
    x = images(8)
    changed = torch.cat([x[:7], -x[7:]])
    differ = (critic(group_size=4)(x) != critic(group_size=4)(changed)).tolist()
    assert differ == [False] * 4 + [True] * 4
    alone = critic(group_size=0)
    assert (alone(x) != alone(changed)).tolist() == [False] * 7 + [True]
    assert critic(num_outputs=6)(x).shape == (8, 6)


def test_latents_keep_their_norm_only_where_it_is_asked_for() -> None:
    network, z = generator(), latents()
    torch.testing.assert_close(network(3 * z), network(z), rtol=1e-6, atol=1e-7)
    torch.manual_seed(0)
    heard = Generator(image_shape=(3, 16, 16), latent_dim=6, base=64, most=8, normalize_latents=False).double()
    torch.testing.assert_close(heard(pixel_norm(z)), network(z), rtol=0, atol=1e-12)
    torch.nn.init.normal_(heard.blocks[0].bias)  # beside a bias of 0 the next block's norm takes the length away again
    assert (heard(3 * z) - heard(z)).abs().max() > 0.01


@pytest.mark.parametrize("shape", [(3, 28, 28), (3, 16, 32), (3, 4, 4)])
def test_images_that_do_not_grow_from_4_pixels_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=f"square images of 8, 16, 32, ... pixels a side, got {shape[1]} x {shape[2]}"):
        Generator(image_shape=shape)


def test_channels_halve_from_where_the_base_says() -> None:
    assert channels(7, base=16384, most=512) == [512, 512, 512, 512, 256, 128, 64]
    with pytest.raises(ValueError, match="base 16 leaves no channel at 32 pixels a side"):
        channels(4, base=16, most=8)
