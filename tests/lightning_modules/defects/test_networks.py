"""Sizes that the text states, what a pixel sees, and what stays as it is to the bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from generative.networks.spectral import advance
from lightning_modules.defects.networks import Critic, Filler, Refiner, ResidualLayer
from lightning_modules.defects.unet import UNet, layers_of_levels

SHAPE = (3, 32, 32)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def support(drawn: Tensor, images: Tensor) -> tuple[int, int]:
    """Rows and columns from the first to the last pixel of ``images`` [1, C, H, W] that the middle of ``drawn`` hangs on."""
    middle = drawn.shape[-1] // 2
    (gradient,) = torch.autograd.grad(drawn[0, :, middle, middle].sum(), images)
    rows, columns = gradient[0].abs().sum(dim=0).nonzero().T
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


def test_the_printed_refiner_has_its_parameters_and_sees_nine_pixels() -> None:
    """Four convolutions with biases and three batch norms: 3 * 9 * 256 + 2 * 256 * 9 * 256 + 256 * 9 * 3 + 771 + 3 * 512."""
    torch.manual_seed(0)
    network = Refiner(image_shape=(3, 256, 256))
    assert count(network) == 1_195_779
    assert sum(isinstance(layer, nn.Conv2d) for layer in network.modules()) == 4
    images = torch.randn(1, *SHAPE, requires_grad=True)
    assert support(network.eval()(images), images) == (9, 9)
    with torch.no_grad():
        for parameter in network.layers[-1].parameters():
            parameter.zero_()
    assert torch.equal(network(images), images), "what the layers draw is added to the input"


@pytest.mark.parametrize(
    ("settings", "side"),
    [({}, 9), ({"kernel_size": 5}, 17), ({"dilation": 2}, 17), ({"downsampling": 2}, 18)],
)
def test_how_far_a_filler_sees(settings: dict[str, int], side: int) -> None:
    """4 (k - 1) d + 1 pixels, times the side of the blocks that are one place."""
    torch.manual_seed(0)
    network = Filler(image_shape=SHAPE, width=8, normalization="none", **settings).eval()  # type: ignore[arg-type]
    images = torch.randn(1, *SHAPE, requires_grad=True)
    holes = torch.zeros(1, 1, 32, 32)
    holes[0, 0, 16, 16] = 1.0
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.abs_()
                assert layer.bias is not None
                layer.bias.fill_(10.0)  # no ReLU is shut
    assert support(network(images, holes), images) == (side, side)


def test_a_filler_changes_holes_alone_and_does_not_see_into_them() -> None:
    torch.manual_seed(0)
    network = Filler(image_shape=SHAPE, num_classes=2, width=8, normalization="group", downsampling=2)
    images, labels = torch.randn(4, *SHAPE), torch.tensor([0, 1, 0, 1])
    holes = (torch.rand(4, 1, 32, 32) < 0.3).float()
    drawn = network(images, holes, labels)
    outside = (holes == 0).expand_as(images)
    assert torch.equal(drawn[outside], images[outside])
    assert (drawn != images)[~outside].float().mean() > 0.99
    other = torch.where(outside, images, torch.randn_like(images))
    assert torch.equal(network(other, holes, labels)[~outside], drawn[~outside])
    assert not torch.equal(network(images, holes, 1 - labels), drawn), "the class enters"


def test_twelve_residual_layers_on_the_levels_of_a_u() -> None:
    assert layers_of_levels(12, 0) == [12]
    assert layers_of_levels(12, 1) == [4, 4, 4]
    assert layers_of_levels(12, 2) == [2, 2, 4, 2, 2]
    assert layers_of_levels(12, 5) == [1] * 5 + [2] + [1] * 5
    with pytest.raises(ValueError, match="num_layers=12 are too few for depth=6, which takes 13 or more"):
        layers_of_levels(12, 6)
    with torch.device("meta"):
        for depth in (0, 2):
            network = UNet(image_shape=(3, 512, 512), num_classes=9, depth=depth)
            layers = [layer for layer in network.modules() if isinstance(layer, ResidualLayer)]
            assert len(layers) == 12
            assert all(len(layer.convolutions) == 2 for layer in layers)
            assert network.stem.in_channels == 3 + 9 + 1
            joins = depth * (2 * 256 * 256 + 256)
            assert count(network) == 12 * 2 * (256 * 9 * 256 + 256 + 512) + joins + (13 * 9 * 256 + 256) + 512 + 6915


def test_class_and_noise_enter_the_u() -> None:
    torch.manual_seed(0)
    network = UNet(image_shape=SHAPE, num_classes=3, width=8, num_layers=5, normalization="group")
    images, noise = torch.randn(2, *SHAPE), torch.randn(2, 1, 32, 32)
    labels = torch.tensor([0, 2])
    drawn = network(images, labels, noise=noise)
    assert drawn.shape == images.shape
    assert not torch.allclose(drawn, network(images, torch.tensor([1, 1]), noise=noise))
    assert not torch.allclose(drawn, network(images, labels, noise=-noise))
    with pytest.raises(ValueError, match="this network takes noise"):
        network(images, labels)
    with pytest.raises(ValueError, match="depth=2 halves images of 30 x 30 pixels more often than they can be"):
        UNet(image_shape=(1, 30, 30), width=8, num_layers=5)


@pytest.mark.parametrize("side", [8, 24, 64])
def test_the_critic_has_six_layers_of_slope_one(side: int) -> None:
    torch.manual_seed(0)
    network = Critic(image_shape=(1, side, side), num_classes=4, width=8, max_width=32)
    assert len(network.layers) == 6
    for _ in range(30):
        advance(network)
    normed = [layer for layer in network.modules() if hasattr(layer, "parametrizations")]
    assert len(normed) == 1 + 12 + sum(layer.skip is not None for layer in network.layers) + 2  # type: ignore[union-attr]
    for layer in normed:
        assert float(torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2)) == pytest.approx(1, abs=0.02)  # type: ignore[union-attr,operator]
    images, labels = torch.randn(3, 1, side, side), torch.tensor([0, 1, 2])
    logits = network(images, labels)
    assert logits.shape == (3,)
    assert not torch.allclose(logits, network(images, labels + 1))
    with pytest.raises(ValueError, match="this critic is conditional"):
        network(images)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Critic(image_shape=(1, 32, 32), width=16, max_width=8),
            "begins with width=16 channels and has no more than",
        ),
        (lambda: Critic(image_shape=(1, 20, 20)), "image size must be square and a multiple of 8, got 20 x 20"),
        (
            lambda: Filler(image_shape=SHAPE, kernel_size=4),
            "kernel_size must be odd, so that a pixel has a middle, got 4",
        ),
        (lambda: Filler(image_shape=SHAPE, downsampling=5), "downsampling=5 does not divide images of 32 x 32 pixels"),
        (lambda: Refiner(image_shape=SHAPE, normalization="layer"), "unknown normalization 'layer'"),
    ],
)
def test_settings_that_cannot_be(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
