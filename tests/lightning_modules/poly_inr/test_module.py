"""The recipe of Poly-INR against an analytic critic: what the penalty weighs and when, which rates the steps take."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.utils.data import DataLoader

from launch.quiet import quiet
from lightning_modules.poly_inr.module import DECAY_FLOOR, PolyINR
from lightning_modules.poly_inr.networks import Generator

BATCH = 4
GENERATOR_RATE, CRITIC_RATE = 0.25, 0.5


class Bowl(nn.Module):
    """D(x) = a |x|^2 / 2, whose gradient is a x."""

    def __init__(self, *, image_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.3))

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        return self.a * images.flatten(1).square().sum(dim=1) / 2


def make(**settings: Any) -> PolyINR:
    torch.manual_seed(0)
    return PolyINR(
        image_shape=(1, 4, 4),
        num_classes=0,
        seed=0,
        generator=functools.partial(Generator, num_levels=2, width=4, latent_dim=4, w_dim=4),
        critic=Bowl,
        generator_optimizer=functools.partial(SGD, lr=GENERATOR_RATE),
        critic_optimizer=functools.partial(SGD, lr=CRITIC_RATE),
        **({"budget_kimg": 1.0} | settings),
    )


def batches(count: int) -> list[dict[str, Any]]:
    draw = torch.Generator().manual_seed(1)
    return [
        {"image": torch.randn(BATCH, 1, 4, 4, generator=draw) / 4, "label": None, "first_number": BATCH * step}
        for step in range(count)
    ]


class Watch(Callback):
    """The rate of each optimiser at its steps, and what each step recorded."""

    def __init__(self) -> None:
        self.rates: list[tuple[str, float]] = []
        self.losses: list[dict[str, float]] = []

    def on_before_optimizer_step(self, trainer: Trainer, method: PolyINR, optimizer: Optimizer) -> None:  # type: ignore[override]
        (group,) = optimizer.param_groups
        self.rates.append(("critic" if group["params"][0] is method.critic.a else "generator", group["lr"]))

    def on_train_batch_end(self, trainer: Trainer, method: PolyINR, *_: Any) -> None:  # type: ignore[override]
        self.losses.append({name: float(value) for name, value in method.losses.items()})


def watched(method: PolyINR, num_steps: int) -> Watch:
    quiet()
    watch = Watch()
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[watch],
    )
    trainer.fit(method, DataLoader(batches(num_steps), batch_size=None))  # type: ignore[arg-type]
    assert len(watch.losses) == num_steps
    return watch


def test_the_penalty_adds_half_of_gamma_times_the_steps_that_it_stands_for() -> None:
    """gamma / 2 r1_every E |a x|^2, with a plus: a critic that falls steeply at real images pays for it."""
    method = make(r1_gamma=0.7, r1_every=3).double()
    (part,) = batches(1)
    real, fake = part["image"].double(), torch.randn(BATCH, 1, 4, 4, dtype=torch.float64)
    with_it, without = (
        method.critic_objective(part | {"image": real}, fake, penalize=penalize) for penalize in (True, False)
    )
    size = 0.3**2 * real.flatten(1).square().sum(dim=1).mean()
    torch.testing.assert_close(with_it - without, 0.7 / 2 * 3 * size, rtol=1e-6, atol=0.0)


def test_every_third_step_is_penalised() -> None:
    penalised, free = (watched(make(r1_gamma=gamma, r1_every=3), 8) for gamma in (0.7, 0.0))
    assert [step for step, losses in enumerate(penalised.losses) if "penalty/r1" in losses] == [0, 3, 6]
    assert not any("penalty/r1" in losses for losses in free.losses)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_critic_takes_the_penalty_s_gradient(accumulate: int) -> None:
    """gamma r1_every a E |x|^2 of it, times the rate: what parts a penalised critic from a free one after a step."""
    penalised, free = (make(r1_gamma=gamma, r1_every=3, accumulate=accumulate) for gamma in (0.7, 0.0))
    for method in (penalised, free):
        watched(method, 1)
    square = batches(1)[0]["image"].flatten(1).square().sum(dim=1).mean().item()
    found = (free.critic.a - penalised.critic.a).item()
    assert found == pytest.approx(CRITIC_RATE * 0.7 * 3 * 0.3 * square, rel=1e-5)


@pytest.mark.parametrize("decay_share", [0.0, 0.25])
def test_both_rates_fall_over_the_last_share_of_the_budget(decay_share: float) -> None:
    """Of 32 images the last 8: whole until the 24th, half-way down at the 28th, at the floor from the 32nd on."""
    watch = watched(make(decay_share=decay_share, budget_kimg=0.032), 10)
    half_way = 1 - (1 - DECAY_FLOOR) / 2
    factors = [1.0] * 7 + [half_way, DECAY_FLOOR, DECAY_FLOOR] if decay_share else [1.0] * 10
    for name, rate in (("generator", GENERATOR_RATE), ("critic", CRITIC_RATE)):
        taken = [used for who, used in watch.rates if who == name]
        assert taken == pytest.approx([rate * factor for factor in factors], rel=1e-12), name
    assert DECAY_FLOOR == 0.02


def test_refused() -> None:
    with pytest.raises(ValueError, match="r1_every must be at least 1, got 0"):
        make(r1_every=0)
    with pytest.raises(ValueError, match=r"decay_share must be between 0 and 1, got 1\.5"):
        make(decay_share=1.5)
