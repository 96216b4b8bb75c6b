"""What every recipe around DCGAN's generator shares: how it draws, by running averages or by the batch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from generative.averaging import averaged_copy
from lightning_modules.base import HasLatents
from lightning_modules.dcgan.networks import Generator, batch_statistics, check_choice

STATISTICS = ("running", "batch")


class DrawsByDCGAN(HasLatents):
    """It draws by the average of ``generator``.

    ``conditional``: whether the classes of the data enter. ``sample_statistics``: what its batch norms normalise samples
    by, ``running`` averages of the training (as the base code does) or the statistics of the ``batch`` of 64 that is drawn.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        generator: Callable[..., Generator],
        conditional: bool = False,
        sample_statistics: str = "running",
        **given: Any,
    ) -> None:
        super().__init__(num_classes=num_classes if conditional else 0, **given)
        check_choice("sample_statistics", sample_statistics, STATISTICS)
        self.generator = generator(image_shape=self.image_shape, num_classes=self.num_classes)
        self.averaged_generator = averaged_copy(self.generator)
        self.latent_dim = self.generator.latent_dim
        self.sample_statistics = sample_statistics

    def decode(
        self, latents: Tensor, labels: Tensor | None = None, *, image_size: int | None = None, psi: float = 1.0
    ) -> Tensor:
        by_batch = self.sample_statistics == "batch"
        with batch_statistics(self.averaged_generator) if by_batch else nullcontext():
            return self.averaged_generator(latents, labels)
