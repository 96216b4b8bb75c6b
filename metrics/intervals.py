"""How sure a mean or a share is: intervals at 95 %."""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy.stats import binomtest
from torch import Tensor

NORMAL_95 = 1.96  # deviations to each side of a mean


class Share(NamedTuple):
    """A share of a count and its interval."""

    value: float
    low: float
    high: float


def half_width(values: Tensor) -> float:
    """Of the normal interval about the mean of values [N], N > 1."""
    return NORMAL_95 * float(values.double().std()) / math.sqrt(len(values))


def wilson(hits: int, count: int) -> Share:
    """The share ``hits / count`` with Wilson's interval, which stays within [0, 1] also near its ends."""
    interval = binomtest(hits, count).proportion_ci(confidence_level=0.95, method="wilson")
    return Share(hits / count, float(interval.low), float(interval.high))
