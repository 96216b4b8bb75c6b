"""What every recipe around DCGAN's generator shares: how it draws, by running averages or by the batch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from torch import Tensor

from generative.averaging import averaged_copy
from generative.checks import check_choice
from lightning_modules.base import HasLatents
from lightning_modules.dcgan.networks import Generator, batch_statistics

RUNNING, BATCH = "running_statistics", "batch_statistics"  # as protocols name them
TOGETHER = 64  # images that are normalised by their own statistics, as many as in a batch of the training


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
        check_choice("sample_statistics", sample_statistics, ("running", "batch"))
        self.generator = generator(image_shape=self.image_shape, num_classes=self.num_classes)
        if sample_statistics == "batch" and self.generator.normalization != "batch":
            raise ValueError(
                "sample_statistics=batch has no effect on a generator without batch norm, whose normalization is "
                f"{self.generator.normalization}: leave it out"
            )
        self.averaged_generator = averaged_copy(self.generator)
        self.latent_dim = self.generator.latent_dim
        if self.generator.normalization == "batch":
            self.samplings = (RUNNING, BATCH)
            self.sampling = RUNNING if sample_statistics == "running" else BATCH

    @property
    def drawn_together(self) -> int:  # type: ignore[override] # of most generators a constant
        return TOGETHER if self.sampling == BATCH else 1

    def draw(self, part: dict[str, Any]) -> Tensor:
        """Images for the numbers and labels of a part of a training batch, by the weights that train."""
        return self.generator(self.training_latents(part), part["label"])

    def decode(
        self, latents: Tensor, labels: Tensor | None = None, *, image_size: int | None = None, psi: float = 1.0
    ) -> Tensor:
        with batch_statistics(self.averaged_generator) if self.sampling == BATCH else nullcontext():
            return self.averaged_generator(latents, labels)
