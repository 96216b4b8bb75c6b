"""Moment matching: DCGAN's generator against a kernel's discrepancy, whose kernel is fixed or learned (chapter 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer

from generative.accumulation import groups
from generative.adversarial.mmd import BANDWIDTHS, gaussian_mmd, witness
from generative.checks import check_at_least
from generative.precision import at_least_float32
from lightning_modules.dcgan.drawing import DrawsByDCGAN
from lightning_modules.slopes import check_independent, slope_penalty


class MomentMatching(DrawsByDCGAN):
    """Trains ``generator`` down MMD^2(f(images), f(fakes)) under a mixture of Gaussians of the ``bandwidths``.

    Without a ``critic`` f(x) is x, and the kernel is fixed (GMMN, Li et al. 2015). With one it is the critic's features,
    which learn to make the same number large (MMD-GAN, Li et al. 2017), as large as their ``penalty_weight`` times
    E (|grad w| - 1)^2 lets them: w is the witness of the discrepancy, at random points between images and fakes
    (Binkowski et al. 2018). Then the generator learns after every ``critic_steps``-th batch.

    The discrepancy is estimated in groups of ``group_size`` neighbours of a batch: an unbiased estimate for any size, which
    several ranks and parts of a batch share. The larger, the less it scatters.
    """

    def __init__(
        self,
        *,
        generator_optimizer: Callable[..., Optimizer],
        group_size: int,
        bandwidths: Sequence[float] = BANDWIDTHS,
        critic: Callable[..., nn.Module] | None = None,
        critic_optimizer: Callable[..., Optimizer] | None = None,
        critic_steps: int = 1,
        penalty_weight: float = 0.0,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        check_at_least(2, group_size=group_size)
        check_at_least(1, critic_steps=critic_steps)
        check_at_least(0, penalty_weight=penalty_weight)
        if not bandwidths or not all(bandwidth > 0 for bandwidth in bandwidths):
            raise ValueError(f"bandwidths must be positive numbers, one or more, got {list(bandwidths)}")
        if (critic is None) != (critic_optimizer is None):
            raise ValueError("critic and critic_optimizer belong together: give both for a learned kernel, or neither")
        if critic is None and (critic_steps > 1 or penalty_weight > 0):
            raise ValueError(
                f"a fixed kernel has no critic that critic_steps={critic_steps} or penalty_weight={penalty_weight:g} "
                "could mean: leave them at 1 and 0, or give a critic"
            )
        if critic is None and self.num_classes:
            raise ValueError("a fixed kernel compares pixels and knows no classes: give conditional=false, or a critic")
        self.critic = None if critic is None else critic(image_shape=self.image_shape, num_classes=self.num_classes)
        if self.critic is not None and penalty_weight > 0:
            check_independent(self.critic)
        self.make_generator_optimizer = generator_optimizer
        self.make_critic_optimizer = critic_optimizer
        self.group_size = group_size
        self.bandwidths = bandwidths
        self.critic_steps = critic_steps
        self.penalty_weight = penalty_weight

    def configure_optimizers(self) -> list[Optimizer]:
        optimizers = [self.make_generator_optimizer(self.generator.parameters())]
        if self.critic is not None and self.make_critic_optimizer is not None:
            optimizers.append(self.make_critic_optimizer(self.critic.parameters()))
        return optimizers

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        generator_optimizer, *critic_optimizers = self.list_of_optimizers()
        batch = batch if self.num_classes else batch | {"label": None}
        # 1. A learned kernel learns to tell the images from fakes.
        for critic_optimizer in critic_optimizers:
            self.update(critic_optimizer, self.critic_objective, batch)
        # 2. The generator learns to draw what the kernel takes for images.
        if (self.images_seen // self.global_batch + 1) % self.critic_steps == 0:
            self.update(generator_optimizer, self.generator_objective, batch)
        # 3. The average that is shown follows.
        self.move_average()
        self.count_images(batch["image"])

    def list_of_optimizers(self) -> list[LightningOptimizer]:
        """Lightning hands out one optimiser bare."""
        optimizers = self.optimizers()
        return optimizers if isinstance(optimizers, list) else [optimizers]

    def features(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """Images [B, C, H, W] and labels [B] -> what the kernel compares, f(x), in groups: [G, group_size, D]."""
        rows = images.flatten(1) if self.critic is None else self.critic(images, labels)
        return groups(at_least_float32(rows), group_size=self.group_size)

    def discrepancy(self, real: Tensor, fake: Tensor) -> Tensor:
        """MMD^2 of :meth:`features`, never in half precision."""
        with torch.autocast(self.device.type, enabled=False):
            return gaussian_mmd(real, fake, bandwidths=self.bandwidths)

    def generator_objective(self, part: dict[str, Any]) -> Tensor:
        with torch.no_grad():
            real = self.features(part["image"], part["label"])
        loss = self.discrepancy(real, self.features(self.draw(part), part["label"]))
        self.record({"loss/generator": loss})
        return loss

    def critic_objective(self, part: dict[str, Any]) -> Tensor:
        with torch.no_grad():
            fake_images = self.draw(part)
        real, fake = (self.features(images, part["label"]) for images in (part["image"], fake_images))
        loss = -self.discrepancy(real, fake)
        self.record({"loss/critic": loss})
        if self.penalty_weight == 0:
            return loss

        def witness_at(images: Tensor) -> Tensor:
            points = self.features(images, part["label"])
            return witness(points, real, fake, bandwidths=self.bandwidths).flatten()

        return loss + self.penalty_weight * slope_penalty(witness_at, part, fake_images, method=self)
