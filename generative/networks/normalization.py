"""Group norm (Wu and He 2018): no image depends on the others of its batch. How many groups a number of channels makes.

There are two rules, since what a network computes with its weights depends on them: each was trained by its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

MOST_GROUPS = 32


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
