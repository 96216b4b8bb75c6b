"""Orders of two arms: how they are tested, and what a page of them may say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Protocol

import numpy as np
from scipy import stats

LEAST_SEEDS = 3  # of each side, from which on an order is stated
FEW_SEEDS = f"open: fewer than {LEAST_SEEDS} seeds were trained"
LEVEL = 0.05  # of the orders of a page together


@dataclass(frozen=True)
class Order:
    """Two arms of a claim: the values of a measure, one a training seed, of that which is to be better and of the other.

    A measure of which less is better, ``lower``, is a distance here: positive and of skewed spread, so arms are compared
    on logarithms, as the ratio of their geometric means. The others are shares, and compared by their difference. Both by
    Welch's t: seeds share no more than a number and the order of images. ``paired``: the values of both arms in turn are of
    one run, as at two times of its training; then by Student's t of their differences.
    """

    metric: str
    better: list[float]
    worse: list[float]
    _: KW_ONLY
    lower: bool = False
    paired: bool = False
    holds: str = "reproduced at this scale"
    reverse: str = "not reproduced at this scale: the other way round"

    def __post_init__(self) -> None:
        values = [*self.better, *self.worse]
        if not all(map(math.isfinite, values)):
            raise ValueError(
                f"{self.metric} must be finite to be compared, got {values}: leave out the run that diverged"
            )
        if self.lower and min(values, default=1.0) <= 0:
            raise ValueError(f"{self.metric} is compared on logarithms and must be positive, got {min(values)}")

    @property
    def is_open(self) -> bool:
        return min(len(self.better), len(self.worse)) < LEAST_SEEDS

    def test(self) -> Any:
        """Of the better arm against the other, on the scale that they are compared on."""
        arms = [np.log(arm) if self.lower else np.asarray(arm) for arm in (self.better, self.worse)]
        return stats.ttest_rel(*arms) if self.paired else stats.ttest_ind(*arms, equal_var=False)

    @property
    def p(self) -> float:
        """Of :meth:`test`; 1 where it has none, since all values are the same."""
        p = float(self.test().pvalue)
        return 1.0 if math.isnan(p) else p

    def difference(self) -> tuple[float, float, float]:
        """The better arm minus the other, or divided by it where they are distances, and the 95 % interval of that."""
        low, high = (float(end) for end in self.test().confidence_interval(0.95))
        if self.lower:
            return math.exp(np.mean(np.log(self.better)) - np.mean(np.log(self.worse))), math.exp(low), math.exp(high)
        return float(np.mean(self.better) - np.mean(self.worse)), low, high

    def found(self) -> str:
        mean, low, high = self.difference()
        how = "paired" if self.paired else "Welch"
        if self.lower:
            size = f"{self.metric} {mean:.3g} times, 95 % interval {low:.3g} to {high:.3g} ({how} on logarithms)"
        else:
            size = f"{self.metric} {mean:+.4f}, 95 % interval {low:+.4f} to {high:+.4f} ({how})"
        are_apart = max(self.better) < min(self.worse) or max(self.worse) < min(self.better)
        return f"{size}, p {self.p:.2g}{'; values do not overlap' if are_apart else ''}"

    def verdict(self, p: float) -> str:
        """By ``p`` of the order among all of its page: which order was seen, or that both are left open."""
        if p >= LEVEL:
            return "undecided at this scale"
        mean = self.difference()[0]
        return self.holds if (mean < 1 if self.lower else mean > 0) else self.reverse


class Comparison(Protocol):
    """A test of two arms, as a page needs it."""

    @property
    def p(self) -> float:
        """Of the test alone."""

    def found(self) -> str:
        """In words."""

    def verdict(self, p: float) -> str:
        """By ``p`` of it among all of the page."""


@dataclass(frozen=True)
class Row:
    """A row of the page. One that rests on an ``order`` and has no verdict of its own gets it from :func:`decided`."""

    where: str
    says: str
    ours: str = ""
    seeds: str = ""
    hardware: str = ""
    kimg: str = ""
    command: str = ""
    verdict: str = ""
    order: Comparison | None = None


def holm(p_values: Sequence[float]) -> list[float]:
    """The p of each of several tests among all of them: at most 5 % of pages where nothing is to be found have one below 0.05.

    Holm 1979: the smallest times their number, the next times one less, and none below a smaller one's.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def decided(page: Sequence[Row]) -> list[Row]:
    """The rows of a page, the orders among them in words and with a verdict that minds how many there are."""
    asked = {k: row.order for k, row in enumerate(page) if row.order is not None and not row.verdict}
    p_values = dict(zip(asked, holm([order.p for order in asked.values()]), strict=True))
    rows = []
    for k, row in enumerate(page):
        if row.order is None:
            rows.append(row)
            continue
        words = [*([row.ours] if row.ours else []), row.order.found()]
        if k in asked:
            words.append(f"{p_values[k]:.2g} among {len(asked)} orders (Holm)")
        verdict = row.order.verdict(p_values[k]) if k in asked else row.verdict
        rows.append(replace(row, ours="; ".join(words), verdict=verdict))
    return rows
