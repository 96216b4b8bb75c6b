"""How methods ask their critics: one that changes what it sees at random gets numbers that the run's clock addresses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from generative.adversarial.projected import ProjectedCritic
from generative.precision import at_least_float32
from generative.randomness import Stream, permutation
from generative.rendering.images import from_uint8
from lightning_modules.backbones import LITE, Backbone
from lightning_modules.base import HasCritic

AT_ONCE = 64  # images in the network whose features classes have


def ask(method: HasCritic, images: Tensor, part: dict[str, Any], *, look: str) -> Tensor:
    """The critic's logits of ``images`` [B, C, H, W] of the numbers and labels of ``part``, in float32 or better.

    ``look`` says at what it looks: each look at the same numbers has random numbers of its own.
    """
    critic, labels = method.critic, part["label"]
    if isinstance(critic, ProjectedCritic):
        stream = Stream(method.seed, f"what the critic sees of {look}")
        uniform = stream.uniform(part["first_number"], len(images), critic.num_draws).to(images.device)
        return at_least_float32(critic(images, labels, uniform=uniform, kimg=method.images_seen / 1000))
    return at_least_float32(critic(images, labels))


def looked_through(critic: nn.Module) -> tuple[str, ...]:
    """The extractors that a generator is trained against with this critic, and which are no judges of it."""
    return tuple(critic.backbones) if isinstance(critic, ProjectedCritic) else ()


def check_slopes(critic: nn.Module, **weights: float) -> None:
    """ValueError where a penalty on the critic's slope is asked of one whose answers hang on the other images of a batch."""
    for name, weight in weights.items():
        if weight > 0 and isinstance(critic, ProjectedCritic):
            raise ValueError(
                f"{name}={weight:g} is a penalty on the slope at one image, and a projected critic has a batch norm: give "
                f"method.{name}=0"
            )


@torch.no_grad()
def class_features(critic: nn.Module, images: Tensor, labels: Tensor, *, num_classes: int, most: int) -> Tensor:
    """The mean features [num_classes, 320] of up to ``most`` images [N, C, H, W] of each class, by the network of its critic.

    Spatial means of the last stage of EfficientNet-Lite0, as Sauer et al. 2022 condition by. ValueError where the critic does
    not look through it, or a class has no image.
    """
    if not isinstance(critic, ProjectedCritic) or LITE not in critic.backbones:
        raise ValueError(
            f"method.class_features takes features of {LITE}: choose critic@method.critic=projected with it"
        )
    found = []
    for label in range(num_classes):
        own = (labels == label).nonzero()[:, 0]
        if not len(own):
            raise ValueError(
                f"no training image shows class {label}, so that it has no features: leave out method.class_features"
            )
        chosen = own[torch.from_numpy(permutation(label, 0, len(own), name="images whose features a class has"))[:most]]
        shown = images[chosen]
        shown = from_uint8(shown) if shown.dtype == torch.uint8 else shown
        parts = [critic.backbones[LITE](critic.prepared(part, None, kimg=None))[-1] for part in shown.split(AT_ONCE)]
        found.append(torch.cat(parts).mean(dim=(0, 2, 3)))
    return torch.stack(found)


def get_ready(critic: nn.Module) -> None:
    """Read the weights that a critic looks through before anything is trained; ValueError where they cannot be had."""
    if isinstance(critic, ProjectedCritic):
        for backbone in critic.backbones.values():
            if isinstance(backbone, Backbone):
                backbone.load()
