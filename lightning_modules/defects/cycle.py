"""The class-conditional Cycle GAN: faultless images become defective ones without pairs, and faultless again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from generative.checks import check_at_least, check_choice
from generative.networks.spectral import advance
from generative.precision import at_least_float32
from generative.randomness import Stream
from generative.rendering.images import from_uint8
from lightning_modules.defects.drawing import Translator

DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"l1": F.l1_loss, "l2": F.mse_loss}


class Cycle(Translator):
    """``generator`` draws a defect of the asked class, ``back_generator`` takes it away.

    As the text has it, the critic judges defects alone: what takes them away learns from the reconstruction only, by the
    distance ``l2``, what draws them from both. ``symmetric``: the usual one (Zhu et al. 2017), where defective images are
    made faultless, judged by ``clean_critic``, and defective again. ``cycle_weight`` weighs reconstructions.

    ``identity_weight``, 0 in the text, weighs how far a real defect of the class that is asked for comes back changed:
    without it nothing keeps the tone (section 5.2 of Zhu et al.).
    """

    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        *,
        back_generator: Callable[..., nn.Module],
        critic: Callable[..., nn.Module],
        symmetric: bool = False,
        distance: str = "l2",
        cycle_weight: float = 10.0,
        identity_weight: float = 0.0,
        **given: Any,
    ) -> None:
        super().__init__(critic=critic, **given)
        check_choice("distance", distance, tuple(DISTANCES))
        check_at_least(0, cycle_weight=cycle_weight, identity_weight=identity_weight)
        self.back_generator = back_generator(image_shape=self.image_shape, num_classes=0)
        self.clean_critic = critic(image_shape=self.image_shape, num_classes=0) if symmetric else None
        self.distance, self.cycle_weight = DISTANCES[distance], cycle_weight
        self.identity_weight = identity_weight

    def configure_optimizers(self) -> list[Optimizer]:
        critics = [self.critic] if self.clean_critic is None else [self.critic, self.clean_critic]
        return [
            self.make_generator_optimizer([*self.generator.parameters(), *self.back_generator.parameters()]),
            self.make_critic_optimizer([weight for critic in critics for weight in critic.parameters()]),
        ]

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        generator_optimizer, critic_optimizer = self.optimizers()  # type: ignore[attr-defined]
        # 1. The critic learns to tell defective images from translated ones; of the symmetric one the other critic too.
        advance(self)
        self.update(critic_optimizer, self.critic_objective, batch)
        # 2. Both generators learn to get back to where they began, the first to be taken for real; or both do.
        self.update(generator_optimizer, self.generator_objective, batch)
        # 3. The average that is shown follows.
        self.move_average()
        self.count_images(batch["image"])

    def clean(self, part: dict[str, Any]) -> Tensor:
        """A faultless image for each of a part, turned and mirrored by its number: of another place than its image.

        Where the data have twins, it is that of some image of the same class, so that the class fits the place.
        """
        first, count = part["first_number"], len(part["image"])
        own = self.classes(part["label"]) if self.inputs.has_classes else None
        rows = self.inputs.drawn(first, count, seed=self.seed, name="faultless images", labels=own)
        return turned(from_uint8(rows), first, seed=self.seed).to(part["image"])

    def draw(self, images: Tensor, part: dict[str, Any], *, name: str = "noise of translations") -> Tensor:
        """Defects of a part's classes on faultless images, by the weights that train."""
        noise = self.noise(part["first_number"], images, seed=self.seed, name=name)
        drawn: Tensor = self.generator(images, self.classes(part["label"]), noise=noise)
        return drawn

    def critic_objective(self, part: dict[str, Any]) -> Tensor:
        clean = self.clean(part)
        with torch.no_grad():
            fake = self.draw(clean, part)
        loss = self.tell_apart(part["image"], fake, self.classes(part["label"]))
        if self.clean_critic is None:
            return loss
        with torch.no_grad():
            mended = self.back_generator(part["image"])
        clean_loss = self.critic_loss(*(at_least_float32(self.clean_critic(images)) for images in (clean, mended)))
        self.record({"loss/clean_critic": clean_loss})
        return loss + clean_loss

    def generator_objective(self, part: dict[str, Any]) -> Tensor:
        clean = self.clean(part)
        fake = self.draw(clean, part)
        cycle = self.distance(at_least_float32(self.back_generator(fake)), clean)
        reconstruction = self.cycle_weight * cycle
        if self.identity_weight > 0:
            kept = self.draw(part["image"], part, name="noise of what is kept")
            reconstruction = reconstruction + self.identity_weight * self.distance(
                at_least_float32(kept), part["image"]
            )
        loss = self.weigh(reconstruction, fake, self.classes(part["label"]))
        return loss if self.clean_critic is None else loss + self.way_back(part)

    def way_back(self, part: dict[str, Any]) -> Tensor:
        """Of the symmetric one: defective images made faultless, and defective again."""
        assert self.clean_critic is not None
        mended = self.back_generator(part["image"])
        again = self.draw(mended, part, name="noise of the way back")
        cycle = self.distance(at_least_float32(again), part["image"])
        adversarial = self.generator_loss(at_least_float32(self.clean_critic(mended)))
        loss = self.cycle_weight * cycle + self.adversarial_weight * adversarial
        self.record({"loss/way_back": loss})
        return loss

    @torch.no_grad()
    def translate(
        self, images: Tensor, *, masks: Tensor | None, labels: Tensor | None, first: int, seed: int
    ) -> Tensor:
        given = self.as_averaged(images)
        drawn: Tensor = self.averaged_generator(given, labels, noise=self.noise(first, given, seed=seed))
        return at_least_float32(drawn).clamp(-1.0, 1.0)


def turned(images: Tensor, first: int, *, seed: int) -> Tensor:
    """Square images [B, C, S, S] turned by quarters and mirrored, by the seed and their numbers from ``first`` on."""
    which = Stream(seed, "turns of faultless images").integers(first, len(images), high=8).tolist()
    found = [
        torch.rot90(image.flip(2) if k >= 4 else image, k % 4, (1, 2)) for image, k in zip(images, which, strict=True)
    ]
    return torch.stack(found)
