"""Deep geometric moments as a critic: scores of an image's own, two derivatives, and activations that keep their size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from generative.adversarial.penalties import r1_penalty
from launch.checkpoint import load_method
from launch.compose import compose
from lightning_modules.dgm.critic import DGMCritic
from lightning_modules.dgm.networks import Level
from lightning_modules.poly_inr.module import PolyINR
from train import train

SHAPE = (1, 8, 8)


def critic(**settings: object) -> DGMCritic:
    torch.manual_seed(0)
    return DGMCritic(**({"image_shape": SHAPE, "num_classes": 10, "channels": 16} | settings))  # type: ignore[arg-type]


def images(count: int = 8) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_scores_are_each_images_own() -> None:
    alone, labels = critic(group_size=0), torch.arange(8)
    together = alone(images(), labels)
    torch.testing.assert_close(alone(images()[3:4], labels[3:4]), together[3:4])
    grouped = critic(group_size=4)
    swapped = images()[[0, 1, 2, 3, 7, 6, 5, 4]]
    torch.testing.assert_close(grouped(swapped, labels)[:4], grouped(images(), labels)[:4])
    dependent = (nn.modules.batchnorm._BatchNorm, nn.Dropout, nn.GroupNorm)
    assert not any(isinstance(module, dependent) for module in alone.modules())


def test_labels_and_sizes() -> None:
    assert critic(num_classes=0)(images()).shape == (8,)
    scores = [critic()(images(), torch.full((8,), label)) for label in (1, 2)]
    assert not torch.allclose(*scores)
    with pytest.raises(ValueError, match="this critic is conditional"):
        critic()(images())
    with pytest.raises(ValueError, match="a batch of 6 cannot be cut into groups of 4"):
        critic()(images(6), torch.arange(6))
    with pytest.raises(ValueError, match="do not fill a grid of 3 x 3 patches"):
        critic(patch_size=3)


@pytest.mark.parametrize("settings", [{}, {"variant": "released"}, {"affine": False}, {"moments": False}])
def test_gradients_of_the_penalty(settings: dict[str, object]) -> None:
    """Of gamma / 2 E |grad D|^2 by every weight that it reaches, against differences of the penalty itself."""
    tested = critic(**settings).double()
    with torch.no_grad():  # biases of 0 put the grid's first corner, (0, 0), on the kink of every ReLU
        for parameter in tested.parameters():
            parameter += 0.01 * torch.randn(parameter.shape, dtype=parameter.dtype)
    labels = torch.arange(8)

    def penalty() -> Tensor:
        real = images().double().requires_grad_()
        return r1_penalty(tested(real, labels), real)

    parameters = {name: p for name, p in tested.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(penalty(), list(parameters.values()), allow_unused=True)
    reached = {name for name, gradient in zip(parameters, gradients, strict=True) if gradient is not None}
    assert any("stem" in name for name in reached)
    if settings.get("moments", True):
        assert any("bases" in name for name in reached)
    directions = [torch.randn(p.shape, dtype=p.dtype) for p in parameters.values()]
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True) if g is not None)
    step, values = 1e-7, []
    for sign in (1, -1):
        with torch.no_grad():
            for parameter, direction in zip(parameters.values(), directions, strict=True):
                parameter += sign * step * direction
        values.append(float(penalty().detach()))
        with torch.no_grad():
            for parameter, direction in zip(parameters.values(), directions, strict=True):
                parameter -= sign * step * direction
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize("blocks", [[1, 1], [2, 2, 2, 2], [3, 4, 6, 3]])
def test_activations_keep_their_size_without_norms(blocks: list[int]) -> None:
    network = critic(channels=64, blocks=blocks).network
    with torch.no_grad():
        outputs = list(network.walk(images()))
    for output in outputs:
        assert 0.2 < float(output.features.square().mean().sqrt()) < 10
        assert 0.05 < float(output.moments.square().mean().sqrt()) < 20
    assert all(isinstance(level, Level) for level in network.levels)


def test_the_experiment_trains_for_two_steps(tmp_path: Path) -> None:
    settings = ["max_kimg=0.128", "callbacks.metrics.test_metrics=[fd]", f"run_dir={tmp_path / 'run'}"]
    train(compose("train", ["experiment=poly_inr/digits_dgm_critic", *settings]))
    method, _ = load_method(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert isinstance(method, PolyINR)
    assert isinstance(method.critic, DGMCritic)
    assert method.images_seen == 128
    start = critic(channels=32)
    moved = {
        name
        for (name, after), before in zip(method.critic.named_parameters(), start.parameters(), strict=True)
        if not torch.equal(after, before)
    }
    assert {name for name, _ in start.named_parameters()} == moved, "every weight learns"
