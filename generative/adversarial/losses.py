"""GAN losses as pairs of functions on logits [B] (or any shape): ``<name>_discriminator(real, fake)`` and
``<name>_generator(fake)``, each a mean over all logits. A configuration names the pair."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable
from functools import partial

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


def minimax_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-E ln s(D(x)) - E ln(1 - s(D(G(z)))), s the logistic function: minus the value of the game of eq. 2.1."""
    return logistic_discriminator(real, fake)


def minimax_generator(fake: Tensor) -> Tensor:
    """E ln(1 - s(D(G(z)))): the generator's part of eq. 2.1, whose gradient vanishes where the critic is sure of a fake."""
    return -F.softplus(fake).mean()


def least_squares_discriminator(
    real: Tensor, fake: Tensor, *, real_target: float = 1.0, fake_target: float = 0.0
) -> Tensor:
    """E (D(x) - a)^2 / 2 + E (D(G(z)) - b)^2 / 2 (eq. 2.5) with a the ``real_target`` and b the ``fake_target``."""
    return 0.5 * (real - real_target).square().mean() + 0.5 * (fake - fake_target).square().mean()


def least_squares_generator(fake: Tensor, *, generator_target: float = 1.0) -> Tensor:
    """E (D(G(z)) - c)^2 / 2 (eq. 2.5) with c the ``generator_target``."""
    return 0.5 * (fake - generator_target).square().mean()


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-E D(x) + E D(G(z)): minus eq. 2.7, if D has a slope of at most 1."""
    return fake.mean() - real.mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """-E D(G(z))."""
    return -fake.mean()


def loss_pair(name: str, **settings: float) -> tuple[DiscriminatorLoss, GeneratorLoss]:
    """The two functions of the loss ``name``, with those ``settings`` that each takes.

    ValueError lists the names there are, and the settings of the loss where it has no such one.
    """
    module = sys.modules[__name__]
    suffix = "_discriminator"
    if not hasattr(module, name + suffix):
        names = sorted(key.removesuffix(suffix) for key in vars(module) if key.endswith(suffix))
        raise ValueError(f"unknown loss {name!r}: choose one of {', '.join(names)}")
    pair = getattr(module, name + suffix), getattr(module, name + "_generator")
    taken = [keyword_arguments(function) for function in pair]
    for key in settings:
        if key not in {*taken[0], *taken[1]}:
            known = ", ".join([*taken[0], *taken[1]]) or "none"
            raise ValueError(f"loss {name!r} has no setting {key!r}: it takes {known}")
        if not isinstance(settings[key], int | float) or not math.isfinite(settings[key]):
            raise ValueError(f"{key} of loss {name!r} must be a finite number, got {settings[key]!r}")
    discriminator, generator = (
        partial(function, **{key: settings[key] for key in own if key in settings}) if own else function
        for function, own in zip(pair, taken, strict=True)
    )
    return discriminator, generator


def keyword_arguments(function: Callable[..., Tensor]) -> list[str]:
    return [name for name, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY]
