"""Penalties against closed forms, and their second derivatives against differences."""

from __future__ import annotations

import pytest
import torch

from generative.adversarial.penalties import gradient_penalty, r1_penalty


def test_r1_of_a_known_critic() -> None:
    """D(x) = sum a x^2 has the gradient 2 a x: the penalty is E sum (2 a x)^2, and has a gradient in a."""
    images = torch.randn(5, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    a = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    penalty = r1_penalty((a * images.square()).flatten(1).sum(dim=1), images)
    expected = (2 * 0.7 * images).square().flatten(1).sum(dim=1).mean()
    torch.testing.assert_close(penalty, expected)
    (slope,) = torch.autograd.grad(penalty, a)
    torch.testing.assert_close(slope, 2 * expected / 0.7)


def test_gradient_penalty_of_a_linear_critic() -> None:
    """D(x) = a . x has the gradient a everywhere: (|a| - 1)^2, wherever the points lie, and 2 (|a| - 1) a / |a| by a."""
    real, fake = torch.randn(2, 4, 1, 2, 2, dtype=torch.float64)
    a = torch.tensor([1.0, -2.0, 2.0, 4.0], dtype=torch.float64, requires_grad=True)  # of length 5
    penalty = gradient_penalty(lambda x: x.flatten(1) @ a, real, fake, torch.rand(4, dtype=torch.float64))
    assert penalty.item() == pytest.approx(16.0, abs=1e-12)
    (slope,) = torch.autograd.grad(penalty, a)
    torch.testing.assert_close(slope, 8 * a.detach() / 5)


def test_gradient_penalty_looks_between_an_image_and_its_fake() -> None:
    """D(x) = x^2 / 2 has the slope |x|: at share s between r and f it is |s r + (1 - s) f|."""
    real, fake = torch.tensor([[2.0], [5.0]]).view(2, 1, 1, 1), torch.tensor([[-2.0], [1.0]]).view(2, 1, 1, 1)
    shares = torch.tensor([1.0, 0.25])
    penalty = gradient_penalty(lambda x: x.square().flatten(1).sum(dim=1) / 2, real, fake, shares)
    assert penalty.item() == pytest.approx(((2 - 1) ** 2 + (2 - 1) ** 2) / 2)
    shares = torch.tensor([0.0, 1.0])
    penalty = gradient_penalty(lambda x: x.square().flatten(1).sum(dim=1) / 2, real, fake, shares)
    assert penalty.item() == pytest.approx(((2 - 1) ** 2 + (5 - 1) ** 2) / 2)


def test_gradient_penalty_has_a_derivative_by_the_critics_weights() -> None:
    """Of a critic with a smooth kink, against differences: the training step needs this second derivative."""
    real, fake = torch.randn(2, 3, 1, 2, 2, dtype=torch.float64)
    shares = torch.rand(3, dtype=torch.float64)

    def penalty(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return gradient_penalty(lambda x: torch.tanh(x.flatten(1) @ first) @ second, real, fake, shares)

    weights = (torch.randn(4, 5, dtype=torch.float64), torch.randn(5, dtype=torch.float64))
    assert torch.autograd.gradcheck(penalty, tuple(weight.requires_grad_() for weight in weights))


def test_gradient_penalty_leaves_no_gradient_in_the_fakes() -> None:
    real, fake = torch.randn(2, 3, 1, 2, 2)
    fake.requires_grad_()
    a = torch.randn(4, requires_grad=True)
    penalty = gradient_penalty(lambda x: (x.flatten(1) @ a).square(), real, fake, torch.rand(3))
    penalty.backward()
    assert fake.grad is None
    assert a.grad is not None
