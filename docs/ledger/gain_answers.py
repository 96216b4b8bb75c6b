"""What the cells of `python -m docs.ledger.gain` say: differences between arms, and how many real defects drawing is worth."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import numpy as np

from docs.ledger.gain_arms import ASKED
from docs.ledger.orders import LEVEL, holm
from docs.ledger.paired import PairedOrder
from docs.ledger.results import Line
from generative.randomness import Stream

CONTROL = "real"
RESAMPLES = 2000
MEASURE = "balanced_accuracy"
NO_DIFFERENCE = "it makes no difference that shows here"
CLOSE = 1e-6  # real defects: the logarithm's rounding


@dataclass(frozen=True)
class Cells:
    """What was measured on one set: of each arm and number of real defects a line a seed, and what the test patches are."""

    test: Line
    by_arm: Mapping[tuple[str, int], Mapping[int, Line]] = field(repr=False)

    @staticmethod
    def of(lines: Sequence[Line]) -> Cells:
        """ValueError where lines are of other test patches or another protocol than the first: they cannot be compared."""
        test = next((line for line in lines if line["arm"] == "test"), None)
        if test is None:
            raise ValueError("the first line of a file of cells says what the test patches are: measure with --data")
        by_arm: dict[tuple[str, int], dict[int, Line]] = {}
        for line in lines:
            if line is not test:
                by_arm.setdefault((line["arm"], line["num_real"]), {})[line["seed"]] = line
        return Cells(test, by_arm)

    @property
    def classes(self) -> list[str]:
        return list(self.test["classes"])

    @property
    def labels(self) -> np.ndarray:
        return np.array(self.test["labels"])

    @property
    def numbers(self) -> list[int]:
        """Of real defects, in order."""
        return sorted({num_real for _, num_real in self.by_arm})

    def lines(self, arm: str, num_real: int) -> list[Line]:
        return list(self.by_arm.get((arm, num_real), {}).values())

    def scores(self, arm: str, num_real: int, measure: str = MEASURE) -> dict[int, float]:
        """By seed; without those that a set has no such measure of."""
        found = self.by_arm.get((arm, num_real), {})
        return {seed: line[measure] for seed, line in found.items() if measure in line}

    def hits(self, line: Line) -> np.ndarray:
        """Whether each test patch was named right, bool [N]."""
        return np.array([int(letter, 36) for letter in line["named"]]) == self.labels

    def balanced_parts(self, right: np.ndarray) -> np.ndarray:
        """[G], one a source image, whose mean is the balanced accuracy of ``right`` [N] in per cent.

        Each patch counts as one part in its class, each class as much as another; what lies on one image is one observation.
        """
        counts = np.bincount(self.labels, minlength=len(self.classes))
        weights = 100.0 / (counts[self.labels] * np.count_nonzero(counts))
        _, places = np.unique(self.test["origins"], return_inverse=True)
        sums: np.ndarray = np.bincount(places, weights=weights * right)
        return sums * len(sums)

    def difference(self, arm: str, other: str, num_real: int) -> PairedOrder | None:
        """Of balanced accuracy, over the seeds that both have and the source images of the test patches; None without any."""
        own, others = (self.by_arm.get((name, num_real), {}) for name in (arm, other))
        seeds = sorted(own.keys() & others.keys())
        if not seeds:
            return None
        rows = [
            self.balanced_parts(self.hits(own[seed]).astype(float) - self.hits(others[seed]).astype(float))
            for seed in seeds
        ]
        return PairedOrder("balanced accuracy", np.array(rows), unit="points")

    def worth(self, num_real: int) -> Worth | None:
        """How many more real defects a class would do what drawing does; None where the real arm has one number only."""
        curve = {number: self.scores(CONTROL, number) for number in self.numbers}
        curve = {number: scores for number, scores in curve.items() if scores}
        asked = self.scores(ASKED, num_real)
        seeds = sorted(set(asked).intersection(*curve.values())) if curve else []
        if len(curve) < 2 or not seeds:
            return None
        table = np.array([[curve[number][seed] for number in sorted(curve)] for seed in seeds])
        reached = np.array([asked[seed] for seed in seeds])
        numbers = sorted(curve)
        found = equal_number(numbers, table.mean(axis=0), reached.mean())
        draws = Stream(0, "worth of synthesis").uniform(0, RESAMPLES, len(seeds)).numpy()
        rows = (draws * len(seeds)).astype(int)
        spread = [equal_number(numbers, table[row].mean(axis=0), reached[row].mean()) for row in rows]
        low, high = np.quantile(spread, [0.025, 0.975])
        return Worth(found - num_real, float(low) - num_real, float(high) - num_real, numbers[-1] - num_real)


@dataclass(frozen=True)
class Worth:
    """So many more real defects a class, with a 95 % bootstrap interval over seeds; ``most`` is what was measured."""

    more: float
    low: float
    high: float
    most: float

    def words(self) -> str:
        """What is said of it behind the points."""
        if self.more >= self.most - CLOSE:
            return f"more than {self.most:.0f} further real ones a class would"
        if self.more <= 0:
            return "no more than further real ones would"
        high = f"over {self.most:.0f}" if self.high >= self.most - CLOSE else f"{self.high:.0f}"
        return f"as much as {self.more:.0f} further real ones a class would ({max(0.0, self.low):.0f} to {high})"


def equal_number(numbers: Sequence[int], curve: np.ndarray, value: float) -> float:
    """At which number of real defects the ``curve``, made to rise, has ``value``; linear in the logarithm of the number."""
    rising = np.maximum.accumulate(curve)
    return float(np.exp(np.interp(value, rising, np.log(numbers))))


def verdict(order: PairedOrder) -> str:
    """What an engineer should do. One seed decides nothing."""
    if len(order.differences) < 2:
        return "one seed decides nothing: measure more"
    _, low, high = order.difference()
    return "use it here" if low > 0 else "do not use it here" if high < 0 else NO_DIFFERENCE


def answer(cells: Cells, num_real: int) -> str:
    """One sentence; empty where the two arms were not both measured."""
    order = cells.difference(ASKED, CONTROL, num_real)
    if order is None:
        return ""
    worth = cells.worth(num_real)
    said = verdict(order)
    # Of the most real ones nothing is known, and what does not show is worth nothing that shows.
    as_much = "" if worth is None or worth.most < 1 or said == NO_DIFFERENCE else f", {worth.words()}"
    return (
        f"With {num_real} real defects a class synthesis changes balanced accuracy by {span(order)}{as_much}: {said}."
    )


def span(order: PairedOrder) -> str:
    mean, low, high = order.difference() if len(order.differences) > 1 else (order.mean, math.nan, math.nan)
    interval = "one seed" if math.isnan(low) else f"95 % interval {low:+.1f} to {high:+.1f}"
    return f"{mean:+.1f} points ({interval})"


def compared(cells: Cells, arms: Sequence[str]) -> list[tuple[int, str, PairedOrder, float]]:
    """Every arm against the real one: number, arm, difference, and p among all that have five seeds (Holm), else NaN."""
    found = [
        (number, arm, order)
        for number in cells.numbers
        for arm in arms
        if arm != CONTROL and (order := cells.difference(arm, CONTROL, number)) is not None
    ]
    p_values = iter(holm([order.p for _, _, order in found if not order.is_open]))
    return [(number, arm, order, math.nan if order.is_open else next(p_values)) for number, arm, order in found]


PAIRS = (  # beside every arm against the control
    ("rendered", "rendered_random"),
    ("rendered_only", "random_only"),
    ("screened", "rendered"),
    ("refined", "rendered"),
    ("filled", "rendered"),
    ("paste_matched", "paste_anywhere"),
    ("pair_rendered", "pair_real"),
)


def difference_lines(cells: Cells, arms: Sequence[str]) -> list[Line]:
    """What a claim may state: each difference in points with its interval and seeds, and the recall of each class."""
    lines: list[Line] = []
    for number in cells.numbers:
        for arm, other in (*((arm, CONTROL) for arm in arms if arm != CONTROL), *PAIRS):
            order = cells.difference(arm, other, number)
            if order is not None and not order.is_open:
                mean, low, high = (round(float(part), 2) for part in order.difference())
                seeds = len(order.differences)
                row = {"asked": "difference", "num_real": number, "arm": arm, "against": other, "seeds": seeds}
                lines.append(row | {"points": mean, "low": low, "high": high, "p": float(f"{order.p:.3g}")})
        for arm in (CONTROL, ASKED):
            if cells.lines(arm, number):
                shares = zip(cells.classes, recalls(cells, arm, number), strict=True)
                named = {f"recall of {name}": round(share, 2) for name, share in shares if share is not None}
                lines.append({"asked": "recall", "num_real": number, "arm": arm, **named})
    return lines


def found_in_words(order: PairedOrder, p: float) -> str:
    if math.isnan(p):
        return "open"
    return "undecided" if p >= LEVEL else "better" if order.mean > 0 else "worse"


def deviating(values: Sequence[float]) -> str:
    """Mean and standard deviation, as the chapter prints them."""
    if not values:
        return "-"
    mean = fmean(values)
    if len(values) < 2:
        return f"{mean:.1f}"
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return f"{mean:.1f} ± {deviation:.1f}"


def recalls(cells: Cells, arm: str, num_real: int) -> list[float | None]:
    """Mean over seeds of each class's share that is named right, in per cent; None where no test patch shows it."""
    rows = [line["recalls"] for line in cells.lines(arm, num_real)]
    return [None if None in column else fmean(column) for column in zip(*rows, strict=True)]


def read_lines(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
