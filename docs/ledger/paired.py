"""Claims judged image by image: two arms that were given the same images by the same generators."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from docs.ledger.claim import Filled, filled
from docs.ledger.orders import LEVEL, Order, Row
from docs.ledger.results import Arm, Line, facts

LEAST_GENERATORS = 5  # from which on an order is stated
FEW_GENERATORS = f"open: fewer than {LEAST_GENERATORS} generators were measured"
CAP = 40.0  # dB: a hole over a plain ground would count 100, and one image then as much as twenty others
Differences = NDArray[np.float64]  # [seeds, images]: the better arm minus the other


@dataclass(frozen=True)
class PairedOrder:
    """Two arms by ``differences`` of a measure, [S, I], of S training seeds of the generator and I images each.

    Seeds meet the same images and images the same seeds, so neither are the S I differences independent, nor S of them
    enough: the variance of the mean is that of the means of seeds, plus that of the means of images, minus that of single
    differences (Cameron, Gelbach and Miller 2011), and never less than the larger of the first two. By Student's t with
    Satterthwaite's degrees of freedom: I - 1 where images differ most, and S - 1 at most where means of seeds vary by more
    than chance among images can make them. In simulations of five generators and 100 images a test at 5 % errs in at most 6 %
    of cases, at 0.5 % in at most 0.6 %, at 0.07 % in at most 0.15 %. Of three generators one at 0.07 % errs in up to 1.4 %, so
    that no order is stated of fewer than five.
    """

    metric: str
    differences: Differences = field(repr=False)
    unit: str = ""
    holds: str = Order.holds
    reverse: str = Order.reverse

    def __post_init__(self) -> None:
        if self.differences.shape[1] < 2:
            raise ValueError(
                f"{self.metric} is compared image by image, of at least two, got {self.differences.shape[1]}"
            )
        if not np.isfinite(self.differences).all():
            raise ValueError(f"{self.metric} must be finite to be compared")

    @property
    def is_open(self) -> bool:
        return len(self.differences) < LEAST_GENERATORS

    @property
    def mean(self) -> float:
        return float(self.differences.mean())

    @cached_property
    def parts(self) -> tuple[float, float, float]:
        """The variance of :attr:`mean` by the means of seeds, by those of images, and by single differences."""
        seeds, images = self.differences.shape
        centred = self.differences - self.differences.mean()
        by_seed = (centred.mean(axis=1) ** 2).sum() / (seeds * (seeds - 1))
        by_image = (centred.mean(axis=0) ** 2).sum() / (images * (images - 1))
        return float(by_seed), float(by_image), float((centred**2).sum() / (seeds * images) ** 2)

    @property
    def error(self) -> float:
        """The standard error of :attr:`mean`."""
        by_seed, by_image, single = self.parts
        return math.sqrt(max(by_seed + by_image - single, by_seed, by_image))

    @property
    def degrees(self) -> float:
        """Of freedom, of :attr:`error` (Satterthwaite 1946)."""
        seeds, images = (size - 1 for size in self.differences.shape)
        by_seed, by_image, single = self.parts
        found = self.error**4 / (by_seed**2 / seeds + by_image**2 / images + single**2 / (seeds * images))
        return min(found, seeds) if by_seed > single else found

    @property
    def p(self) -> float:
        """That the mean is 0; 1 where all differences are."""
        if self.error == 0:
            return 1.0 if self.mean == 0 else 0.0
        return float(2 * stats.t.sf(abs(self.mean) / self.error, self.degrees))

    def difference(self) -> tuple[float, float, float]:
        """The mean and its 95 % interval."""
        half = 0.0 if self.error == 0 else float(stats.t.ppf(0.975, self.degrees)) * self.error
        return self.mean, self.mean - half, self.mean + half

    def found(self) -> str:
        mean, low, high = self.difference()
        seeds, images = self.differences.shape
        unit = f" {self.unit}" if self.unit else ""
        return (
            f"{self.metric} {mean:+.2f}{unit}, 95 % interval {low:+.2f} to {high:+.2f} (paired over {images} images and "
            f"{seeds} generators), p {self.p:.2g}"
        )

    def verdict(self, p: float) -> str:
        """By ``p`` of it among all orders of its page."""
        if p >= LEVEL:
            return "undecided at this scale"
        return self.holds if self.mean > 0 else self.reverse


ALIKE = ("images", "named", "sample_seed")  # of two lines whose values are of the same images


def differences(better: list[Line], worse: list[Line], measure: str, *, same_holes: bool = True) -> Differences:
    """Of the values of each image, a list in a line, of the seeds that both arms have: [S, I]. Decibels count up to ``CAP``.

    ValueError where the two arms of a seed were given other images, other holes unless that is the question, or were drawn
    at one time of training by other weights.
    """
    values = [{line["train_seed"]: line for line in lines} for lines in (better, worse)]
    seeds = sorted(values[0].keys() & values[1].keys())
    rows = []
    for seed in seeds:
        one, other = (of_arm[seed] for of_arm in values)
        both = f"{one['arm']} and {other['arm']}"
        if any(one.get(key) != other.get(key) for key in ALIKE) or (same_holes and one["mask"] != other["mask"]):
            raise ValueError(f"arms of seed {seed} were given other images or holes: {both}")
        if one.get("kimg") == other.get("kimg") and one.get("generator") != other.get("generator"):
            raise ValueError(f"arms of seed {seed} are by different weights, {both}: measure both again")
        rows.append(np.subtract(*(np.minimum(line[measure], CAP) for line in (one, other))))
    return np.array(rows) if rows else np.empty((0, 2))


@dataclass(frozen=True, kw_only=True)
class Paired(Filled):
    """The arm ``better`` is better than the arm ``worse`` by ``measure``, image by image; more is better of it.

    Their lines hold a list of values, one an image. ``other_holes``: the arms differ in what is hidden of the images.
    ``unmeasured``: the verdict until five seeds of both are there.
    """

    measure: str
    better: Arm
    worse: Arm
    other_holes: bool = False
    called: str = ""
    unit: str = ""
    command: str = ""
    unmeasured: str = FEW_GENERATORS
    holds: str = Order.holds
    reverse: str = Order.reverse

    def row(self) -> Row:
        arms = self.better.lines(), self.worse.lines()
        found = differences(*arms, self.measure, same_holes=not self.other_holes)
        order = PairedOrder(self.called or self.measure, found, self.unit, self.holds, self.reverse)
        says = filled(self.says, self.filling())
        if order.is_open:
            return Row(self.where, says, verdict=self.unmeasured)
        told: dict[str, Any] = dict(facts(self.better.run_lines(), self.command))
        return Row(self.where, says, **told, order=order)
