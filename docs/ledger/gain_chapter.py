"""Tables 3.2, 3.5 and 3.6 of the chapter on defects beside what `python -m docs.ledger.gain` measured on the rendered set."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from docs.ledger.gain_answers import CONTROL, Cells, deviating, span
from docs.ledger.gain_arms import ARMS, ASKED
from docs.ledger.inpainting_page import paragraph
from generative.rendering.tables import markdown

FOREIGN, EPOXY = "foreign_material", "epoxy"  # what the two sets are called by --name
PRINTED: dict[
    str, dict[int, tuple[str, str]]
] = {  # real, real + rendered: mean and deviation of three runs, in per cent
    FOREIGN: {
        20: ("81.92 ± 1.07", "89.82 ± 1.36"),
        40: ("88.39 ± 2.86", "96.29 ± 0.39"),
        65: ("91.76 ± 1.98", "95.74 ± 0.67"),
        90: ("93.49 ± 1.06", "96.60 ± 1.38"),
        115: ("94.80 ± 0.70", "96.31 ± 0.40"),
    },
    EPOXY: {
        3: ("78.55 ± 9.82", "78.54 ± 6.40"),
        7: ("89.24 ± 8.24", "93.15 ± 3.65"),
        12: ("93.39 ± 3.21", "93.37 ± 2.80"),
        18: ("94.05 ± 1.40", "94.71 ± 0.49"),
        24: ("95.85 ± 0.32", "96.69 ± 1.25"),
    },
}
MADE = {  # how the sets are drawn, below data/rendered_inspection
    FOREIGN: "python -m datamodules.rendered_inspection make data/rendered_inspection --only 'foreign material' --test-share 4",
    EPOXY: "python -m datamodules.rendered_inspection make data/rendered_inspection --products 1 --test-share 12 "
    "--only 'epoxy=excess epoxy,epoxy on die'",
}
WORLD = {
    FOREIGN: "Rendered boards of twelve products, four times the test images of Table 3.1.",
    EPOXY: "Rendered boards of one product, twelve times the test images of Table 3.1.",
}
MEASURED = "python -m docs.ledger.gain --data FOLDER --name {name} --num-real {numbers} --arms real rendered"
TABLES = {FOREIGN: "Table 3.5", EPOXY: "Table 3.6"}
WITHOUT_REAL = {"real": "95.74", "random_only": "61.82", "rendered_only": "82.87"}  # Table 3.2, of foreign material


def mean_of(printed: str) -> float:
    return float(printed.split()[0])


def section(name: str, cells: Cells) -> Iterator[str]:
    """The chapter's tables of a set beside ours; nothing for other sets."""
    if name not in PRINTED:
        return
    yield from paragraph(
        f"{WORLD[name]} The set was chosen by the accuracy with real ones alone, which should lie within 5 points of the "
        f"chapter's, and was left as it is before anything was drawn for it. {farthest(name, cells)}"
    )
    yield f"```bash\n{MADE[name]}\n{MEASURED.format(name=name, numbers=' '.join(map(str, PRINTED[name])))}\n```\n"
    yield from paragraph(
        f"{TABLES[name]} of the chapter, whose images are others, beside ours: accuracy in per cent, half of it that of faultless "
        "patches, with standard deviations over three runs there and over seeds here."
    )
    rows = []
    for number, (real, rendered) in PRINTED[name].items():
        own = [spread(cells, arm, number) for arm in (CONTROL, ASKED)]
        order = cells.difference(ASKED, CONTROL, number)
        gain = f"{round(mean_of(rendered) - mean_of(real), 1) + 0.0:+.1f}"  # no minus before 0
        rows.append([str(number), real, own[0], rendered, own[1], gain, "-" if order is None else span(order)])
    yield markdown(
        ("real defects", "chapter, real", "here", "chapter, + rendered", "here", "chapter's gain", "gain here"), rows
    )
    if name == FOREIGN:
        yield from without_real(cells)


def farthest(name: str, cells: Cells) -> str:
    """How far the accuracy with real ones alone lies from the chapter's at most."""
    own = {number: list(cells.scores(CONTROL, number).values()) for number in PRINTED[name]}
    apart = {number: fmean(values) - mean_of(PRINTED[name][number][0]) for number, values in own.items() if values}
    number = max(apart, key=lambda one: abs(apart[one]))
    return f"At most it is {apart[number]:+.1f} points off, at {number}."


def without_real(cells: Cells) -> Iterator[str]:
    """Table 3.2: what a classifier names right that never saw a real defect."""
    number = cells.numbers[-1]
    yield from paragraph(
        f"Table 3.2, without a real defect in the batch. The recipe knows {number} real ones. Random shapes take lengths, widths "
        "and materials from it, and lie anywhere."
    )
    rows = [[ARMS[arm], printed, spread(cells, arm, number)] for arm, printed in WITHOUT_REAL.items()]
    yield markdown(("arm", "chapter, %", "here, %"), rows)


def spread(cells: Cells, arm: str, number: int) -> str:
    return deviating(list(cells.scores(arm, number).values()))
