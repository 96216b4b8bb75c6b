"""The rectified flow on principal directions: normal before it learns, and of two modes after."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from generative.latents.addressed import normals
from generative.latents.bank import Bank
from generative.latents.flow import Flow, Velocity, fit, flowed, root_variance
from generative.latents.subspaces import principal_directions
from generative.randomness import Stream
from tests.generative.latents.clouds import cloud

STREAM = Stream(9, "tests")
LABELS = torch.zeros(150, dtype=torch.int64)


def test_an_untrained_flow_is_the_normal_law() -> None:
    bank = cloud(30, dim=6)
    drawn = Flow(bank, steps=0, directions=6).draw(range(20), LABELS[:20], STREAM).latents
    directions = principal_directions(bank.centred(0), 6)
    deviations = (bank.centred(0) @ directions.T).square().mean(dim=0).sqrt()
    noise = torch.stack([normals(STREAM.branch("class 0").branch("point"), number, 6) for number in range(20)])
    torch.testing.assert_close(drawn, bank.mean(0) + noise * deviations @ directions, rtol=0, atol=1e-9)


class TowardsPoint(torch.nn.Module):
    """The exact velocity where all points are ``x``: x - e = (x - z_t) / (1 - t), less what a normal law has."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.x = x

    def forward(self, y: Tensor, t: Tensor) -> Tensor:
        r = root_variance(t)
        return (self.x - r * y) / (1.0 - t) - (2.0 * t - 1.0) / r * y


def test_the_exact_velocity_of_a_point_leads_every_noise_there() -> None:
    x = torch.tensor([0.5, -1.5, 2.0], dtype=torch.float64)
    for number in range(5):
        start = normals(STREAM, number, 3)
        assert float((flowed(TowardsPoint(x), start) - x).norm() / (start - x).norm()) < 0.05  # of 50 steps


def test_a_flow_draws_two_modes_that_the_normal_law_joins() -> None:
    generator = torch.Generator().manual_seed(0)
    latents = 0.3 * torch.randn(200, 4, generator=generator)
    latents[:, 0] += torch.where(torch.arange(200) < 120, -2.0, 3.0)
    bank = Bank(latents, torch.zeros(200, dtype=torch.int64))
    shares = []
    for steps in (0, 900):
        with torch.inference_mode():  # as a method draws
            drawn = Flow(bank, steps=steps, directions=2, width=64).draw(range(150), LABELS, STREAM).latents[:, 0]
        shares.append(float(((drawn > -1.0) & (drawn < 2.0)).double().mean()))
        below = float((drawn < 0.5).double().mean())
    assert shares[0] > 0.25
    assert shares[1] < 0.15
    assert below == pytest.approx(0.6, abs=0.16)  # four standard errors


def test_what_is_learnt_hangs_on_the_seed_alone_and_leaves_the_random_state() -> None:
    points = torch.randn(50, 3, generator=torch.Generator().manual_seed(1)).double()
    state = torch.get_rng_state()
    one, same, other = (fit(points, steps=3, width=8, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in one.state_dict().items():
        assert value.dtype == torch.float64
        assert torch.equal(value, same.state_dict()[name])
    assert not torch.equal(one.state_dict()["layers.0.weight"], other.state_dict()["layers.0.weight"])
    assert isinstance(one, Velocity)
    assert not any(value.requires_grad for value in one.parameters())


def test_settings_that_make_no_flow_are_refused() -> None:
    bank = cloud(4, dim=2)
    with pytest.raises(ValueError, match="steps must be at least 0, got -1"):
        Flow(bank, steps=-1)
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        Flow(bank, width=0)
