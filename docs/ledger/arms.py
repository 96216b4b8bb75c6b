"""Claims judged by the results of training runs: a value, a gate, an order of two arms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from docs.ledger.claim import Filled, filled
from docs.ledger.orders import FEW_SEEDS, Order, Row
from docs.ledger.results import Arm, Facts, Line, Measure, checked_direction, facts, stated, value
from metrics.measures import Direction


@dataclass(frozen=True, kw_only=True)
class Measured(Filled, ABC):
    """``measures`` of the runs ``of`` an experiment by the names that the page calls them, each as the mean over seeds.

    ``unmeasured``: what stands as the verdict until there are results.
    """

    of: Arm
    measures: dict[str, Measure]
    command: str = ""
    unmeasured: str = FEW_SEEDS

    def row(self) -> Row:
        lines = self.of.lines()
        if not lines:
            return Row(self.where, filled(self.says, self.filling()), verdict=self.unmeasured)
        command = self.command or f"`python train.py experiment={self.of.experiment} seed=<seed>`"
        return Row(
            self.where,
            filled(self.says, self.filling()),
            ", ".join(f"{name} {stated(lines, measure)}" for name, measure in self.measures.items()),
            **facts(self.of.run_lines(), command),
            verdict=self.verdict_on(lines),
        )

    @abstractmethod
    def verdict_on(self, lines: list[Line]) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Stated(Measured):
    verdict: str

    def verdict_on(self, lines: list[Line]) -> str:
        return self.verdict


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Between which a value must lie, the ends included."""

    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise ValueError("needs 'at_least', 'at_most' or both")

    def hold(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        ends = {"at least": self.at_least, "at most": self.at_most}
        return " and ".join(f"{words} {end}" for words, end in ends.items() if end is not None)


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The bounds of each measure that every seed must keep to; where a page explains it, ``of`` what and ``measured`` how."""

    bounds: dict[Measure, Bounds]
    of: str = ""
    measured: str = ""

    def __str__(self) -> str:
        return ", ".join(f"{measure} {bounds}" for measure, bounds in self.bounds.items())

    def passed_by(self, lines: list[Line]) -> bool:
        return all(bounds.hold(value(line, name)) for line in lines for name, bounds in self.bounds.items())


@dataclass(frozen=True, kw_only=True)
class Gated(Measured):
    gate: Gate
    passes: str = "reproduced at this scale: every seed passes the gate"
    fails: str = "not reproduced: a seed fails the gate"

    def verdict_on(self, lines: list[Line]) -> str:
        return self.passes if self.gate.passed_by(lines) else self.fails


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What must have been reached before an order is stated, and the verdict ``otherwise``."""

    of: Arm
    gate: Gate
    otherwise: str

    def verdict(self) -> str:
        """Empty where it is met: then the order has one of its own."""
        return "" if self.gate.passed_by(self.of.lines()) else self.otherwise


@dataclass(frozen=True, kw_only=True)
class Ordered(Filled):
    """The arm ``better`` is better than the arm ``worse`` by ``measure``, which the page calls ``called``.

    ``ours`` are words before the order found; in them ``{each}`` are the values of all seeds and ``{means}`` their means.
    ``unmeasured``: what stands as the verdict until there are results of enough seeds. ``paired``: both arms are of the same
    runs, which are compared one by one; those that only one of them has do not count.
    """

    measure: str
    better: Arm
    worse: Arm
    paired: bool = False
    called: str = ""
    direction: Direction | None = None
    ours: str = ""
    command: str = ""
    given: Condition | None = None
    unmeasured: str = FEW_SEEDS
    holds: str = Order.holds
    reverse: str = Order.reverse

    def __post_init__(self) -> None:
        checked_direction(self.measure, self.direction)

    def row(self) -> Row:
        order = Order(
            self.called or self.measure,
            *self.values(),
            lower=checked_direction(self.measure, self.direction) == "lower",
            paired=self.paired,
            holds=self.holds,
            reverse=self.reverse,
        )
        if order.is_open:
            return Row(self.where, filled(self.says, self.filling()), verdict=self.unmeasured)
        return Row(
            self.where,
            filled(self.says, self.filling()),
            filled(self.ours, self.filling() | order_in_words(order)),
            **self.facts_of_arms(),
            verdict="" if self.given is None else self.given.verdict(),
            order=order,
        )

    def values(self) -> tuple[list[float], list[float]]:
        """Of the better arm and of the other one; of paired arms seed by seed."""
        better, worse = (self.by_seed(arm) for arm in (self.better, self.worse))
        if self.paired:
            seeds = sorted(better.keys() & worse.keys())
            return [better[seed] for seed in seeds], [worse[seed] for seed in seeds]
        return [*better.values()], [*worse.values()]

    def by_seed(self, arm: Arm) -> dict[int, float]:
        """ValueError where lines of a seed differ in more than ``only`` says: as seeds of one arm they would count twice."""
        lines = arm.lines()
        # What a task wrote of one model a line may leave the seed to the file of the runs.
        found = {line.get("train_seed", number): value(line, self.measure) for number, line in enumerate(lines)}
        if len(found) < len(lines):
            raise ValueError(
                f"{arm.experiment} has several lines of a seed with {arm.only}: say by 'only' which are meant"
            )
        return found

    def facts_of_arms(self) -> Facts:
        arms = (self.better, self.worse)
        told = [facts(arm.run_lines(), "") for arm in arms]
        experiments = dict.fromkeys(arm.experiment for arm in arms)
        return {
            "seeds": " against ".join(dict.fromkeys(runs["seeds"] for runs in told)),
            "hardware": " against ".join(dict.fromkeys(runs["hardware"] for runs in told)),
            "kimg": " against ".join(dict.fromkeys(runs["kimg"] for runs in told)),
            "command": self.command or "`python train.py experiment=" + "` and `".join(experiments) + "`",
        }


def order_in_words(order: Order) -> dict[str, str]:
    arms = (order.better, order.worse)
    return {
        "each": " against ".join(", ".join(f"{value:.3f}" for value in arm) for arm in arms),
        "means": " against ".join(f"{sum(arm) / len(arm):.3f}" for arm in arms),
    }
