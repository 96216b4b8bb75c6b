"""The refiner: renderings that were blended onto faultless images become like the real defects that they were fitted to."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from generative.checks import check_at_least
from generative.networks.spectral import advance
from generative.precision import at_least_float32
from lightning_modules.base import ImageData
from lightning_modules.defects.drawing import Translator


class Refiner(Translator):
    """Learns from pairs: "template", a rendering at the place of a real defect, and "image", the real one.

    ``reconstruction_weight`` weighs the squared distance of both in the generator's loss.
    """

    given = "drawn"

    def __init__(self, *, reconstruction_weight: float = 10.0, **given: Any) -> None:
        super().__init__(**given)
        check_at_least(0, reconstruction_weight=reconstruction_weight)
        self.reconstruction_weight = reconstruction_weight

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        generator_optimizer, critic_optimizer = self.optimizers()  # type: ignore[attr-defined]
        # 1. The critic learns to tell real defects from refined ones.
        advance(self.critic)
        self.update(critic_optimizer, self.critic_objective, batch)
        # 2. The refiner learns to be near the real ones, and to be taken for one.
        self.update(generator_optimizer, self.generator_objective, batch)
        # 3. The average that is shown follows.
        self.move_average()
        self.count_images(batch["image"])

    def critic_objective(self, part: dict[str, Any]) -> Tensor:
        labels = self.classes(part["label"])
        with torch.no_grad():
            fake = self.generator(part["template"], labels)
        return self.tell_apart(part["image"], fake, labels)

    def generator_objective(self, part: dict[str, Any]) -> Tensor:
        labels = self.classes(part["label"])
        fake = self.generator(part["template"], labels)
        distance = F.mse_loss(at_least_float32(fake), part["image"])
        return self.weigh(self.reconstruction_weight * distance, fake, labels)

    def keep_inputs(self, datamodule: ImageData) -> None:
        """Renderings, each of a class."""
        self.inputs.fill(self.middles(datamodule.targets("train")["template"][:]), datamodule.split("train")[1])

    def inputs_of(self, first: int, count: int, *, seed: int, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        self.have_inputs()
        return self.inputs.drawn(first, count, seed=seed, name="inputs of samples", labels=labels), None

    @torch.no_grad()
    def translate(
        self, images: Tensor, *, masks: Tensor | None, labels: Tensor | None, first: int, seed: int
    ) -> Tensor:
        drawn: Tensor = self.averaged_generator(self.as_averaged(images), labels)
        return at_least_float32(drawn).clamp(-1.0, 1.0)
