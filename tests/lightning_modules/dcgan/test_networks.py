"""DCGAN's networks: the published counts of parameters, sizes, classes, spectral norms and two kinds of statistics."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_modules.dcgan.networks import Critic, Generator, batch_statistics


def count(kind: type[nn.Module], **settings: Any) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in kind(**settings).parameters() if parameter.requires_grad)


@pytest.mark.parametrize(
    ("size", "latent_dim", "published"), [(64, 100, 5_135_363), (64, 200, 5_954_563), (32, 100, 4_514_819)]
)
def test_the_generator_has_the_parameters_of_the_base_code(size: int, latent_dim: int, published: int) -> None:
    assert count(Generator, image_shape=(3, size, size), latent_dim=latent_dim) == published


@pytest.mark.parametrize(("size", "published"), [(64, 4_316_545), (32, 4_310_401)])
def test_the_critic_has_the_parameters_of_the_base_code(size: int, published: int) -> None:
    assert count(Critic, image_shape=(3, size, size)) == published


def test_kernels_of_four_without_biases_have_the_parameters_of_the_tutorial() -> None:
    settings: dict[str, Any] = {"image_shape": (3, 64, 64), "kernel_size": 4, "bias": False}
    assert count(Generator, **settings) == 3_576_704
    assert count(Critic, **settings) == 2_765_568


@pytest.mark.parametrize("kernel_size", [4, 5])
@pytest.mark.parametrize("size", [4, 8, 12, 32, 64])
def test_images_of_every_size_that_halves_evenly(size: int, kernel_size: int) -> None:
    settings: dict[str, Any] = {"image_shape": (2, size, size), "width": 2, "kernel_size": kernel_size}
    images = Generator(latent_dim=3, **settings)(torch.randn(2, 3))
    assert images.shape == (2, 2, size, size)
    assert images.abs().max() <= 1
    assert Critic(**settings)(images).shape == (2,)
    assert Critic(num_outputs=5, **settings)(images).shape == (2, 5)


@pytest.mark.parametrize("shape", [(3, 9, 9), (3, 2, 2), (3, 8, 16)])
def test_other_sizes_are_refused(shape: tuple[int, int, int]) -> None:
    for network in (Generator, Critic):
        with pytest.raises(
            ValueError, match=f"square images of an even size from 4 pixels.*got {shape[1]} x {shape[2]}"
        ):
            network(image_shape=shape)


@pytest.mark.parametrize(
    ("network", "settings", "message"),
    [
        (Generator, {"latent_dim": 0}, "latent_dim must be at least 1, got 0"),
        (
            Generator,
            {"normalization": "instance"},
            "unknown normalization 'instance': choose one of batch, group, none",
        ),
        (Generator, {"kernel_size": 3}, "unknown kernel_size 3: choose one of 4, 5"),
        (Critic, {"kernel_size": 6}, "unknown kernel_size 6: choose one of 4, 5"),
        (Critic, {"width": 0}, "width must be at least 1, got 0"),
        (Critic, {"num_outputs": -1}, "num_outputs must be at least 1, got -1"),
    ],
)
def test_settings_that_no_network_has_are_refused(network: type, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(image_shape=(1, 8, 8), **settings)


def test_weights_start_small_and_biases_at_zero() -> None:
    torch.manual_seed(0)
    for network in (Generator(image_shape=(3, 16, 16)), Critic(image_shape=(3, 16, 16))):
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                deviations = layer.weight.numel() ** 0.5  # of the mean square, in units of its own error
                assert abs(layer.weight.square().mean() / 0.02**2 - 1) < 5 * 2**0.5 / deviations
                assert layer.bias is not None
                assert not layer.bias.any()


@pytest.mark.parametrize("normalization", ["none", "group", "batch"])
def test_classes_enter_both_networks(normalization: str) -> None:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"image_shape": (1, 8, 8), "num_classes": 3, "width": 8, "normalization": normalization}
    generator, critic = Generator(**settings).eval(), Critic(**settings).eval()
    z, labels = torch.randn(4, 100), torch.tensor([0, 1, 2, 0])
    images = generator(z, labels)
    others = (labels + 1) % 3
    assert (images - generator(z, others)).flatten(1).abs().amax(dim=1).min() > 1e-6
    assert (critic(images, labels) - critic(images, others)).abs().min() > 1e-6
    for network, inputs in ((generator, z), (critic, images)):
        with pytest.raises(ValueError, match="this network is conditional: give a label below 3"):
            network(inputs)
        with pytest.raises(RuntimeError):
            network(inputs, labels + 3)


def largest_singular_values(critic: Critic) -> list[float]:
    """Of each layer's weights as a matrix [outputs, all else]."""
    return [float(torch.linalg.matrix_norm(layer.weight.flatten(1), 2)) for layer in [*critic.halvings, critic.linear]]


def test_spectral_norm_brings_every_layer_to_one() -> None:
    """Power iterations go on with each forward pass of the training; 30 of them settle to within a thousandth."""
    torch.manual_seed(0)
    settings: dict[str, Any] = {"image_shape": (1, 16, 16), "width": 4, "normalization": "none"}
    critic, plain = Critic(spectral_norm=True, **settings), Critic(**settings)
    images = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        for _ in range(30):
            critic(images)
        assert largest_singular_values(critic) == pytest.approx([1.0] * 4, abs=1e-3)
        assert max(largest_singular_values(plain)) < 0.5, "without it they are where they start"
        for parameter in critic.parameters():  # a step later the norm is 1 again
            parameter.mul_(3.0)
        critic(images)
        assert largest_singular_values(critic) == pytest.approx([1.0] * 4, abs=1e-3)


def first_statistics(generator: Generator, z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel after the first batch norm."""
    h = generator.norms[0](generator.unflatten(generator.linear(z)))
    return h.mean(dim=(0, 2, 3)), h.std(dim=(0, 2, 3))


def test_statistics_of_the_batch_and_running_ones() -> None:
    torch.manual_seed(0)
    generator = Generator(image_shape=(1, 8, 8), width=4).eval()
    z = 5 * torch.randn(64, 100)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    with torch.no_grad():
        running = generator(z)
        with batch_statistics(generator):
            by_batch = generator(z)
            mean, deviation = first_statistics(generator, z)
        assert torch.equal(generator(z), running)
    torch.testing.assert_close(mean, torch.zeros(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(deviation, torch.ones(8), atol=0.01, rtol=0)
    assert not torch.allclose(by_batch, running)
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items()), "nothing has moved"
