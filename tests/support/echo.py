"""Methods of a few lines, whose quality is known by construction, and how a run is told to train one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from launch.compose import CONFIGS
from lightning_modules.base import Draws, ImageData, Reconstructs


def instead_of_classifier(kind: type, *settings: str) -> list[str]:
    """What to give train.py so that it trains a ``kind`` with ``settings`` of its own."""
    classifier = OmegaConf.load(CONFIGS / "method" / "classifier.yaml")
    left_out = [f"~method.{key}" for key in classifier if key != "_target_"]
    return ["method=classifier", f"method._target_={kind.__module__}.{kind.__qualname__}", *left_out, *settings]


class Echo(Reconstructs):
    """Makes every image again too bright, after step k by ``errors[k - 1]``; its one weight learns nothing of use."""

    def __init__(
        self, *, image_shape: tuple[int, int, int], num_classes: int, seed: int, errors: Sequence[float] = (0.5,)
    ) -> None:
        super().__init__(image_shape=image_shape, num_classes=num_classes, seed=seed)
        self.weight = nn.Parameter(torch.ones(()))
        self.errors = errors

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def objective(self, part: dict[str, Any]) -> Tensor:
        loss = self.weight.square()
        self.record({"loss/weight": loss})
        return loss

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        self.update(self.optimizers(), self.objective, batch)  # type: ignore[arg-type]
        self.count_images(batch["image"])

    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        step = self.images_seen // max(1, self.images_seen - self.images_seen_before)
        return images + self.errors[min(step, len(self.errors)) - 1]


class Mirror(Draws, Echo):
    """It draws as well: grey images."""

    def sample(
        self,
        first: int,
        count: int,
        *,
        seed: int,
        labels: Tensor | Sequence[int] | None = None,
        image_size: int | None = None,
    ) -> Tensor:
        return torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8).expand(count, *self.image_shape)


class Remembers(Echo):
    """Makes every image again as what its ``bank`` holds: nothing, until the end fills it with the mean of the data."""

    bank: Tensor
    concluded_at: Tensor

    def __init__(self, *, image_shape: tuple[int, int, int], num_classes: int, seed: int) -> None:
        super().__init__(image_shape=image_shape, num_classes=num_classes, seed=seed)
        self.register_buffer("bank", torch.full(image_shape, -1.0))
        self.register_buffer("concluded_at", torch.zeros((), dtype=torch.long))

    def conclude(self, datamodule: ImageData) -> None:
        self.bank.copy_(datamodule.split("train")[0].float().mean(dim=0))
        self.concluded_at.fill_(self.images_seen)

    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.bank.expand_as(images)
