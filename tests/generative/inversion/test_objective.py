"""The loss of an image that is looked for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from generative.inversion.measurements import Grey, Masked
from generative.inversion.objective import ReconstructionLoss


def images(seed: int) -> Tensor:
    return torch.rand(3, 3, 5, 5, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def stages(x: Tensor) -> list[Tensor]:
    return [x, x.roll(1, dims=3) * x]


def test_pixels_are_a_mean_of_squares_or_of_amounts() -> None:
    x, y = images(0), images(1)
    squares, amounts = (ReconstructionLoss(pixel).to(y)(x) for pixel in ("l2", "l1"))
    torch.testing.assert_close(squares, (x - y).square().mean(dim=(1, 2, 3)))
    torch.testing.assert_close(amounts, (x - y).abs().mean(dim=(1, 2, 3)))


def test_a_network_adds_its_distance() -> None:
    x, y = images(0), images(1)
    loss = ReconstructionLoss("l1", 2.0, stages)
    assert loss.to(y)(y).tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    once, twice = (ReconstructionLoss("l1", weight, stages).to(y)(x) for weight in (1.0, 2.0))
    pixels = ReconstructionLoss("l1").to(y)(x)
    torch.testing.assert_close(twice - pixels, 2 * (once - pixels))
    assert (once > pixels).all()
    moving = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss.to(y)(moving).sum(), moving)
    assert gradient.isfinite().all()


def test_hidden_pixels_count_as_equal_in_every_part() -> None:
    x, y = images(0), images(1)
    known = torch.rand(3, 1, 5, 5, generator=torch.Generator().manual_seed(3)) > 0.5
    loss = ReconstructionLoss("l2", 1.0, stages)
    through = loss.to(y, through=Masked(known))
    assert torch.equal(through(x), loss.to(torch.where(known, y, 9.0), through=Masked(known))(x))
    assert torch.equal(through(x), through(torch.where(known, x, -9.0)))
    pixels = ReconstructionLoss().to(y, through=Masked(known))(x)
    torch.testing.assert_close(pixels, (known * (x - y)).square().sum(dim=(1, 2, 3)) / 75)


def test_another_measurement_is_compared_as_measured() -> None:
    x, y = images(0), images(1)
    expected = (Grey()(x) - Grey()(y)).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(ReconstructionLoss().to(y, through=Grey())(x), expected)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="pixel must be one of l2, l1, got 'l3'"):
        ReconstructionLoss("l3")
    with pytest.raises(ValueError, match="perceptual must be finite and at least 0, got inf"):
        ReconstructionLoss("l2", float("inf"))
