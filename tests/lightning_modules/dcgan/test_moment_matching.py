"""Moment matching: by a fixed kernel without a critic, and by a learned one that is kept from running away."""

from __future__ import annotations

import pytest
import torch

from generative.adversarial.mmd import gaussian_mmd, witness
from generative.randomness import Stream
from launch.build import build
from launch.compose import compose, plain
from lightning_modules.dcgan.moment_matching import MomentMatching
from tests.support.ranks import fit

SMALL = ("method=moment_matching", "datamodule.batch_size=16", "method.generator.width=4")
LEARNED = (*SMALL, "method.critic.width=4")
FIXED = (*SMALL, "method.critic=null", "method.critic_optimizer=null", "method.penalty_weight=0")


def built(*overrides: str) -> MomentMatching:
    config = plain(compose("train", ["experiment=none", "method=moment_matching", "run_dir=run", *overrides]))
    torch.manual_seed(0)
    method = build(config)[1]
    assert isinstance(method, MomentMatching)
    return method


def test_a_fixed_kernel_compares_pixels_in_groups() -> None:
    method = built(*FIXED)
    assert method.critic is None
    real, fake = torch.rand(2, 16, 1, 8, 8) * 2 - 1
    part = {"image": real, "label": None}
    method.draw = lambda _: fake  # type: ignore[method-assign]
    halves = [
        gaussian_mmd(a.flatten(1)[None], b.flatten(1)[None]) for a, b in ((real[:8], fake[:8]), (real[8:], fake[8:]))
    ]
    assert method.generator_objective(part).item() == pytest.approx(float(sum(halves)) / 2, abs=1e-6)
    with pytest.raises(ValueError, match="a batch of 12 cannot be cut into groups of 8"):
        method.generator_objective({"image": real[:12], "label": None})


def test_a_fixed_kernel_learns_the_same_in_parts() -> None:
    whole, *_ = fit(*FIXED, num_steps=3)
    parts, *_ = fit(*FIXED, "+method.accumulate=2", num_steps=3)
    for name, value in whole.weights.items():
        torch.testing.assert_close(parts.weights[name], value, rtol=1e-9, atol=1e-9, msg=name)
    assert not any(name.startswith("critic") for name in whole.weights)
    assert set(whole.losses[0]) == {"loss/generator"}


def test_a_fixed_kernel_makes_the_discrepancy_small() -> None:
    outcome, *_ = fit(*FIXED, "method.generator_optimizer.lr=0.003", num_steps=40)
    losses = [step["loss/generator"] for step in outcome.losses]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


def test_critic_and_generator_have_opposite_ends() -> None:
    method = built(*LEARNED, "method.penalty_weight=0")
    real = torch.rand(16, 1, 8, 8) * 2 - 1
    part = {"image": real, "label": None, "first_number": 0}
    critic, generator = method.critic_objective(part), method.generator_objective(part)
    assert critic.item() == pytest.approx(-generator.item(), abs=1e-9)
    assert generator.item() != 0


def test_the_generator_takes_no_gradient_through_the_images() -> None:
    """Features of the images are constants to it: its graph holds one batch, not two."""
    method = built(*LEARNED)
    part = {"image": torch.rand(16, 1, 8, 8, requires_grad=True), "label": None, "first_number": 0}
    method.generator_objective(part).backward()
    assert part["image"].grad is None


def test_the_penalty_is_on_the_slope_of_the_witness() -> None:
    """Against differences of E k(f(p), f(x)) - E k(f(p), f(y)) along each pixel, in float64."""
    method = built(*LEARNED, "method.group_size=4", "method.critic.normalization=none").double()
    real, fake = torch.rand(2, 4, 1, 8, 8, dtype=torch.float64) * 2 - 1
    assert method.critic is not None
    with torch.no_grad():
        for parameter in method.critic.parameters():
            parameter.mul_(5)  # so that the witness is not flat
    method.draw = lambda _: fake  # type: ignore[method-assign]
    part = {"image": real, "label": None, "first_number": 3}
    loss = method.critic_objective(part)
    plain_loss, penalty = (torch.stack(method.recorded[name])[0] for name in ("loss/critic", "penalty/gradient"))
    assert loss.item() == pytest.approx((plain_loss + penalty).item(), abs=1e-12)

    shares = Stream(method.seed, "between").uniform(3, 4).double().view(4, 1, 1, 1)
    between = shares * real + (1 - shares) * fake
    features = [method.features(images, None) for images in (real, fake)]
    slopes = torch.zeros(4, 64, dtype=torch.float64)
    with torch.no_grad():
        for pixel in range(64):
            step = torch.zeros(64, dtype=torch.float64)
            step[pixel] = 1e-6
            up, down = (
                witness(method.features(between + sign * step.view(1, 1, 8, 8), None), *features) for sign in (1, -1)
            )
            slopes[:, pixel] = (up - down)[0] / 2e-6
    expected = (slopes.norm(dim=1) - 1).square().mean()
    assert slopes.norm(dim=1).max() > 1e-3
    assert penalty.item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["method.bandwidths=[2, 0]"], r"bandwidths must be positive numbers, one or more, got \[2, 0\]"),
        (["method.bandwidths=[]"], r"bandwidths must be positive numbers, one or more, got \[\]"),
        (["method.group_size=1"], "group_size must be at least 2, got 1"),
        (["method.critic=null"], "critic and critic_optimizer belong together"),
        (["method.penalty_weight=-1"], "penalty_weight must be at least 0, got -1"),
        (
            [*FIXED[3:], "method.penalty_weight=1"],
            "a fixed kernel has no critic that critic_steps=1 or penalty_weight=1",
        ),
        ([*FIXED[3:], "method.critic_steps=5"], "a fixed kernel has no critic that critic_steps=5"),
        ([*FIXED[3:], "method.conditional=true"], "a fixed kernel compares pixels and knows no classes"),
        (["method.critic.normalization=batch"], "penalty_weight above 0 needs a critic without batch norm"),
    ],
)
def test_settings_that_no_kernel_has_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        built(*overrides)
