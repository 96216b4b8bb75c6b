"""The filler: a hole in an image, cut out along an outline, becomes a defect."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from generative.checks import check_at_least
from generative.networks.spectral import advance
from generative.precision import at_least_float32
from lightning_modules.base import ImageData
from lightning_modules.defects.drawing import Bank, Translator


def holes_of(masks: Tensor, *, margin: int) -> Tensor:
    """Masks [B, H, W] of 0 and others -> holes [B, 1, H, W] of 0.0 and 1.0, ``margin`` pixels larger to each side."""
    holes = (masks != 0).float()[:, None]
    return F.max_pool2d(holes, 2 * margin + 1, 1, margin) if margin else holes


def hole_distance(drawn: Tensor, images: Tensor, holes: Tensor) -> Tensor:
    """The mean squared difference of images [B, C, H, W] over each one's hole [B, 1, H, W], 0 without one; its mean over images."""
    squares = (drawn - images).square() * holes
    return (squares.sum(dim=(1, 2, 3)) / (drawn.shape[1] * holes.sum(dim=(1, 2, 3))).clamp(min=1.0)).mean()


class Filler(Translator):
    """Learns to draw a real defect again in its own hole, from "image" and "mask".

    ``margin``: pixels by which a hole is larger than the mask, so that the rim is drawn too. ``reconstruction_weight`` weighs
    the squared distance within the hole in the generator's loss.
    """

    needs = ("mask",)
    given = "hole"

    def __init__(self, *, margin: int = 2, reconstruction_weight: float = 10.0, **given: Any) -> None:
        super().__init__(**given)
        check_at_least(0, margin=margin, reconstruction_weight=reconstruction_weight)
        self.margin, self.reconstruction_weight = margin, reconstruction_weight
        self.shapes = Bank(len(self.inputs.rows), self.image_shape[1:])

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        generator_optimizer, critic_optimizer = self.optimizers()  # type: ignore[attr-defined]
        # 1. The critic learns to tell real defects from filled holes.
        advance(self.critic)
        self.update(critic_optimizer, self.critic_objective, batch)
        # 2. The filler learns to draw what was there, and to be taken for real.
        self.update(generator_optimizer, self.generator_objective, batch)
        # 3. The average that is shown follows.
        self.move_average()
        self.count_images(batch["image"])

    def critic_objective(self, part: dict[str, Any]) -> Tensor:
        labels = self.classes(part["label"])
        with torch.no_grad():
            fake = self.generator(part["image"], self.holes(part), labels)
        return self.tell_apart(part["image"], fake, labels)

    def generator_objective(self, part: dict[str, Any]) -> Tensor:
        labels, holes = self.classes(part["label"]), self.holes(part)
        fake = self.generator(part["image"], holes, labels)
        distance = hole_distance(at_least_float32(fake), part["image"], holes)
        return self.weigh(self.reconstruction_weight * distance, fake, labels)

    def holes(self, part: dict[str, Any]) -> Tensor:
        return holes_of(part["mask"], margin=self.margin).to(part["image"])

    def keep_inputs(self, datamodule: ImageData) -> None:
        """Faultless images, and masks of defects, each of a class."""
        super().keep_inputs(datamodule)
        masks, labels = self.middles(datamodule.targets("train")["mask"][:]), datamodule.split("train")[1]
        shown = masks.flatten(1).any(dim=1).nonzero()[:, 0]
        if not len(shown):
            raise ValueError(f"no mask of {datamodule.name} shows a defect: give data with masks of some")
        self.shapes.fill(masks[shown], labels[shown])

    def inputs_of(self, first: int, count: int, *, seed: int, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        images, _ = super().inputs_of(first, count, seed=seed, labels=labels)
        return images, self.shapes.drawn(first, count, seed=seed, name="shapes of samples", labels=labels)

    @torch.no_grad()
    def translate(
        self, images: Tensor, *, masks: Tensor | None, labels: Tensor | None, first: int, seed: int
    ) -> Tensor:
        """As :meth:`Translates.translate`; beside the masks and their margin every pixel is that of ``images``, bit for bit."""
        if masks is None:
            raise ValueError("a filler draws into holes: give a mask for each image")
        given = self.as_averaged(images)
        holes = holes_of(masks.to(given.device), margin=self.margin)
        drawn: Tensor = self.averaged_generator(given, holes, labels)
        return torch.where(
            holes == 0, images.to(given.device), at_least_float32(drawn).clamp(-1.0, 1.0).to(images.dtype)
        )
