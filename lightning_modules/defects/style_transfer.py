"""Style transfer: a faultless image becomes a defective one of the same place, by its texture in a network's features."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from generative.adversarial.gram import style_loss
from generative.checks import check_at_least
from generative.networks.spectral import advance
from generative.perceptual import deep_feature_distance
from generative.precision import at_least_float32, full_precision
from lightning_modules.defects.drawing import Translator
from lightning_modules.defects.feature_stages import check_features, stages_of


def critic_of_pairs(
    critic: Callable[..., nn.Module], *, image_shape: tuple[int, int, int], num_classes: int
) -> nn.Module:
    """A critic of images beside their differences, of twice the channels."""
    return critic(image_shape=(2 * image_shape[0], *image_shape[1:]), num_classes=num_classes)


class StyleTransfer(Translator):
    """Learns from aligned pairs: "template", the faultless twin, and "image", the defective one.

    ``features``: the network that both are compared in, ``efficientnet_lite0``, ``vgg16`` (of the file ``features_file``) or
    ``random``, which nobody trained. ``sees_twin``: whether the critic is shown what differs from the faultless twin beside the
    image, so that a defect is all that there is to see (as in pix2pix, Isola et al. 2017); the text's sees the image alone.
    ``style_weight`` weighs the difference of Gram matrices, ``perceptual_weight`` the
    distance of the features themselves.
    """

    def __init__(
        self,
        *,
        features: str = "efficientnet_lite0",
        features_file: str | None = None,
        sees_twin: bool = False,
        critic: Callable[..., nn.Module],
        style_weight: float = 10.0,
        perceptual_weight: float = 10.0,
        **given: Any,
    ) -> None:
        super().__init__(critic=partial(critic_of_pairs, critic) if sees_twin else critic, **given)
        check_features(features, features_file)
        check_at_least(0, style_weight=style_weight, perceptual_weight=perceptual_weight)
        self.features, self.features_file, self.sees_twin = features, features_file, sees_twin
        self.style_weight, self.perceptual_weight = style_weight, perceptual_weight
        if features == "efficientnet_lite0":
            self.trained_against = (features,)
        self.stages: Callable[[Tensor], list[Tensor]] | None = None

    def on_fit_start(self) -> None:
        """The network of the features is no part of this one: checkpoints do not hold it. ValueError without its weights."""
        super().on_fit_start()
        self.stages = stages_of(
            self.features, self.features_file, side=min(self.image_shape[1:]), like=next(self.generator.parameters())
        )

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        generator_optimizer, critic_optimizer = self.optimizers()  # type: ignore[attr-defined]
        # 1. The critic learns to tell defective images from translated ones.
        advance(self.critic)
        self.update(critic_optimizer, self.critic_objective, batch)
        # 2. The generator learns to have the texture and the features of the defective ones, and to be taken for one.
        self.update(generator_optimizer, self.generator_objective, batch)
        # 3. The average that is shown follows.
        self.move_average()
        self.count_images(batch["image"])

    def draw(self, part: dict[str, Any]) -> Tensor:
        """Translations of a part's twins by the weights that train."""
        noise = self.noise(part["first_number"], part["template"], seed=self.seed)
        drawn: Tensor = self.generator(part["template"], self.classes(part["label"]), noise=noise)
        return drawn

    def critic_objective(self, part: dict[str, Any]) -> Tensor:
        with torch.no_grad():
            fake = self.draw(part)
        real, fake = (self.shown(images, part) for images in (part["image"], fake))
        return self.tell_apart(real, fake, self.classes(part["label"]))

    def shown(self, images: Tensor, part: dict[str, Any]) -> Tensor:
        """What the critic sees of a part's images [B, C, H, W]: [B, 2 C, H, W] with the difference of their twins, if asked."""
        return torch.cat([images, images - part["template"]], dim=1) if self.sees_twin else images

    def generator_objective(self, part: dict[str, Any]) -> Tensor:
        fake = self.draw(part)
        style, perceptual = self.compare(at_least_float32(fake), part["image"])
        self.record({"loss/style": style, "loss/perceptual": perceptual})
        texture = self.style_weight * style + self.perceptual_weight * perceptual
        return self.weigh(texture, self.shown(fake, part), self.classes(part["label"]))

    def compare(self, drawn: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """The style loss and the perceptual distance of images [B, C, H, W], each a mean over the images."""
        assert self.stages is not None
        with full_precision(self.device.type):
            found, wanted = self.stages(drawn), self.stages(images)
            return style_loss(found, wanted).mean(), deep_feature_distance(found, wanted).mean()

    @torch.no_grad()
    def translate(
        self, images: Tensor, *, masks: Tensor | None, labels: Tensor | None, first: int, seed: int
    ) -> Tensor:
        given = self.as_averaged(images)
        drawn: Tensor = self.averaged_generator(given, labels, noise=self.noise(first, given, seed=seed))
        return at_least_float32(drawn).clamp(-1.0, 1.0)
