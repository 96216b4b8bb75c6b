"""The answers to the questions of docs/ledger/inpainting_questions.py, by lines of docs/results."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from docs.ledger.inpainting_questions import MEASURES, QUESTIONS, Pair
from docs.ledger.orders import LEVEL, holm
from docs.ledger.paired import PairedOrder, differences
from docs.ledger.results import Line


@dataclass(frozen=True)
class Answered:
    """A ``pair`` of a question with what was found; ``order`` None: too few generators."""

    pair: Pair
    order: PairedOrder | None
    p: float = math.nan

    @property
    def verdict(self) -> str:
        if self.order is None:
            return "open"
        if self.p >= LEVEL:
            return "undecided"
        return "better" if self.order.mean > 0 else "worse"

    def row(self) -> list[str]:
        found = ["-", "-"]
        if self.order is not None:
            mean, low, high = self.order.difference()
            found = [f"{mean:+.2f} ({low:+.2f} to {high:+.2f})", f"{self.p:.2g}"]
        pair = self.pair
        return [pair.arm, pair.against, pair.mask, MEASURES[pair.measure], *found, self.verdict]


def answers(lines: Sequence[Line]) -> list[list[Answered]]:
    """Of each question its pairs in order, with p among all that have five generators (Holm)."""
    found = [[(pair, order_of(pair, lines)) for pair in question.pairs] for question in QUESTIONS]
    decided = iter(holm([order.p for pairs in found for _, order in pairs if order is not None]))
    return [
        [Answered(pair, order, math.nan if order is None else next(decided)) for pair, order in pairs]
        for pairs in found
    ]


def order_of(pair: Pair, lines: Sequence[Line]) -> PairedOrder | None:
    last = max((line["kimg"] for line in lines), default=0.0)

    def lines_of_arm(arm: str, mask: str, *, early: bool) -> list[Line]:
        return [
            line for line in lines if line["arm"] == arm and line["mask"] == mask and (line["kimg"] < last) == early
        ]

    own = lines_of_arm(pair.arm, pair.mask, early=False)
    other = lines_of_arm(pair.other, pair.than or pair.mask, early=pair.early)
    found = differences(own, other, pair.measure, same_holes=pair.than is None)
    order = PairedOrder(MEASURES[pair.measure], found, "dB") if len(found) else None
    return None if order is None or order.is_open else order


def in_words(answered: Sequence[Answered]) -> Iterator[str]:
    """What was found of the pairs of a question, in a sentence for all holes of the same arms and measure."""
    groups: dict[tuple[str, str, str], list[Answered]] = {}
    for one in answered:
        than = f" at {holes_in_words(one.pair.than)}" if one.pair.than else ""
        early = ", an earlier generator" if one.pair.early else ""
        key = (spoken(one.pair.arm), spoken(one.pair.other) + than + early, MEASURES[one.pair.measure])
        groups.setdefault(key, []).append(one)
    for (arm, other, where), own in groups.items():
        by_verdict: dict[str, list[str]] = {}
        for one in own:
            size = "" if one.order is None else f" ({one.order.mean:+.2f} dB)"
            by_verdict.setdefault(one.verdict, []).append(holes_in_words(one.pair.mask) + size)
        found = "; ".join(f"{verdict} at {', '.join(holes)}" for verdict, holes in by_verdict.items())
        yield f"{arm} against {other}, {where}: {found}."


def spoken(arm: str) -> str:
    """An arm of docs/results as sentences call it: ten codes at layer 4 are what is usual."""
    usual = arm.replace(", layer 4", "")
    return usual.replace("10 codes", "ten codes").replace("1 codes", "one code with importance")


def holes_in_words(mask: str) -> str:
    """``blocks8_25pct`` as 25 %, in blocks of 8 pixels unless it says others."""
    block, percent = mask.removeprefix("blocks").removesuffix("pct").split("_")
    return f"{percent} %" + ("" if block == "8" else f" in blocks of {block}")
