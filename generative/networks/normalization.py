"""Group norm (Wu and He 2018): no image depends on the others of its batch. How many groups a number of channels makes.

There are two rules, since what a network computes with its weights depends on them: each was trained by its own. Networks
that were published in Keras have batch norm with its constants instead, or group norm.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

from generative.checks import check_choice

MOST_GROUPS = 32
LEAST_CHANNELS = 8  # of a group where last maps may be one pixel: a group of few values says little
KERAS_EPSILON = 1e-3
KERAS_MOMENTUM = 0.01  # in PyTorch's sense, the share of the newest batch; Keras states the other share, 0.99


def by_powers_of_two(channels: int, *, least_channels: int) -> int:
    """The largest power of two up to 32 whose groups have a multiple of ``least_channels``, of which there are at least so many."""
    return math.gcd(MOST_GROUPS, channels // least_channels)


def by_divisors(channels: int, *, least_channels: int) -> int:
    """The largest divisor of ``channels`` up to 32 whose groups have at least ``least_channels``; 1 where there is none."""
    most = min(MOST_GROUPS, channels // least_channels or 1)
    return next(count for count in range(most, 0, -1) if channels % count == 0)


def group_norm(channels: int, *, least_channels: int, rule: Callable[..., int] = by_divisors) -> nn.GroupNorm:
    """Over ``channels`` in as many groups as the ``rule`` makes of them, each of ``least_channels`` or more."""
    return nn.GroupNorm(rule(channels, least_channels=least_channels), channels)


def keras_norm(normalization: str, channels: int, *, batch_momentum: float = KERAS_MOMENTUM) -> nn.Module:
    """``batch``: batch norm as Keras has it by default; ``group``: group norm in its place, for any number of channels.

    ``batch_momentum``, in (0, 1], is the newest batch's share of the moving statistics. ValueError for other settings.
    """
    check_choice("normalization", normalization, ("batch", "group"))
    if not 0.0 < batch_momentum <= 1.0:
        raise ValueError(
            f"batch_momentum is the newest batch's share of the moving statistics, above 0 and at most 1, "
            f"got {batch_momentum} (Keras' momentum 0.99 is {KERAS_MOMENTUM} here)"
        )
    if normalization == "group":
        return group_norm(channels, least_channels=LEAST_CHANNELS)
    return nn.BatchNorm2d(channels, eps=KERAS_EPSILON, momentum=batch_momentum)
