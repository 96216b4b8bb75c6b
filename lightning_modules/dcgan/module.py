"""DCGAN as a training recipe: a generator against a critic, by any loss of chapter 2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from generative.adversarial.losses import loss_pair
from generative.adversarial.penalties import gradient_penalty
from generative.precision import at_least_float32
from generative.randomness import Stream
from lightning_modules.base import HasCritic
from lightning_modules.dcgan.drawing import DrawsByDCGAN


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
        for name, steps in (("critic_steps", critic_steps), ("generator_steps", generator_steps)):
            if steps < 1:
                raise ValueError(f"{name} must be at least 1, got {steps}")
        for name, value in (("penalty_weight", penalty_weight), ("weight_limit", weight_limit)):
            if not value >= 0:
                raise ValueError(f"{name} must be at least 0, got {value}")
        self.critic = critic(image_shape=self.image_shape, num_classes=self.num_classes)
        self.make_generator_optimizer = generator_optimizer
        self.make_critic_optimizer = critic_optimizer
        self.critic_loss, self.generator_loss = loss_pair(loss, **(loss_settings or {}))
        self.critic_steps = critic_steps
        self.generator_steps = generator_steps
        self.penalty_weight = penalty_weight
        self.weight_limit = weight_limit

    def configure_optimizers(self) -> list[Optimizer]:
        return [
            self.make_generator_optimizer(self.generator.parameters()),
            self.make_critic_optimizer(self.critic.parameters()),
        ]

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        generator_optimizer, critic_optimizer = self.optimizers()  # type: ignore[attr-defined]
        batch = batch if self.num_classes else batch | {"label": None}
        # 1. The critic learns to tell the images from fakes.
        self.update(critic_optimizer, self.critic_objective, batch)
        self.limit_weights()
        # 2. The generator learns from what the critic then says of fakes of the same latents.
        if (self.images_seen // self.global_batch + 1) % self.critic_steps == 0:
            for _ in range(self.generator_steps):
                self.update(generator_optimizer, self.generator_objective, batch)
        # 3. The average that is shown follows.
        self.move_average()
        self.count_images(batch["image"])

    def draw(self, part: dict[str, Any]) -> Tensor:
        """Images for the numbers and labels of ``part``."""
        return self.generator(self.training_latents(part), part["label"])

    def generator_objective(self, part: dict[str, Any]) -> Tensor:
        loss = self.generator_loss(at_least_float32(self.critic(self.draw(part), part["label"])))
        self.record({"loss/generator": loss})
        return loss

    def critic_objective(self, part: dict[str, Any]) -> Tensor:
        with torch.no_grad():
            fake_images = self.draw(part)
        # One batch of each at a time: a batch norm that saw both would tell them apart by their shares.
        real = at_least_float32(self.critic(part["image"], part["label"]))
        fake = at_least_float32(self.critic(fake_images, part["label"]))
        loss = self.critic_loss(real, fake)
        self.record({"loss/critic": loss, "score/real": real.mean(), "score/fake": fake.mean()})
        return loss if self.penalty_weight == 0 else loss + self.penalty(part, fake_images)

    def penalty(self, part: dict[str, Any], fake_images: Tensor) -> Tensor:
        """The weighted gradient penalty at a random point between each image and a fake, never in half precision."""
        real_images = part["image"]
        shares = Stream(self.seed, "between").uniform(part["first_number"], len(real_images)).to(real_images)
        with torch.autocast(self.device.type, enabled=False):
            penalty = gradient_penalty(
                lambda images: self.critic(images, part["label"]), real_images, fake_images.to(real_images), shares
            )
        self.record({"penalty/gradient": penalty})
        return self.penalty_weight * penalty

    @torch.no_grad()
    def limit_weights(self) -> None:
        """Clip every weight of the critic to [-limit, limit], so that its slope is bounded (Arjovsky et al. 2017)."""
        if self.weight_limit > 0:
            for parameter in self.critic.parameters():
                parameter.clamp_(-self.weight_limit, self.weight_limit)
