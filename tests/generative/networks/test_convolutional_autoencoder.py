"""ReGene's networks: every published count, the taps that never meet data, both networks layer by layer, bad plans."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import kstest
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from generative.attribution import grad_cam
from generative.networks.convolutional_autoencoder import Decoder, Encoder, keras_start

Array = NDArray[np.float64]

A5, A7, A6 = [[3, 3], [3], [3], [3, 3]], [[3, 3], [3], [3], [9, 11]], [[3, 3], [3], [3], [3], [3, 3]]
OURS_128 = [[3, 3], [3], [3], [3], [3], [3, 3]]  # one more level than A.6
ENCODERS = {  # image, classes, plan, side of the last map: trained, statistics, layers, millions of multiply-adds
    "A.5": ((1, 28), 10, A5, 3, 752_266, 1_536, 7, "155.3"),
    "A.7": ((3, 32), 10, A7, 4, 3_778_186, 1_536, 7, "254.7"),
    "A.6": ((3, 64), 2, A6, 4, 894_978, 1_792, 8, "821"),
    "128 px": ((3, 128), 2, OURS_128, 4, 1_042_818, 2_048, 9, "3279"),
    "Table 1, 4x1": ((3, 32), 10, [[3]] * 4, 4, 467_850, 1_024, 5, "53"),
    "Table 1, 4x3": ((3, 32), 10, [[3] * 3] * 4, 4, 1_650_570, 3_072, 13, "454"),
    "Table 1, 5x1": ((3, 32), 10, [[3]] * 5, 2, 600_330, 1_280, 6, "54"),
    "Table 1, 5x3": ((3, 32), 10, [[3] * 3] * 5, 2, 2_078_730, 3_840, 16, "456"),
    "Table 1, 6x1": ((3, 32), 10, [[3]] * 6, 1, 744_330, 1_536, 7, "54"),
    "Table 1, 6x3": ((3, 32), 10, [[3] * 3] * 6, 1, 2_518_410, 4_608, 19, "456"),
}
WIDE, NARROW = [512] * 3, [256] * 3
DECODERS = {  # side of the latent map, image, levels, growing convolutions: as above
    "A.5": (3, (1, 28, 28), [WIDE, NARROW, NARROW], 2, 9_448_705, 6_144, 10, "2031"),
    "A.5, 3 channels": (3, (3, 28, 28), [WIDE, NARROW, NARROW], 2, 9_453_315, 6_144, 10, "2035"),
    "A.7": (4, (3, 32, 32), [WIDE, *[NARROW] * 3], 0, 11_225_091, 7_680, 13, "2508"),
    "A.6": (4, (3, 64, 64), [WIDE, *[NARROW] * 4], 0, 12_996_867, 9_216, 16, "9777"),
    "128 px": (4, (3, 128, 128), [WIDE, *[NARROW] * 5], 0, 14_768_643, 10_752, 19, "38853"),
}


def sizes(network: nn.Module, inputs: Tensor) -> tuple[int, int, int, float]:
    """Trained numbers, moving statistics, layers with weights other than norms, millions of multiply-adds of one input."""
    trained = sum(parameter.numel() for parameter in network.parameters())
    statistics = sum(buffer.numel() for name, buffer in network.named_buffers() if name.endswith(("_mean", "_var")))
    layers = sum(isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) for layer in network.modules())
    with FlopCounterMode(display=False) as counter:
        network.eval()(inputs)
    return trained, statistics, layers, counter.get_total_flops() / 2e6


def digits_after_the_point(number: str) -> int:
    return len(number.partition(".")[2])


@pytest.mark.parametrize("name", ENCODERS)
def test_published_counts_of_classifiers(name: str) -> None:
    (channels, side), classes, plan, map_size, *expected, multiply_adds = ENCODERS[name]
    with torch.device("meta"):
        encoder = Encoder(image_channels=channels, num_classes=classes, plan=plan, map_size=map_size, kernel="printed")
        *counts, millions = sizes(encoder, torch.empty(1, channels, side, side))
    assert counts == expected
    assert f"{millions:.{digits_after_the_point(multiply_adds)}f}" == multiply_adds
    assert encoder.num_features == 128 * map_size**2 == encoder.classifier.in_features


@pytest.mark.parametrize("name", DECODERS)
def test_published_counts_of_decoders(name: str) -> None:
    map_size, image_shape, plan, grow, *expected, multiply_adds = DECODERS[name]
    with torch.device("meta"):
        latent_shape = (128, map_size, map_size)
        decoder = Decoder(latent_shape=latent_shape, image_shape=image_shape, plan=plan, grow=grow)
        latents = torch.empty(1, math.prod(latent_shape))
        *counts, millions = sizes(decoder, latents)
        assert decoder(latents).shape == (1, *image_shape)
    assert counts == expected
    assert f"{millions:.0f}" == multiply_adds


def test_count_of_taps_that_never_meet_data() -> None:
    """45 % of the weights of Table A.7's classifier: of 81 and of 121 taps 49 are used; a map of one pixel uses 1."""

    def count(plan: list[list[int]], map_size: int, kernel: str) -> int:
        with torch.device("meta"):
            encoder = Encoder(image_channels=3, num_classes=10, plan=plan, map_size=map_size, kernel=kernel)
        return sum(parameter.numel() for parameter in encoder.parameters())

    assert count(A7, 4, "printed") - count(A7, 4, "used") == 128**2 * (32 + 72) == 1_703_936
    assert count([[3] * 3] * 6, 1, "printed") - count([[3] * 3] * 6, 1, "used") == 3 * 128**2 * 8
    assert count(A6, 4, "printed") == count(A6, 4, "used")


def printed_and_used(plan: list[list[int]], map_size: int) -> tuple[Encoder, Encoder]:
    """The same network twice, in float64; the weights of the second are the middle taps of the first."""
    torch.manual_seed(0)
    settings = {"image_channels": 2, "num_classes": 3, "plan": plan, "map_size": map_size, "width": 4}
    printed, used = (Encoder(**settings, kernel=kernel).double() for kernel in ("printed", "used"))  # type: ignore[arg-type]
    used.load_state_dict(
        {name: middle(value, like=used.state_dict()[name]) for name, value in printed.state_dict().items()}
    )
    return printed, used


def middle(value: Tensor, *, like: Tensor) -> Tensor:
    if value.shape == like.shape:
        return value
    cut = (value.shape[-1] - like.shape[-1]) // 2
    return value[..., cut:-cut, cut:-cut]


@pytest.mark.parametrize(("plan", "map_size", "sides"), [
    (A7, 4, (32, 35)),
    ([[3], [9], [5, 3]], 1, (4, 5, 6, 7)),  # poolings floor: maps of 2 or 3 pixels before the last
])  # fmt: skip
def test_used_taps_do_what_the_printed_kernels_do(plan: list[list[int]], map_size: int, sides: tuple[int, ...]) -> None:
    printed, used = printed_and_used(plan, map_size)
    counts = [sum(parameter.numel() for parameter in network.parameters()) for network in (printed, used)]
    assert counts[1] < counts[0]
    for side in sides:
        images = torch.randn(3, 2, side, side, dtype=torch.float64)
        logits = printed(images), used(images)
        torch.testing.assert_close(*logits, rtol=0, atol=1e-12)
        for network, outputs in zip((printed, used), logits, strict=True):
            network.zero_grad()
            outputs.square().sum().backward()
        for (name, whole), part in zip(printed.named_parameters(), used.parameters(), strict=True):
            assert whole.grad is not None
            assert part.grad is not None
            torch.testing.assert_close(middle(whole.grad, like=part), part.grad, rtol=0, atol=1e-9)
            others = whole.grad.clone()
            middle(others, like=part).zero_()
            assert not others.any(), f"a tap of {name} outside the used ones has a gradient at {side} pixels"


def test_used_taps_start_by_the_law_of_the_printed_kernel() -> None:
    torch.manual_seed(0)
    used = Encoder(image_channels=1, num_classes=2, plan=A7, map_size=4, width=16).trunk
    convolutions = [layer for layer in used if isinstance(layer, nn.Conv2d)]
    for layer, size in zip(convolutions[-2:], (9, 11), strict=True):
        assert layer.kernel_size == (7, 7)
        limit = math.sqrt(6 / (16 * size**2 + 16 * size**2))
        assert layer.weight.abs().max() <= limit
        assert kstest(layer.weight.detach().flatten(), "uniform", args=(-limit, 2 * limit)).pvalue > 1e-3


@pytest.mark.parametrize("layer", [nn.Conv2d(8, 24, 3), nn.ConvTranspose2d(8, 24, 3), nn.Linear(72, 216)])
def test_layers_start_as_in_keras(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear) -> None:
    """fan_in + fan_out = 9 * 8 + 9 * 24 = 72 + 216."""
    torch.manual_seed(0)
    limit = math.sqrt(6 / 288)
    keras_start(layer)  # type: ignore[type-var]
    assert kstest(layer.weight.detach().flatten(), "uniform", args=(-limit, 2 * limit)).pvalue > 1e-3
    assert layer.bias is not None
    assert not layer.bias.any()


def convolve(x: Array, layer: nn.Conv2d) -> Array:
    """'same', one place at a time: [C, H, W] -> [C', H, W]."""
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()  # type: ignore[union-attr]
    reach = weight.shape[-1] // 2
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach)))
    out = np.empty((len(weight), *x.shape[1:]))
    for i, j in np.ndindex(*x.shape[1:]):
        window = padded[:, i : i + weight.shape[2], j : j + weight.shape[3]]
        out[:, i, j] = (weight * window).sum(axis=(1, 2, 3)) + bias
    return out


def convolve_transposed(x: Array, layer: nn.ConvTranspose2d) -> Array:
    """'valid': each pixel paints its kernel, [C, H, W] -> [C', H + 2, W + 2]."""
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()  # type: ignore[union-attr]
    _, height, width = x.shape
    out = np.zeros((weight.shape[1], height + 2, width + 2)) + bias[:, None, None]
    for i, j in np.ndindex(height, width):
        out[:, i : i + 3, j : j + 3] += np.einsum("c,cokl->okl", x[:, i, j], weight)
    return out


def normalise(x: Array, layer: nn.BatchNorm2d) -> Array:
    """By the moving statistics, with Keras' epsilon."""
    mean, variance, gain, shift = (
        value.detach().numpy()[:, None, None]
        for value in (layer.running_mean, layer.running_var, layer.weight, layer.bias)  # type: ignore[union-attr]
    )
    return (x - mean) / np.sqrt(variance + 1e-3) * gain + shift


def rectify(x: Array) -> Array:
    return np.where(x >= 0, x, 0.3 * x)


def pool(x: Array) -> Array:
    channels, height, width = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return x.reshape(channels, height // 2, 2, width // 2, 2).max(axis=(2, 4))


def double(x: Array) -> Array:
    return x.repeat(2, axis=1).repeat(2, axis=2)


def of_kind(network: nn.Module, *kinds: type[nn.Module]) -> list[nn.Module]:
    return [layer for layer in network.modules() if isinstance(layer, kinds)]


def with_statistics(network: nn.Module) -> nn.Module:
    """In float64 and evaluation mode, with norms that do something and biases that are seen."""
    for layer in of_kind(network, nn.BatchNorm2d):
        for value in (layer.running_mean, layer.bias):
            nn.init.normal_(value)  # type: ignore[arg-type]
        for value in (layer.running_var, layer.weight):
            nn.init.uniform_(value, 0.01, 2.0)  # type: ignore[arg-type]
    for layer in of_kind(network, nn.Conv2d, nn.ConvTranspose2d, nn.Linear):
        nn.init.normal_(layer.bias)  # type: ignore[arg-type]
    return network.double().eval()


def test_encoder_against_its_layers_by_hand() -> None:
    """Convolution, norm, rectifier; pooling floors; the latent is the last map in the order of channels, rows, columns."""
    torch.manual_seed(0)
    network = with_statistics(Encoder(image_channels=2, num_classes=3, plan=[[3, 3], [5]], map_size=3, width=3))
    assert isinstance(network, Encoder)
    image = torch.randn(2, 7, 7, dtype=torch.float64)
    first, second, third = of_kind(network, nn.Conv2d)
    norms: list[Callable[[Array], Array]] = [
        lambda x, norm=norm: rectify(normalise(x, norm))
        for norm in of_kind(network, nn.BatchNorm2d)  # type: ignore[misc]
    ]
    h = norms[0](convolve(image.numpy(), first))  # type: ignore[arg-type]
    h = pool(norms[1](convolve(h, second)))  # type: ignore[arg-type]
    h = norms[2](convolve(h, third))  # type: ignore[arg-type]
    np.testing.assert_allclose(network.features(image[None])[0].detach(), h.reshape(-1), rtol=0, atol=1e-9)
    logits = network.classifier.weight.detach().numpy() @ h.reshape(-1) + network.classifier.bias.detach().numpy()
    np.testing.assert_allclose(network(image[None])[0].detach(), logits, rtol=0, atol=1e-9)


def test_decoder_against_its_layers_by_hand() -> None:
    """Convolution, rectifier, norm: the other order; 2 -> 4 by a transposed convolution, 4 -> 8 by doubling."""
    torch.manual_seed(0)
    decoder = Decoder(latent_shape=(2, 2, 2), image_shape=(2, 8, 8), plan=[[3, 2], [4]], grow=1)
    network = with_statistics(decoder)
    latent = torch.randn(8, dtype=torch.float64)
    (growing,), (plain, large, last) = of_kind(network, nn.ConvTranspose2d), of_kind(network, nn.Conv2d)
    norms = of_kind(network, nn.BatchNorm2d)
    h = normalise(rectify(convolve_transposed(latent.numpy().reshape(2, 2, 2), growing)), norms[0])  # type: ignore[arg-type]
    h = double(normalise(rectify(convolve(h, plain)), norms[1]))  # type: ignore[arg-type]
    h = normalise(rectify(convolve(h, large)), norms[2])  # type: ignore[arg-type]
    image = 1 / (1 + np.exp(-convolve(h, last)))  # type: ignore[arg-type]
    np.testing.assert_allclose(network(latent[None])[0].detach(), image, rtol=0, atol=1e-9)


def test_moving_statistics_follow_as_in_keras() -> None:
    """A momentum of 0.99 keeps that share of the old mean; training mode takes the batch's."""
    torch.manual_seed(0)
    encoder = Encoder(image_channels=1, num_classes=2, plan=[[3]], map_size=4, width=2)
    images = torch.randn(64, 1, 4, 4)
    seen = encoder.trunk[0](images).mean(dim=(0, 2, 3)).detach()
    training = encoder.features(images)
    torch.testing.assert_close(encoder.trunk[1].running_mean, 0.01 * seen)
    assert not torch.allclose(training, encoder.eval().features(images))
    quick = Encoder(image_channels=1, num_classes=2, plan=[[3]], map_size=4, width=2, batch_momentum=0.5)
    seen = quick.trunk[0](images).mean(dim=(0, 2, 3)).detach()
    quick(images)
    torch.testing.assert_close(quick.trunk[1].running_mean, 0.5 * seen)


def test_group_norm_treats_each_image_alone_and_decodes_what_is_encoded() -> None:
    torch.manual_seed(0)
    encoder = Encoder(image_channels=1, num_classes=4, plan=A5, map_size=1, width=16, normalization="group")
    decoder = Decoder(
        latent_shape=encoder.latent_shape, image_shape=(1, 8, 8), plan=[[16], [8], [8], [8]], normalization="group"
    )
    images = torch.randn(5, 1, 8, 8)
    latents = encoder.features(images)
    torch.testing.assert_close(latents[:2], encoder.features(images[:2]), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(latents[0], latents[1])
    drawn = decoder(latents)
    torch.testing.assert_close(drawn[:2], decoder(latents[:2]), rtol=1e-4, atol=1e-5)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert not of_kind(encoder, nn.BatchNorm2d)
    assert grad_cam(encoder, images, torch.arange(5) % 4).shape == (5, 1, 1)


def encoder(**changes: object) -> Encoder:
    settings = {"image_channels": 1, "num_classes": 4, "plan": [[3], [3]], "map_size": 3, "width": 8}
    return Encoder(**(settings | changes))  # type: ignore[arg-type]


def decoder(**changes: object) -> Decoder:
    settings = {"latent_shape": (8, 3, 3), "image_shape": (1, 28, 28), "plan": [[8, 8], [8], [8]], "grow": 2}
    return Decoder(**(settings | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(("changes", "message"), [
    ({"plan": []}, r"plan has the kernel sizes of the convolutions of each level, at least one a level, got \[\]"),
    ({"plan": [[3], []]}, r"at least one a level, got \[\[3\], \[\]\]"),
    ({"plan": [[3], [0]]}, r"at least one a level, got \[\[3\], \[0\]\]"),
    ({"plan": [[3], [4]]}, "only with an odd kernel, got 4 in the plan"),
    ({"map_size": 0}, "map_size must be at least 1, got 0"),
    ({"width": 0}, "width must be at least 1, got 0"),
    ({"kernel": "all"}, "unknown kernel 'all': choose one of printed, used"),
    ({"normalization": "layer"}, "unknown normalization 'layer': choose one of batch, group"),
    ({"batch_momentum": 0.0}, "above 0 and at most 1, got 0.0"),
    ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
])  # fmt: skip
def test_refused_classifiers(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encoder(**changes)


@pytest.mark.parametrize(("height", "width", "message"), [
    (8, 8, "the plan takes images of 8 x 8 pixels to maps of 4 x 4, and map_size is 3: set map_size to 4"),
    (6, 8, "images of 6 x 8 pixels to maps of 3 x 4, and map_size is 3: give square images, or fewer levels"),
    (1, 1, "to maps of 0 x 0, and map_size is 3: give square images, or fewer levels"),
])  # fmt: skip
def test_refused_images(height: int, width: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encoder()(torch.zeros(1, 1, height, width))


@pytest.mark.parametrize(("changes", "message"), [
    ({"plan": [[8], []]}, "plan has the channels of the convolutions of each level"),
    ({"grow": -1}, "grow must be at least 0, got -1"),
    ({"grow": 3}, "grow counts convolutions of the plan's first level, which has 2, got 3: give that level more"),
    ({"grow": 1}, "a 3-level plan with grow=1 ends at 20 x 20 pixels from a map of 3 x 3, and images have 28 x 28: "
                  "take a 3-level plan with grow=2$"),
    ({"image_shape": (3, 8, 8), "latent_shape": (8, 2, 2)},
     "take a 1-level plan with grow=3 or a 2-level plan with grow=1 or a 3-level plan with grow=0$"),
    ({"image_shape": (3, 9, 8)}, "images have 9 x 8: no plan leads there, take a classifier with a latent of another size"),
    ({"normalization": "layer"}, "unknown normalization 'layer': choose one of batch, group"),
])  # fmt: skip
def test_refused_decoders(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decoder(**changes)
