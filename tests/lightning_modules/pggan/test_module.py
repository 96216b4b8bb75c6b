"""The recipe of PGGAN: its losses term by term, growth within a run, and what a kill in a transition leaves."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from generative.adversarial.penalties import drift_penalty, gradient_penalty, r1_penalty
from generative.randomness import Stream
from launch.build import build
from launch.checkpoint import load_method
from launch.compose import compose, plain
from lightning_modules.pggan.growth import Growth, Stage
from lightning_modules.pggan.module import PGGAN
from lightning_modules.pggan.networks import Critic, Generator
from tests.support.same_run import assert_same_run, killed_at

SmallRun = Callable[..., tuple[Path, dict[str, float]]]
# Steps of 16 images: two at 4 x 4, two of transition, then 8 x 8.
GROWING = (
    "method=pggan",
    "method.growth.first_kimg=0.032",
    "method.growth.fade_kimg=0.032",
    "method.growth.stable_kimg=0.016",
    "max_kimg=0.08",
    "save_every_kimg=0.016",
    "callbacks.metrics.every_kimg=0.048",
    "callbacks.samples.every_kimg=0.048",
)


def made(**settings: Any) -> PGGAN:
    torch.manual_seed(0)
    small = {"base": 32, "most": 4}
    method = PGGAN(
        image_shape=(1, 8, 8),
        num_classes=3,
        seed=0,
        generator=functools.partial(Generator, latent_dim=4, **small),
        critic=functools.partial(Critic, group_size=2, **small),
        generator_optimizer=torch.optim.Adam,
        critic_optimizer=torch.optim.Adam,
        **settings,
    )
    return method.double()


def part() -> dict[str, Any]:
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    return {"image": images, "label": torch.zeros(4, dtype=torch.long), "first_number": 12}


def fakes(method: PGGAN) -> Tensor:
    with torch.no_grad():
        return method.generator(method.training_latents(part()))


def test_the_wasserstein_loss_with_both_penalties() -> None:
    method, real = made(penalty_weight=10.0, drift_weight=0.001), part()["image"]
    logits, of_fakes = method.critic(real), method.critic(fakes(method))
    shares = Stream(0, "between").uniform(12, 4).to(real)
    expected = of_fakes.mean() - logits.mean() + 0.001 * logits.square().mean()
    expected = expected + 10.0 * gradient_penalty(method.critic, real, fakes(method), shares)
    torch.testing.assert_close(method.critic_objective(part(), penalize=False), expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(method.generator_objective(part()), -of_fakes.mean(), rtol=1e-12, atol=0)
    assert {"penalty/gradient", "loss/critic", "loss/generator", "score/real", "score/fake"} == method.recorded.keys()


def test_the_logistic_loss_with_r1() -> None:
    method, real = (
        made(loss="logistic", penalty_weight=0.0, drift_weight=0.0, r1_gamma=3.0, r1_every=4),
        part()["image"].requires_grad_(),
    )
    logits, of_fakes = method.critic(real), method.critic(fakes(method))
    softplus = torch.nn.functional.softplus
    expected = softplus(-logits).mean() + softplus(of_fakes).mean()
    torch.testing.assert_close(method.critic_objective(part(), penalize=False), expected, rtol=1e-12, atol=0)
    expected = expected + 4 * 1.5 * r1_penalty(logits, real)
    torch.testing.assert_close(method.critic_objective(part(), penalize=True), expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(method.generator_objective(part()), softplus(-of_fakes).mean(), rtol=1e-12, atol=0)


def test_fakes_that_are_drawn_already_are_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    method = made()
    drawn = method.draw(part())
    again = [method.critic_objective(part(), penalize=False), method.generator_objective(part())]
    monkeypatch.setattr(PGGAN, "draw", None)
    once = [
        method.critic_objective(part(), drawn=drawn, penalize=False),
        method.generator_objective(part(), drawn=drawn),
    ]
    torch.testing.assert_close(once, again, rtol=0, atol=0)
    once[0].backward()
    assert all(parameter.grad is None for parameter in method.generator.parameters())


def test_r1_is_computed_every_so_many_steps(small_run: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    penalized: list[bool] = []
    objective = PGGAN.critic_objective

    def watched(self: PGGAN, part: dict[str, Any], *, drawn: Tensor | None = None, penalize: bool) -> Tensor:
        penalized.append(penalize)
        return objective(self, part, drawn=drawn, penalize=penalize)

    monkeypatch.setattr(PGGAN, "critic_objective", watched)
    small_run(*GROWING, "method.loss=logistic", "method.penalty_weight=0", "method.r1_gamma=1", "method.r1_every=3")
    assert penalized == [True, False, False, True, False]


def test_drift_is_the_mean_square_of_real_logits() -> None:
    logits = torch.tensor([3.0, -1.0, 2.0], requires_grad=True)
    penalty = drift_penalty(logits)
    penalty.backward()
    assert penalty.item() == pytest.approx(14.0 / 3.0)
    torch.testing.assert_close(logits.grad, 2.0 * logits.detach() / 3.0)


def test_a_method_without_growth_uses_all_sizes() -> None:
    method = made()
    assert method.generator.stage == method.critic.stage == Stage(2)
    grown = made(growth=functools.partial(Growth, first_kimg=1, fade_kimg=1, stable_kimg=1))
    assert grown.generator.stage == grown.averaged_generator.stage == grown.critic.stage == Stage(1)
    with pytest.raises(ValueError, match="penalty_weight must be at least 0"):
        made(penalty_weight=-1.0)
    with pytest.raises(ValueError, match="r1_every must be at least 1"):
        made(r1_every=0)


def test_the_networks_grow_with_the_images_seen(small_run: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage of a step is that of the images before it; of a checkpoint that of the images behind it."""
    stages: list[tuple[int, Stage]] = []
    step = PGGAN.training_step

    def watched(self: PGGAN, batch: dict[str, Any], batch_index: int) -> None:
        assert self.generator.stage == self.critic.stage == self.averaged_generator.stage
        stages.append((self.images_seen, self.generator.stage))
        step(self, batch, batch_index)

    monkeypatch.setattr(PGGAN, "training_step", watched)
    folder, _ = small_run(*GROWING)
    assert stages == [(0, Stage(1)), (16, Stage(1)), (32, Stage(2, 0.0)), (48, Stage(2, 0.5)), (64, Stage(2))]
    method, _ = load_method(folder / "checkpoints" / "last.ckpt")
    assert isinstance(method, PGGAN)
    assert method.averaged_generator.stage == Stage(2)
    assert method.sample(0, 2, seed=0).shape == (2, 1, 8, 8)


@pytest.mark.parametrize("at", [32, 48])
def test_growth_killed_at_a_border_or_in_a_transition_goes_on_to_the_same_bits(
    at: int, small_run: SmallRun, tmp_path: Path
) -> None:
    """At 32 images the last step has crossed a border: its checkpoint holds no moments, and they are not dropped again."""
    whole, _ = small_run(*GROWING, run_dir=tmp_path / "whole")
    with killed_at(at):
        small_run(*GROWING)
    resumed, _ = small_run(*GROWING, "resume=auto")
    assert_same_run(resumed, whole)


def test_moments_go_where_a_stage_begins_or_ends(small_run: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[int, int]] = []
    grow = PGGAN.grow

    def watched(self: PGGAN, *optimizers: Any) -> None:
        grow(self, *optimizers)
        steps.append((self.images_seen + 16, sum(len(optimizer.state) for optimizer in optimizers)))

    monkeypatch.setattr(PGGAN, "grow", watched)
    small_run(*GROWING)
    assert [seen for seen, left in steps if left == 0] == [32, 64]


def test_the_published_size_composes_and_stands_on_meta() -> None:
    with torch.device("meta"):
        _, method = build(plain(compose("train", ["experiment=pggan/lsun_bedroom", "run_dir=x"])))
    assert isinstance(method, PGGAN)
    assert sum(parameter.numel() for parameter in method.generator.parameters()) == 23_044_309
    assert method.growth is not None
    assert method.growth.at(600_000) == Stage(2, 0.0)
