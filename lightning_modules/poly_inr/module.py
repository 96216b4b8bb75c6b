"""Poly-INR as a training recipe: a polynomial generator against a critic, one update of each a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer

from generative.accumulation import parts
from generative.adversarial.losses import loss_pair
from generative.adversarial.penalties import r1_penalty
from generative.averaging import average_decay, averaged_copy, update_average
from generative.precision import at_least_float32
from generative.randomness import Stream
from generative.rendering.coordinates import UNIT_WINDOW, Window, coordinate_grid
from generative.schedules import linear_decay
from lightning_modules.base import HasCritic
from lightning_modules.poly_inr.networks import Generator

DECAY_FLOOR = 0.02


class PolyINR(HasCritic):
    """Trains ``generator`` and ``critic`` with the adversarial loss pair named ``loss``.

    ``conditional``: whether the class labels of the data enter both networks. ``r1_gamma`` weighs the gradient
    penalty gamma / 2 E |grad D|^2 at real images, computed every ``r1_every``-th step and scaled up accordingly
    (0 switches it off). ``half_life_images``: of the averaged generator's weights. Over the last
    ``decay_share`` of the run's ``budget_kimg`` both learning rates fall linearly to ``DECAY_FLOOR`` of themselves.
    """

    any_resolution = True
    truncates = True

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        num_classes: int,
        seed: int,
        generator: Callable[..., Generator],
        critic: Callable[..., nn.Module],
        generator_optimizer: Callable[..., Optimizer],
        critic_optimizer: Callable[..., Optimizer],
        conditional: bool = True,
        loss: str = "logistic",
        r1_gamma: float = 0.1,
        r1_every: int = 8,
        half_life_images: float = 20_000,
        average_ramp_up: float = 0.05,
        budget_kimg: float,
        decay_share: float = 0.0,
        accumulate: int = 1,
        clip_norm: float = 0.0,
    ) -> None:
        super().__init__(
            image_shape=image_shape,
            num_classes=num_classes if conditional else 0,
            seed=seed,
            accumulate=accumulate,
            clip_norm=clip_norm,
        )
        self.generator = generator(image_channels=image_shape[0], num_classes=self.num_classes)
        self.critic = critic(image_shape=self.image_shape, num_classes=self.num_classes)
        self.averaged_generator = averaged_copy(self.generator)
        self.make_generator_optimizer = generator_optimizer
        self.make_critic_optimizer = critic_optimizer
        self.critic_loss, self.generator_loss = loss_pair(loss)
        self.r1_gamma = r1_gamma
        self.r1_every = r1_every
        self.half_life_images = half_life_images
        self.average_ramp_up = average_ramp_up
        if r1_every < 1:
            raise ValueError(f"r1_every must be at least 1, got {r1_every}")
        if not 0.0 <= decay_share <= 1.0:
            raise ValueError(f"decay_share must be between 0 and 1, got {decay_share}")
        self.budget_images = round(budget_kimg * 1000)
        self.decay_share = decay_share

    def configure_optimizers(self) -> list[Optimizer]:
        generator_optimizer = self.make_generator_optimizer(self.generator.parameters())
        critic_optimizer = self.make_critic_optimizer(self.critic.parameters())
        self.base_rates = [optimizer.defaults["lr"] for optimizer in (generator_optimizer, critic_optimizer)]
        return [generator_optimizer, critic_optimizer]

    def set_learning_rates(self, *optimizers: LightningOptimizer) -> None:
        """Rates as functions of the configuration and the images seen: a resumed run is on them at once."""
        factor = 1.0
        if self.decay_share > 0:
            start = round(self.budget_images * (1.0 - self.decay_share))
            factor = linear_decay(self.images_seen, start=start, end=self.budget_images, floor=DECAY_FLOOR)
        for optimizer, rate in zip(optimizers, self.base_rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        generator_optimizer, critic_optimizer = self.optimizers()  # type: ignore[attr-defined]
        self.set_learning_rates(generator_optimizer, critic_optimizer)
        global_batch = len(batch["image"]) * self.trainer.world_size
        penalize = self.r1_gamma > 0 and self.images_seen // global_batch % self.r1_every == 0
        batch = batch if self.num_classes else batch | {"label": None}
        # One set of fakes serves both updates: each network is evaluated once on it. Only parts of a batch are drawn
        # anew for the second, since the graphs of all of them would be the memory of the whole.
        drawn = self.draw(batch) if self.accumulate == 1 else None

        with self.toggled_optimizer(critic_optimizer):
            critic_optimizer.zero_grad()
            for part in parts(batch, self.accumulate):
                _, fake_images = drawn or self.draw(part)
                objective = self.critic_objective(part, fake_images.detach(), penalize=penalize)
                self.manual_backward(objective / self.accumulate)
            critic_optimizer.step()

        styles = []
        with self.toggled_optimizer(generator_optimizer):
            generator_optimizer.zero_grad()
            for part in parts(batch, self.accumulate):
                w, fake_images = drawn or self.draw(part)
                generator_loss = self.generator_loss(at_least_float32(self.critic(fake_images, part["label"])))
                self.manual_backward(generator_loss / self.accumulate)
                self.record({"loss/generator": generator_loss})
                styles.append(w.detach())
            generator_optimizer.step()

        labels = batch["label"]
        self.generator.mapping.track_average(
            self.gather(torch.cat(styles)), None if labels is None else self.gather(labels)
        )
        decay = average_decay(
            global_batch,
            half_life_images=self.half_life_images,
            images_seen=self.images_seen,
            ramp_up=self.average_ramp_up,
        )
        update_average(self.averaged_generator, self.generator, decay)
        self.count_images(batch["image"])

    def draw(self, part: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Styles w [B, w_dim] and images for the numbers and labels of ``part``."""
        z = self.latents("latents", self.seed, part["first_number"], len(part["image"]))
        w = self.generator.mapping(z, part["label"])
        affine = self.generator.heads(self.generator.broadcast(w))
        return w, self.generator.render(affine, self.grid(self.image_shape[1], self.image_shape[2]))

    def critic_objective(self, part: dict[str, Any], fake_images: Tensor, *, penalize: bool) -> Tensor:
        """The critic's loss, with the penalty where ``penalize``, whose two derivatives are never in half precision."""
        with torch.autocast(self.device.type, enabled=False) if penalize else nullcontext():
            real_images = part["image"].clone().requires_grad_(penalize)
            real = at_least_float32(self.critic(real_images, part["label"]))
            penalty = r1_penalty(real, real_images) if penalize else None
        fake = at_least_float32(self.critic(fake_images, part["label"]))
        loss = self.critic_loss(real, fake)
        self.record({"loss/critic": loss, "score/real": real.mean(), "score/fake": fake.mean()})
        if penalty is None:
            return loss
        self.record({"penalty/r1": penalty})
        return loss + 0.5 * self.r1_gamma * self.r1_every * penalty

    def latents(self, name: str, seed: int, first: int, count: int) -> Tensor:
        """Latents [count, latent_dim] of the images ``first ..`` of the stream ``name``."""
        z = Stream(seed, name).normal(first, count, self.generator.mapping.latent_dim)
        return z.to(self.generator.mapping.average)  # its device and type

    def grid(self, height: int, width: int, window: Window = UNIT_WINDOW) -> Tensor:
        like = self.generator.mapping.average
        return coordinate_grid(height, width, window=window, device=like.device, dtype=like.dtype)

    @torch.no_grad()
    def sample(
        self,
        first: int,
        count: int,
        *,
        seed: int,
        labels: Tensor | Sequence[int] | None = None,
        image_size: int | None = None,
        psi: float = 1.0,
    ) -> Tensor:
        labels = self.balanced_labels(first, count) if labels is None else self.check_labels(labels, count=count)
        z = self.latents("evaluation", seed, first, count)
        height, width = self.image_shape[1:] if image_size is None else (image_size, image_size)
        return self.averaged_generator(z, labels, self.grid(height, width), psi=psi)

    def compile_drawing(self) -> float:
        return self.averaged_generator.synthesis.compile_drawing()
