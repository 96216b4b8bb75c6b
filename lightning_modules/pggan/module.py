"""PGGAN as a training recipe: a generator and a critic that grow from 4 x 4 pixels as images are seen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Optimizer

from generative.adversarial.losses import loss_pair
from generative.adversarial.penalties import drift_penalty
from generative.checks import check_at_least
from generative.precision import at_least_float32
from lightning_modules.base import HasCritic
from lightning_modules.pggan.drawing import DrawsByPGGAN
from lightning_modules.pggan.growth import Growth, images_at
from lightning_modules.pggan.networks import Critic
from lightning_modules.slopes import real_logits_and_r1, slope_penalty


class PGGAN(DrawsByPGGAN, HasCritic):
    """Trains ``generator`` and ``critic`` with the adversarial loss pair named ``loss``, without classes.

    ``growth``: the sizes in use as a function of images seen; None: all from the beginning. As published the critic's loss
    is wasserstein with the gradient penalty, ``penalty_weight`` 10, and the drift penalty, ``drift_weight`` 0.001; logistic
    goes with ``r1_gamma`` / 2 times R1, computed every ``r1_every``-th step and scaled up accordingly. 0 leaves a penalty
    out. Where a stage of growth begins or ends, Adam's moments are dropped.
    """

    critic: Critic

    def __init__(
        self,
        *,
        critic: Callable[..., Critic],
        generator_optimizer: Callable[..., Optimizer],
        critic_optimizer: Callable[..., Optimizer],
        growth: Callable[..., Growth] | None = None,
        loss: str = "wasserstein",
        penalty_weight: float = 10.0,
        drift_weight: float = 0.001,
        r1_gamma: float = 0.0,
        r1_every: int = 1,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        check_at_least(0, penalty_weight=penalty_weight, drift_weight=drift_weight, r1_gamma=r1_gamma)
        check_at_least(1, r1_every=r1_every)
        self.critic = critic(image_shape=self.image_shape)
        self.growth = None if growth is None else growth(levels=self.generator.levels)
        self.make_generator_optimizer = generator_optimizer
        self.make_critic_optimizer = critic_optimizer
        self.critic_loss, self.generator_loss = loss_pair(loss)
        self.penalty_weight = penalty_weight
        self.drift_weight = drift_weight
        self.r1_gamma = r1_gamma
        self.r1_every = r1_every
        self.show_stage(0)

    def configure_optimizers(self) -> list[Optimizer]:
        return [
            self.make_generator_optimizer(self.generator.parameters()),
            self.make_critic_optimizer(self.critic.parameters()),
        ]

    def show_stage(self, images_seen: int) -> None:
        """All networks at the stage of growth after ``images_seen``."""
        if self.growth is not None:
            stage = self.growth.at(images_seen)
            self.generator.stage = self.averaged_generator.stage = self.critic.stage = stage

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.show_stage(self.images_seen)

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        generator_optimizer, critic_optimizer = self.optimizers()  # type: ignore[attr-defined]
        shown = images_at(batch["image"], self.generator.stage, levels=self.generator.levels)
        batch = batch | {"image": shown}
        penalize = self.r1_gamma > 0 and self.images_seen // self.global_batch % self.r1_every == 0
        # One set of fakes serves both updates; only parts of a batch are drawn anew for the second, for memory.
        drawn = self.draw(batch) if self.accumulate == 1 else None
        # 1. The critic learns to tell the images, at the size of the stage, from fakes.
        self.update(critic_optimizer, partial(self.critic_objective, drawn=drawn, penalize=penalize), batch)
        # 2. The generator learns from what the critic then says of these.
        self.update(generator_optimizer, partial(self.generator_objective, drawn=drawn), batch)
        # 3. The average that is shown follows.
        self.move_average()
        # 4. Growth goes on.
        self.grow(generator_optimizer, critic_optimizer)
        self.count_images(batch["image"])

    def draw(self, part: dict[str, Any]) -> Tensor:
        """Fakes for the numbers of ``part``."""
        fake_images: Tensor = self.generator(self.training_latents(part))
        return fake_images

    def grow(self, *optimizers: LightningOptimizer) -> None:
        """To the stage of the next step; at its border the moments go.

        Before the step is counted, so that a checkpoint of this step has it behind it and a resumed run need not know.
        """
        if self.growth is None:
            return
        seen = self.images_seen + self.global_batch
        if self.growth.crosses(self.images_seen, seen):
            for optimizer in optimizers:
                optimizer.state.clear()
        self.show_stage(seen)

    def generator_objective(self, part: dict[str, Any], *, drawn: Tensor | None = None) -> Tensor:
        """``drawn``: fakes that are there already."""
        fake_images = self.draw(part) if drawn is None else drawn
        loss = self.generator_loss(at_least_float32(self.critic(fake_images)))
        self.record({"loss/generator": loss})
        return loss

    def critic_objective(self, part: dict[str, Any], *, drawn: Tensor | None = None, penalize: bool) -> Tensor:
        """The critic's loss with its penalties, R1 where ``penalize``; ``drawn``: fakes that are there already."""
        with torch.no_grad():
            fake_images = self.draw(part) if drawn is None else drawn.detach()
        real, r1 = real_logits_and_r1(self.critic, part["image"], penalize=penalize)
        fake = at_least_float32(self.critic(fake_images))
        loss = self.critic_loss(real, fake)
        self.record({"loss/critic": loss, "score/real": real.mean(), "score/fake": fake.mean()})
        if r1 is not None:
            self.record({"penalty/r1": r1})
            loss = loss + 0.5 * self.r1_gamma * self.r1_every * r1
        if self.drift_weight > 0:
            loss = loss + self.drift_weight * drift_penalty(real)
        if self.penalty_weight > 0:
            loss = loss + self.penalty_weight * slope_penalty(self.critic, part, fake_images, method=self)
        return loss
