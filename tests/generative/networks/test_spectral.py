"""Spectral normalisation against singular values, and that only an iteration that is asked for moves it."""

from __future__ import annotations

import torch
from torch import nn

from generative.networks.spectral import advance, spectral


def largest(weight: torch.Tensor) -> float:
    return float(torch.linalg.matrix_norm(weight.flatten(1), ord=2))


def test_the_largest_singular_value_is_one() -> None:
    torch.manual_seed(0)
    for layer in (nn.Conv2d(3, 8, 3), nn.Linear(20, 5), nn.Embedding(4, 6)):
        kept = spectral(layer)
        for _ in range(50):
            advance(kept)
        assert abs(largest(kept.weight) - 1) < 1e-4


def test_it_follows_a_weight_when_it_is_asked_to() -> None:
    torch.manual_seed(1)
    layer = spectral(nn.Conv2d(4, 6, 3)).train()
    original = layer.parametrizations["weight"].original  # type: ignore[index]
    with torch.no_grad():
        original.copy_(torch.randn_like(original))
    before = layer.weight.clone()
    assert torch.equal(layer.weight, before), "forward passes leave it as it is, in training too"
    errors = []
    for _ in range(60):
        errors.append(abs(largest(layer.weight) - 1))
        advance(layer)
    assert errors[0] > 0.05
    assert errors[-1] < 1e-4


def test_its_gradient_is_that_of_the_quotient() -> None:
    """Of W / (u^T W v) with u and v held: no component along itself."""
    layer = spectral(nn.Linear(5, 3).double())
    original = layer.parametrizations["weight"].original  # type: ignore[index]
    loss = (layer.weight * torch.randn(3, 5, dtype=torch.float64)).sum()
    (gradient,) = torch.autograd.grad(loss, original)
    assert abs(float((gradient * original).sum())) < 1e-9, "a larger weight is the same weight"
