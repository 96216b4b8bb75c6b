"""The text of docs/results/augmentation.md."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from docs.ledger import augmentation_arms, augmentation_mixes
from docs.ledger.augmentation_arms import ALL_REAL, ARMS, AS_IT_IS, CONTROLS, DECODED
from docs.ledger.augmentation_mixes import ADDED, COPIES, ORIGINALS, SHARES, SOURCES
from docs.ledger.inpainting_page import bullet, paragraph
from docs.ledger.orders import LEVEL, Order, holm
from docs.ledger.paired import LEAST_GENERATORS, Differences, PairedOrder
from docs.ledger.results import RESULTS, Line, interval, read_results
from generative.rendering.tables import markdown

FILE = "regene/augmentation"  # of docs/results
PAGE = RESULTS / "augmentation.md"
COMMAND = "python -m docs.ledger.augmentation --measure RUN ... --share RUN ..."
INTRODUCTION = (
    "Are images that ReGene makes worth anything to a classifier? Two questions, each with the controls that need no "
    "generator. A small classifier is taught from nothing, for as many steps of as many images in every arm, and tested on "
    "the whole test split. It is another network than the one whose latents are combined."
)
RARE = (
    "Of one class only k images are trained on, beside {held_out} that are held out for the thresholds of the filtered arms. The "
    "ReGene of a row learned of the same k images, classifier and decoder, so that nothing knows more of the class. Every "
    "arm has all known images, the held-out ones too, and as many more of the class as bring it up to the mean of the "
    "others. They are made once, of the k images."
)
HOW_TO_READ = (
    "Differences of recall and of accuracy have their 95 % interval over seeds and test images (`docs/ledger/paired.py`), those "
    "of macro F1 over seeds alone, paired. p is that of recall among all of them that have {least} seeds or more, {asked} here "
    "(Holm); below {level:g} an order is stated, of the first arm."
)
SHARE = (
    "Section 6.8 and Figure 17 of the paper: training images are replaced by made ones at a constant number, or made ones come "
    "beside them. The paper reports about 77 % for original CIFAR-10 images and about 80 % with as many made ones, and has no "
    "control. Copies are the same originals again; at a share of 1 in place of originals there are none. Accuracy of "
    "the student on test images, mean and 95 % interval over seeds."
)
PAIRS = (
    *((arm, "copies") for arm in (*list(CONTROLS)[1:], *DECODED, AS_IT_IS)),
    *(("variance kept", arm) for arm in (*list(CONTROLS)[1:], "SMOTE of latents", "means of latents", ALL_REAL)),
)


@dataclass(frozen=True)
class Compared:
    """Two arms of a rare class at ``kept`` images of it."""

    kept: int
    arm: str
    other: str
    recall: PairedOrder
    accuracy: PairedOrder
    macro_f1: tuple[float, float]  # mean difference and half of its interval

    def row(self, p: float) -> list[str]:
        """``p`` among all, NaN where there are too few seeds."""
        verdict = (
            "open" if math.isnan(p) else "undecided" if p >= LEVEL else "better" if self.recall.mean > 0 else "worse"
        )
        spans = [span_in_words(order) for order in (self.recall, self.accuracy)]
        mean, half = self.macro_f1
        f1 = f"{mean:+.3f}" if math.isnan(half) else f"{mean:+.3f} ± {half:.3f}"
        return [str(self.kept), self.arm, self.other, *spans, f1, "-" if math.isnan(p) else f"{p:.2g}", verdict]


def span_in_words(order: PairedOrder) -> str:
    """The mean difference and its interval, which one seed has none of."""
    if len(order.differences) < 2:
        return f"{order.mean:+.3f} (one seed)"
    mean, low, high = order.difference()
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"


TITLES = ("k", "arm", "against", "recall", "accuracy", "macro F1", "p of recall", "found")


def compared(lines: Sequence[Line], kept: int, arm: str, other: str) -> Compared | None:
    """None where the two have no seed in common."""
    by_seed = [
        {
            line["train_seed"]: line
            for line in lines
            if line["kept"] == kept and line["arm"] == name and "recall" in line
        }
        for name in (arm, other)
    ]
    seeds = sorted(by_seed[0].keys() & by_seed[1].keys())
    if not seeds:
        return None
    own, others = ([of_arm[seed] for seed in seeds] for of_arm in by_seed)
    recall, accuracy = (
        PairedOrder(name, differences_of(own, others, key))
        for name, key in (("recall", "recall"), ("accuracy", "right"))
    )
    gaps = [one["macro_f1"] - two["macro_f1"] for one, two in zip(own, others, strict=True)]
    return Compared(kept, arm, other, recall, accuracy, interval(gaps))


def differences_of(own: Sequence[Line], others: Sequence[Line], key: str) -> Differences:
    """Of each seed and test image, [S, I]: 1 where only the first named it right, -1 where only the second did."""
    return np.array([np.subtract(one[key], two[key]) for one, two in zip(own, others, strict=True)], dtype=np.float64)


def page() -> str:
    """The text of docs/results/augmentation.md."""
    lines = read_results(FILE)
    text = ["# What made images teach a classifier", ""]
    if not lines:
        return "\n".join([*text, f"Nothing was measured yet: `{COMMAND}`.", ""])
    text += [*paragraph(INTRODUCTION)]
    for question, section in ((augmentation_arms.QUESTION, rare_section), (augmentation_mixes.QUESTION, share_section)):
        asked = [line for line in lines if line["question"] == question]
        for experiment in dict.fromkeys(line["experiment"] for line in asked):
            text += [*section([line for line in asked if line["experiment"] == experiment], experiment)]
    return "\n".join(text)


def taught_in_words(lines: Sequence[Line]) -> str:
    first = lines[0]
    hardware = sorted({line["environment"].get("gpu", line["environment"]["processor"]) for line in lines})
    return f"Students: {first['steps']} steps of {first['batch_size']} images. Hardware: {'; '.join(hardware)}."


def rare_section(lines: Sequence[Line], experiment: str) -> Iterator[str]:
    """Of one experiment: a table of the arms at each k, and the differences between them."""
    label = lines[0]["label"]
    yield from (f"## A rare class: class {label} of `{experiment}`", "")
    sizes = sorted({line["kept"]: line["held_out"] for line in lines}.items())
    held_out = ", ".join(f"{held} at k = {kept}" for kept, held in sizes)
    yield from paragraph(f"{RARE.format(held_out=held_out)} {taught_in_words(lines)}")
    for kept, _ in sizes:
        own = [line for line in lines if line["kept"] == kept]
        yield from (f"**k = {kept}**", "", arm_table(own))
        for arm, said in {line["arm"]: line["failed"] for line in own if "failed" in line}.items():
            yield bullet(f"{arm}: {said}")
    yield from ("### Differences", "")
    found = [one for kept, _ in sizes for pair in PAIRS if (one := compared(lines, kept, *pair)) is not None]
    decided = [one for one in found if not one.recall.is_open]
    yield from paragraph(HOW_TO_READ.format(asked=len(decided), least=LEAST_GENERATORS, level=LEVEL))
    p_values = iter(holm([one.recall.p for one in decided]))
    yield markdown(TITLES, [one.row(math.nan if one.recall.is_open else next(p_values)) for one in found])


def arm_table(lines: Sequence[Line]) -> str:
    """A row an arm, in their order: means over seeds with their intervals."""
    rows = []
    for arm in ARMS:
        own = [line for line in lines if line["arm"] == arm and "recall" in line]
        if own:
            measures = [[fmean(line["recall"]) for line in own], [fmean(line["right"]) for line in own]]
            measures.append([line["macro_f1"] for line in own])
            rows.append([arm, str(len(own)), str(own[0]["added"]), *map(stated, measures)])
    return markdown(("arm", "seeds", "images made", "recall of the class", "accuracy", "macro F1"), rows)


def stated(values: Sequence[float]) -> str:
    mean, half = interval(values)
    return f"{mean:.3f}" if math.isnan(half) else f"{mean:.3f} ± {half:.3f}"


def share_section(lines: Sequence[Line], experiment: str) -> Iterator[str]:
    """Of one experiment: accuracy by share and source, and what made images add to as many steps of originals alone."""
    yield from (f"## A share of made images: `{experiment}`", "")
    seeds = sorted({line["train_seed"] for line in lines})
    yield from paragraph(
        f"{SHARE} {lines[0]['originals']} originals; training seeds {', '.join(map(str, seeds))}. {taught_in_words(lines)} "
        f"Originals alone: {stated([line['accuracy'] for line in lines if line['arm'] == ORIGINALS])}."
    )
    for how, shares in SHARES.items():
        rows = [
            [f"{share:g}", *(cell(lines, source, how, share) for source in SOURCES)] for share in shares if share > 0
        ]
        yield from (f"**Made images {how}**", "", markdown(("share", *SOURCES), rows))
    for source in SOURCES:
        for other in (COPIES, "means of pixels"):
            if source not in (COPIES, other) and (words := gap_in_words(lines, source, other)):
                yield bullet(words)
    yield ""


def cell(lines: Sequence[Line], source: str, how: str, share: float) -> str:
    values = [line["accuracy"] for line in lines if (line["arm"], line["how"], line["share"]) == (source, how, share)]
    return stated(values) if values else "-"


def gap_in_words(lines: Sequence[Line], source: str, other: str) -> str:
    """By how much a student of all originals and as many images of ``source`` beats one of the ``other``; empty: unknown."""
    values = [
        {
            line["train_seed"]: line["accuracy"]
            for line in lines
            if (line["arm"], line["how"], line["share"]) == (arm, ADDED, 1)
        }
        for arm in (source, other)
    ]
    seeds = sorted(values[0].keys() & values[1].keys())
    if not seeds:
        return ""
    order = Order("accuracy", *([of_arm[seed] for seed in seeds] for of_arm in values), paired=True)
    found = f"{fmean(order.better) - fmean(order.worse):+.4f} (too few seeds)" if order.is_open else order.found()
    return f"{source} against {other}, as many as there are originals and beside them: {found}."
