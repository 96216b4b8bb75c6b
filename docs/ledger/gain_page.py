"""The text of docs/results/defects.md, and of the page of a set of one's own: the answer, tables, the curve, pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from docs.ledger import detection_curves, gain_chapter, template_differences
from docs.ledger.gain_answers import (
    CONTROL,
    MEASURE,
    Cells,
    answer,
    compared,
    deviating,
    found_in_words,
    read_lines,
    recalls,
    span,
)
from docs.ledger.gain_arms import ARMS, ASKED
from docs.ledger.inpainting_page import bullet, paragraph
from docs.ledger.orders import LEVEL
from docs.ledger.paired import LEAST_GENERATORS
from docs.ledger.results import RESULTS, interval
from generative.rendering.tables import markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = RESULTS / "defects"
PAGE = RESULTS / "defects.md"
COMMAND = "python -m docs.ledger.gain --data FOLDER --num-real 5 10 20"
CURVE, MISSES, WORST = "curve.png", "misses.png", "worst.png"
TITLE = "# What synthetic defects teach a classifier"
INTRODUCTION = (
    "A few real defects of each class are known. A small classifier of patches learns from them, and from what each arm adds. "
    "All arms take as many steps of as many patches, of which a fifth is faultless, of one class a half, and start from the same "
    "weights. Where an "
    "arm adds made defects, they are half of the defects of a batch, or all in the arms `alone`. The last state is tested, by its "
    "averaged weights: nothing is chosen on test images. Another seed knows other defects and starts from other weights. "
    "Balanced accuracy is the mean over the classes, the faultless one among them, of the share of test patches that are named "
    "right, in per cent."
)
HOW_TO_READ = (
    "Differences have their 95 % interval over seeds and over the images that the test patches were cut from "
    "(`docs/ledger/paired.py`). p is that among all {asked} differences of this set that have {least} seeds or more (Holm); below "
    "{level:g} an order is stated. `unseen`: test patches of kinds of boards that no training image shows. Misses: defects that "
    "are taken for faultless where one in a hundred, and one in twenty, faultless patches is called a defect."
)
COLOURS = (
    *(f"C{number}" for number in range(10)),
    "black",
    "gold",
    "navy",
    "lime",
    "teal",
    "coral",
)  # as many as there are arms
GATE = 95.0  # per cent of the training patches that an arm should name right


def page() -> str:
    """The text of docs/results/defects.md, of all sets that were measured."""
    found = {path.stem: read_lines(path) for path in sorted(FOLDER.glob("*.jsonl"))}
    sets = {name: Cells.of(lines) for name, lines in found.items() if lines and lines[0].get("arm") == "test"}
    text = [TITLE, ""]
    if not sets:
        return "\n".join([*text, f"Nothing was measured yet: `{COMMAND}`.", ""])
    for name, cells in sets.items():
        for number in cells.numbers:
            if words := answer(cells, number):
                text.append(bullet(f"**{name}.** {words}"))
    text += ["", *paragraph(INTRODUCTION), f"`{COMMAND}` measures a set and makes this page.", ""]
    for name, cells in sets.items():
        text += [f"## {name}", "", *gain_chapter.section(name, cells), *section(cells, f"defects/{name}")]
    text += detection_curves.section()
    if found_without := template_differences.section():
        text += ["## Without learning: the difference from a faultless twin", "", *found_without]
    return "\n".join(text)


def write_own_page(cells: Cells, path: Path) -> None:
    """The page of a set of one's own; its pictures lie in the folder of the same name beside it."""
    answers = [words for number in cells.numbers if (words := answer(cells, number))]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*answers, "", *paragraph(INTRODUCTION), *section(cells, path.stem)]))


def section(cells: Cells, pictures: str) -> Iterator[str]:
    """Of one set: tables of arms, differences, classes, and its pictures below ``pictures``."""
    first = next(iter(cells.by_arm.values()))
    line = next(iter(first.values()))
    machines = sorted(
        {one["environment"]["processor"] for by_seed in cells.by_arm.values() for one in by_seed.values()}
    )
    yield from paragraph(
        f"Patches of {line['size']} pixels, {line['steps']} steps; {len(cells.labels)} test patches of "
        f"{len(set(cells.test['origins']))} images, classes {', '.join(cells.classes)}. Hardware: a core each of "
        f"{'; '.join(machines)}; {seconds_in_words(cells)}."
    )
    yield f"![balanced accuracy of each arm against the number of real defects]({pictures}/{CURVE})\n"
    yield arm_table(cells)
    yield from gate_in_words(cells)
    found = compared(cells, list(ARMS))
    if found:
        asked = sum(not math.isnan(p) for *_, p in found)
        yield from paragraph(HOW_TO_READ.format(asked=asked, least=LEAST_GENERATORS, level=LEVEL))
        rows = [
            [str(number), ARMS[arm], span(order), "-" if math.isnan(p) else f"{p:.2g}", found_in_words(order, p)]
            for number, arm, order, p in found
        ]
        yield markdown(("N", "arm against `real`", "balanced accuracy", "p", "found"), rows)
    yield class_table(cells)
    yield "Patches that the two arms err on at the fewest real defects, seed 0: misses, false calls, wrong names.\n"
    yield f"![test patches that are named wrong]({pictures}/{MISSES})\n"
    yield "The drawn defects that the classifier names worst after it has learned from them: look for bad drawings.\n"
    yield f"![drawn defects that are named worst]({pictures}/{WORST})\n"


def seconds_in_words(cells: Cells) -> str:
    parts = []
    for arm in (CONTROL, ASKED):
        lines = [line for (name, _), by_seed in cells.by_arm.items() if name == arm for line in by_seed.values()]
        if lines:
            parts.append(f"{fmean(line['seconds'] for line in lines):.0f} CPU s for a cell of `{ARMS[arm]}`")
    return ", ".join(parts)


def arm_table(cells: Cells) -> str:
    """A row an arm and number of real defects: means over seeds with standard deviations of what is measured."""
    columns = {
        "balanced accuracy": MEASURE,
        "unseen": "balanced_accuracy_unseen",
        "AUROC": "auroc",
        "misses at 1 %": "misses_at_1",
        "at 5 %": "misses_at_5",
    }
    has = {
        title: key
        for title, key in columns.items()
        if any(key in line for by_seed in cells.by_arm.values() for line in by_seed.values())
    }
    rows = []
    for number in cells.numbers:
        for arm, title in ARMS.items():
            lines = cells.lines(arm, number)
            if lines:
                stated = [deviating([line[key] for line in lines if key in line]) for key in has.values()]
                rows.append([str(number), title, str(len(lines)), *stated])
    return markdown(("N", "arm", "seeds", *has), rows)


def gate_in_words(cells: Cells) -> Iterator[str]:
    """Which arms have not learned their own patches: their scores say as much of the number of steps."""
    low = []
    for (arm, number), by_seed in sorted(
        cells.by_arm.items(), key=lambda item: (item[0][1], list(ARMS).index(item[0][0]))
    ):
        mean = fmean(line["training_accuracy"] for line in by_seed.values())
        if mean < GATE:
            low.append(f"{ARMS[arm]} at {number} ({mean:.0f} %)")
    if low:
        yield from paragraph(
            f"The networks name fewer than {GATE:.0f} % of the patches of their last steps right in these arms, so more steps may "
            f"change them: {'; '.join(low)}."
        )


def class_table(cells: Cells) -> str:
    """What share of each class is named right, in per cent: real, and with drawn ones."""
    rows = []
    for number in cells.numbers:
        for arm in (CONTROL, ASKED):
            if cells.lines(arm, number):
                rows.append(
                    [
                        str(number),
                        ARMS[arm],
                        *("-" if share is None else f"{share:.0f}" for share in recalls(cells, arm, number)),
                    ]
                )
    return markdown(("N", "arm", *cells.classes), rows)


def curve(cells: Cells) -> Figure:
    """Balanced accuracy against the number of real defects of a class, with Student's interval over seeds."""
    from matplotlib.figure import Figure  # a second that the page alone does not take

    figure = Figure(figsize=(9.0, 4.6), layout="constrained")
    axes = figure.subplots()
    shown = [arm for arm in ARMS if any(cells.scores(arm, number) for number in cells.numbers)]
    for place, arm in enumerate(shown):
        points = [(number, list(scores.values())) for number in cells.numbers if (scores := cells.scores(arm, number))]
        if points:
            sizes = [interval(values)[1] if len(values) > 1 else 0.0 for _, values in points]
            aside = 1.015 ** (place - len(shown) / 2)  # arms lie side by side, not one on another
            axes.errorbar(
                [number * aside for number, _ in points],
                [fmean(values) for _, values in points],
                yerr=sizes,
                fmt="o-" if arm in (CONTROL, ASKED) else "o--",
                linewidth=2.2 if arm in (CONTROL, ASKED) else 1.0,
                markersize=4,
                color=COLOURS[place],
                capsize=2,
                label=ARMS[arm],
            )
    axes.set_xscale("log")
    axes.set_xticks(cells.numbers, [str(number) for number in cells.numbers])
    axes.minorticks_off()
    axes.set_xlabel("real defects of each class")
    axes.set_ylabel("balanced accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, bbox_to_anchor=(1.01, 1), loc="upper left")
    return figure
