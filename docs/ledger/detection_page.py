"""The text of docs/results/detection.md: Tables 3.3 and 3.4 of chapter 3 at our scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from docs.ledger.gain_answers import deviating, read_lines
from docs.ledger.inpainting_page import paragraph
from docs.ledger.realness_page import realness_page, realness_section
from docs.ledger.results import RESULTS, Line, interval, read_results
from docs.ledger.template_differences import FILE as DIFFERENCES
from generative.rendering.tables import markdown

FOLDER = RESULTS / "detection"
PAGE = RESULTS / "detection.md"
COMMAND = "python -m docs.ledger.detection_arms --data FOLDER --seeds 0 1 2 --precision bf16-mixed"
CONTROL = "real"
ARMS = {  # key: what the page calls it
    CONTROL: "real",
    "rendered": "+ drawn, matched",
    "refined": "+ drawn and refined",
    "style_transfer": "+ style transfer",
    "cycle": "+ Cycle GAN",
    "pasted": "+ real ones pasted where the rim fits",
}
MEASURES = {"map": "mAP 0.5:0.95", "map_50": "0.5", "map_75": "0.75"}
RECALL = "recall_at_1_false_calls"
SOON = "kimg"
LEAST_SEEDS = 3  # of an interval
ENDS = ("points", "low", "high")
DIFFERENCES_OF = "_differences"  # ends the name of the file of :func:`difference_lines`
NEAR = 0.95  # of the best value on validation crops
INTRODUCTION = (
    "A few real defects of each class are known. Faster R-CNN on EfficientNet-Lite0 learns from crops of the boards that "
    "hold them, half of the crops of what an arm adds. All arms take as many steps and start from the same weights; the "
    "last state is tested on whole boards. All made pictures have the same boards, classes and places, those of the drawn "
    "set: networks trained on the known defects alone make theirs of it, and the boxes of what style transfer and the Cycle "
    "GAN draw are found from differences. On boards of two levels a network says which pixels are dark, no more. "
    "Values are means over seeds, each with other known defects, and in brackets the "
    "95 % interval of the difference from `real`, paired by seed (Student's t), in hundredths; of fewer than three seeds "
    "the difference alone."
)
ITERATIONS = (
    "Table 3.4 of the chapter gives the iteration of the best test performance. Here it is found on crops of training "
    "boards that no detector learns from: images after which the mean average precision first reaches 95 % of its best "
    "there. Near the end of a run that says that the detector was still learning."
)


def page() -> str:
    """The text, of all sets that were measured."""
    lines = ["# What synthetic defects teach a detector", "", *paragraph(INTRODUCTION)]
    for path in sorted(FOLDER.glob("*.jsonl")):
        if not path.stem.endswith(DIFFERENCES_OF):
            lines += [*section(read_lines(path)), ""]
    lines += realness_page(beside=[path.stem for path in FOLDER.glob("*.jsonl")])
    lines += [f"`{COMMAND}` measures a set.", ""]
    return "\n".join(lines)


def difference_lines(cells: Sequence[Line]) -> list[Line]:
    """What claims state: each arm's difference from the control in hundredths, and in the thousand images of :func:`soon`."""
    found: list[Line] = []
    for number in sorted({line["num_real"] for line in cells}):
        own = [line for line in cells if line["num_real"] == number and "scores" in line]
        for arm in ARMS:
            for measure in (*MEASURES, RECALL, SOON):
                of_arm, control = scores(own, arm, measure), scores(own, CONTROL, measure)
                both = sorted(set(of_arm) & set(control))
                if arm == CONTROL or len(both) < LEAST_SEEDS:
                    continue
                by = 1 if measure == SOON else 100
                mean, half = interval([by * (of_arm[seed] - control[seed]) for seed in both])
                line = {"num_real": number, "arm": arm, "against": CONTROL, "measure": measure, "seeds": len(both)}
                found.append(
                    line
                    | {key: round(part, 3) for key, part in zip(ENDS, (mean, mean - half, mean + half), strict=True)}
                )
    return found


def section(cells: Sequence[Line]) -> Iterator[str]:
    """A set: a table for each number of real defects, and one of how soon detectors are as good as they get."""
    yield f"## {cells[0]['set']}"
    for number in sorted({line["num_real"] for line in cells}):
        yield ""
        yield f"### {number} real defects of each class"
        yield ""
        yield table([line for line in cells if line["num_real"] == number], cells[0]["set"])
    name = cells[0]["set"]
    if (FOLDER / f"{name}.png").exists():
        yield ""
        yield f"![the same places faultless, drawn, and as each arm made them](detection/{name}.png)"
    yield from realness_section(name)
    yield ""
    yield "### How soon"
    yield ""
    yield from paragraph(ITERATIONS)
    yield iteration_table(cells)
    machine = cells[0]["environment"]
    seconds = sum(line.get("seconds", 0) for line in cells)
    yield ""
    yield from paragraph(
        f"Detectors saw {cells[0]['kimg']:g} thousand crops. Hardware: {machine['threads']} core of {machine['processor']}, "
        f"{seconds / 3600:.1f} hours of two busy cores together with the networks"
        + "".join(
            f", which trained in {one}" for one in sorted({line["precision"] for line in cells if "precision" in line})
        )
        + "."
    )


def scores(cells: Sequence[Line], arm: str, measure: str) -> dict[int, float]:
    """Seed -> a score of an arm, where it has a detector."""
    own = [line for line in cells if line["arm"] == arm and "scores" in line]
    return {line["seed"]: soon(line) if measure == SOON else line["scores"][measure] for line in own}


def table(cells: Sequence[Line], name: str) -> str:
    rows = []
    for arm, title in ARMS.items():
        own = [line for line in cells if line["arm"] == arm]
        if not own:
            continue
        if failed := [line for line in own if "failed" in line]:
            title += f" ({len(failed)} of {len(own)} seeds: {failed[0]['failed']})"
        if same := sum("same_pictures_as" in line for line in own):
            title += f" ({same} of {len(own)} seeds: the same pictures as drawn ones, byte for byte)"
        shown = [in_hundredths(cells, arm, measure) for measure in (*MEASURES, RECALL)]
        made = fmean(sum(line["made"].values()) for line in own)
        rows.append([title, str(len(own)), f"{made:.0f}", *shown])
    rows += [row for line in read_results(DIFFERENCES) if line["set"] == name for row in template_rows(line)]
    titles = ("arm", "seeds", "made defects", *MEASURES.values(), "recall at 1 false call an image")
    return markdown(titles, rows)


def template_rows(line: Line) -> Iterator[list[str]]:
    """What a comparison with the template finds: it names no class, so that it has a recall and no average precision."""
    recall, calls = line["recall"][0], line["false_calls"][0]
    yield [
        "template difference, nothing learned, no names",
        "-",
        "-",
        "-",
        "-",
        "-",
        f"{100 * recall:.1f} at {calls:.2f}",
    ]


def in_hundredths(cells: Sequence[Line], arm: str, measure: str) -> str:
    own, control = scores(cells, arm, measure), scores(cells, CONTROL, measure)
    if not own:
        return "-"
    shown = f"{100 * fmean(own.values()):.1f}"
    both = [seed for seed in own if seed in control]
    if arm == CONTROL or not both:
        return shown
    mean, half = interval([100 * (own[seed] - control[seed]) for seed in both])
    if len(both) < LEAST_SEEDS:
        return f"{shown} ({mean:+.1f})"
    return f"{shown} ({mean:+.1f}: {mean - half:.1f} to {mean + half:.1f})"


def soon(line: Line) -> float:
    """Thousand images after which the precision on validation crops first reaches 95 % of its best."""
    best = max(value for _, value in line["validation"])
    return float(next(kimg for kimg, value in line["validation"] if value >= NEAR * best))


def iteration_table(cells: Sequence[Line]) -> str:
    numbers = sorted({line["num_real"] for line in cells})
    rows = []
    for arm, title in ARMS.items():
        row = [title]
        for number in numbers:
            own = [line for line in cells if line["arm"] == arm and line["num_real"] == number and "scores" in line]
            best = [100 * max(value for _, value in line["validation"]) for line in own]
            row += [deviating([soon(line) for line in own]) if own else "-", deviating(best) if own else "-"]
        rows.append(row)
    titles = ["arm"]
    for number in numbers:
        titles += [f"kimg, {number} real", "best mAP on validation"]
    return markdown(titles, rows)
