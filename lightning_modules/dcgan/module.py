"""DCGAN as a training recipe: a generator against a critic, by any loss of chapter 2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from generative.adversarial.losses import loss_pair
from generative.checks import check_at_least
from generative.networks.spectral import advance
from lightning_modules.base import HasCritic
from lightning_modules.critics import ask, check_slopes, get_ready, looked_through
from lightning_modules.dcgan.drawing import DrawsByDCGAN
from lightning_modules.slopes import check_independent, clip_weights, slope_penalty


class DCGAN(DrawsByDCGAN, HasCritic):
    """Trains ``generator`` and ``critic`` with the adversarial loss pair named ``loss``.

    ``loss_settings``: arguments of the loss, such as ``real_target``. The critic learns from every batch, the generator
    after every ``critic_steps``-th, ``generator_steps`` times from the same latents (the base code: 1 and 2).
    ``penalty_weight`` weighs the gradient penalty, ``weight_limit`` clips the critic's weights after its step to
    [-limit, limit]; 0 switches either off.
    """

    def __init__(
        self,
        *,
        critic: Callable[..., nn.Module],
        generator_optimizer: Callable[..., Optimizer],
        critic_optimizer: Callable[..., Optimizer],
        loss: str = "logistic",
        loss_settings: dict[str, float] | None = None,
        critic_steps: int = 1,
        generator_steps: int = 2,
        penalty_weight: float = 0.0,
        weight_limit: float = 0.0,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        check_at_least(1, critic_steps=critic_steps, generator_steps=generator_steps)
        check_at_least(0, penalty_weight=penalty_weight, weight_limit=weight_limit)
        self.critic = critic(image_shape=self.image_shape, num_classes=self.num_classes)
        self.trained_against = looked_through(self.critic)
        check_slopes(self.critic, penalty_weight=penalty_weight)
        if penalty_weight > 0:
            check_independent(self.critic)
        self.make_generator_optimizer = generator_optimizer
        self.make_critic_optimizer = critic_optimizer
        self.critic_loss, self.generator_loss = loss_pair(loss, **(loss_settings or {}))
        self.critic_steps = critic_steps
        self.generator_steps = generator_steps
        self.penalty_weight = penalty_weight
        self.weight_limit = weight_limit

    def on_fit_start(self) -> None:
        super().on_fit_start()
        get_ready(self.critic)

    def configure_optimizers(self) -> list[Optimizer]:
        return [
            self.make_generator_optimizer(self.generator.parameters()),
            self.make_critic_optimizer(self.critic.parameters()),
        ]

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        generator_optimizer, critic_optimizer = self.optimizers()  # type: ignore[attr-defined]
        batch = batch if self.num_classes else batch | {"label": None}
        # 1. The critic learns to tell the images from fakes.
        advance(self.critic)
        self.update(critic_optimizer, self.critic_objective, batch)
        if self.weight_limit > 0:
            clip_weights(self.critic, limit=self.weight_limit)
        # 2. The generator learns from what the critic then says of fakes of the same latents.
        if (self.images_seen // self.global_batch + 1) % self.critic_steps == 0:
            for _ in range(self.generator_steps):
                self.update(generator_optimizer, self.generator_objective, batch)
        # 3. The average that is shown follows.
        self.move_average()
        self.count_images(batch["image"])

    def generator_objective(self, part: dict[str, Any]) -> Tensor:
        loss = self.generator_loss(ask(self, self.draw(part), part, look="fakes for the generator"))
        self.record({"loss/generator": loss})
        return loss

    def critic_objective(self, part: dict[str, Any]) -> Tensor:
        with torch.no_grad():
            fake_images = self.draw(part)
        # One batch of each at a time: a batch norm that saw both would tell them apart by their shares.
        real = ask(self, part["image"], part, look="images")
        fake = ask(self, fake_images, part, look="fakes")
        loss = self.critic_loss(real, fake)
        self.record({"loss/critic": loss, "score/real": real.mean(), "score/fake": fake.mean()})
        if self.penalty_weight == 0:
            return loss
        penalty = slope_penalty(lambda images: self.critic(images, part["label"]), part, fake_images, method=self)
        return loss + self.penalty_weight * penalty
