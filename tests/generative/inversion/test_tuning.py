"""Pivotal tuning moves some parameters for a while."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from generative.inversion.tuning import tuned


def network() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 2).double().requires_grad_(False)


INPUTS = torch.rand(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def distance(layer: nn.Linear, rows: slice = slice(None)) -> torch.Tensor:
    return (layer(INPUTS[rows]) - 0.5).square().sum()


def test_weights_follow_and_come_back() -> None:
    layer, own = network(), network().state_dict()
    with tuned([layer.weight], [lambda: distance(layer)], num_images=4, steps=50, rate=0.05):
        assert distance(layer) < 0.5 * distance(network())
        assert not torch.equal(layer.weight, own["weight"])
        assert torch.equal(layer.bias, own["bias"])
        assert not layer.weight.requires_grad
    assert torch.equal(layer.weight, own["weight"])
    assert layer.weight.grad is None
    assert not layer.weight.requires_grad


def test_they_come_back_whatever_happens() -> None:
    layer, own = network(), network().state_dict()
    with (
        pytest.raises(RuntimeError, match="stop"),
        tuned([layer.weight], [lambda: distance(layer)], num_images=4, steps=3, rate=0.1),
    ):
        raise RuntimeError("stop")
    assert torch.equal(layer.weight, own["weight"])

    def broken() -> torch.Tensor:
        raise RuntimeError("no loss")

    losses = [lambda: distance(layer), broken]
    with pytest.raises(RuntimeError, match="no loss"), tuned([layer.weight], losses, num_images=4, steps=3, rate=0.1):
        pass
    assert torch.equal(layer.weight, own["weight"])
    assert not layer.weight.requires_grad


def test_batches_are_taken_together() -> None:
    found = []
    for rows in ([slice(None)], [slice(0, 3), slice(3, 4)]):
        layer = network()
        losses = [lambda layer=layer, part=part: distance(layer, part) for part in rows]
        with tuned([layer.weight], losses, num_images=4, steps=20, rate=0.01):
            found.append(layer.weight.clone())
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)


def test_no_steps_change_nothing() -> None:
    layer = network()
    with tuned([layer.weight], [], num_images=1, steps=0, rate=0.1):
        assert torch.equal(layer.weight, network().weight)


def test_bad_input() -> None:
    with (
        pytest.raises(ValueError, match="tuning_steps must be at least 0, got -1"),
        tuned([], [], num_images=1, steps=-1, rate=1),
    ):
        pass
    with (
        pytest.raises(ValueError, match="tuning_rate must be positive and finite, got 0"),
        tuned([], [], num_images=1, steps=1, rate=0),
    ):
        pass
