"""GAN losses as pairs of functions on logits [B] (or any shape): ``<name>_discriminator(real, fake)`` and
``<name>_generator(fake)``, each a mean over all logits. A configuration names the pair."""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

DiscriminatorLoss = Callable[[Tensor, Tensor], Tensor]
GeneratorLoss = Callable[[Tensor], Tensor]


def logistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E softplus(-D(x)) + E softplus(D(G(z))): the loss of the original GAN, on logits."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def logistic_generator(fake: Tensor) -> Tensor:
    """E softplus(-D(G(z))): the non-saturating generator loss."""
    return F.softplus(-fake).mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E relu(1 - D(x)) + E relu(1 + D(G(z)))."""
    return F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """-E D(G(z))."""
    return -fake.mean()


def loss_pair(name: str) -> tuple[DiscriminatorLoss, GeneratorLoss]:
    """The two functions of the loss ``name``; ValueError lists the names there are."""
    module = sys.modules[__name__]
    suffix = "_discriminator"
    if not hasattr(module, name + suffix):
        names = sorted(key.removesuffix(suffix) for key in vars(module) if key.endswith(suffix))
        raise ValueError(f"unknown loss {name!r}: choose one of {', '.join(names)}")
    return getattr(module, name + suffix), getattr(module, name + "_generator")
