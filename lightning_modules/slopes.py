"""What bounds the slope of a critic: a penalty on its gradient between images and fakes, or clipped weights.

The third way of chapter 2, spectral normalisation, is a setting of the critic itself.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from generative.adversarial.penalties import gradient_penalty, r1_penalty
from generative.precision import at_least_float32
from generative.randomness import Stream
from lightning_modules.base import Method


def check_independent(critic: nn.Module) -> None:
    """ValueError where what ``critic`` says of an image hangs on the others of its batch, as under a batch norm.

    A penalty on its slope at one image would mean nothing then (Gulrajani et al. 2017, section 4).
    """
    names = [name for name, layer in critic.named_modules() if isinstance(layer, _BatchNorm)]
    if names:
        raise ValueError(
            f"penalty_weight above 0 needs a critic without batch norm, and {names[0]} is one: choose "
            "critic.normalization=none, or group"
        )


def slope_penalty(
    critic: Callable[[Tensor], Tensor], part: dict[str, Any], fake_images: Tensor, *, method: Method
) -> Tensor:
    """The gradient penalty of ``critic``, images -> [B], at a random point between each image of ``part`` and its fake.

    Never in half precision; ``method``'s seed addresses the points, and its record gets the value.
    """
    real_images = part["image"]
    shares = Stream(method.seed, "between").uniform(part["first_number"], len(real_images)).to(real_images)
    with torch.autocast(method.device.type, enabled=False):
        penalty = gradient_penalty(critic, real_images, fake_images.to(real_images), shares)
    method.record({"penalty/gradient": penalty})
    return penalty


def real_logits_and_r1(
    critic: Callable[[Tensor], Tensor], real_images: Tensor, *, penalize: bool
) -> tuple[Tensor, Tensor | None]:
    """What ``critic`` says of images, [B] in float32 or better, and where ``penalize`` the penalty R1 of it, else None.

    The penalty's two derivatives are never in half precision.
    """
    with torch.autocast(real_images.device.type, enabled=False) if penalize else nullcontext():
        images = real_images.clone().requires_grad_(penalize)
        logits = at_least_float32(critic(images))
        return logits, r1_penalty(logits, images) if penalize else None


@torch.no_grad()
def clip_weights(network: nn.Module, *, limit: float) -> None:
    """Every parameter to [-limit, limit]: then no slope is above a bound (Arjovsky et al. 2017)."""
    for parameter in network.parameters():
        parameter.clamp_(-limit, limit)
