"""How methods ask their critics: one that changes what it sees at random gets numbers that the run's clock addresses."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from generative.adversarial.projected import ProjectedCritic
from generative.precision import at_least_float32
from generative.randomness import Stream
from lightning_modules.backbones import Backbone
from lightning_modules.base import HasCritic


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


def get_ready(critic: nn.Module) -> None:
    """Read the weights that a critic looks through before anything is trained; ValueError where they cannot be had."""
    if isinstance(critic, ProjectedCritic):
        for backbone in critic.backbones.values():
            if isinstance(backbone, Backbone):
                backbone.load()
