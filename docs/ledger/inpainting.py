"""docs/results/inpainting.md: how well holes are filled, by arm, of several generators and the same images.

python -m docs.ledger.inpainting [--measure RUN ... --encoders RUN ... --judge CHECKPOINT] [--collect FOLDER ...]

--measure runs `task=inpaint` for everything that the page asks of runs of pggan/fashion_mnist, into their folders `inpainting`,
and goes on where it was broken off. --collect takes in what the task wrote into folders: a line an arm, with the PSNR of the
hole of each image. The page is made of these lines; no number of it is typed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from docs.ledger.inpainting_plan import AT, ONCE, PLAN, SEARCH, measure
from docs.ledger.inpainting_questions import EIGHT, MEASURES, QUESTIONS, TEN, Pair, Question
from docs.ledger.midpoints import rounded
from docs.ledger.orders import LEVEL, holm
from docs.ledger.paired import CAP, PairedOrder, differences
from docs.ledger.pixel_ends import ends_in_words
from docs.ledger.results import DOCS, INPAINTING, RESULTS, Line, read_results, write_results
from generative.rendering.tables import markdown
from launch.errors import one_line_errors
from lightning_modules.tasks.hole_scores import pooled_psnr
from records.run_files import read_lines

PAGE = RESULTS / "inpainting.md"
RUN = ("experiment", "train_seed", "kimg", "mask", "arm")  # tells a line from another
EACH = ("psnr_hole", "psnr_known", "psnr_raw")  # of which a line has the value of each image
MEANS = ("psnr_pasted", "ssim_raw", "ssim_pasted", "named_alike", "feature_distance", "psnr_hole_spread", "seconds")
MENDED = {"_seamless": " + harmonic residual", "_gaussian": " + Gaussian residual"}
ENCODERS = "_encoder"  # how their experiments end
INTRODUCTION = (
    "Arms are held against each other image by image, by the same generators and at the same holes. A difference has its "
    "95 % interval over generators and images. p is that among all {asked} of these answers that have five generators or more "
    "(Holm); below {level:g} an order is stated. 'Worse' and 'better' are said of the first arm. An image counts up to {cap:g} dB."
)
COLUMNS = {  # of a table: what a line has, called so
    "psnr_hole": "hole, dB",
    "median": "its median",
    "pooled": "pooled",
    "psnr_known": "known, dB",
    "psnr_raw": "raw, dB",
    "psnr_pasted": "pasted, dB",
    "ssim_pasted": "SSIM pasted",
    "named_alike": "class kept",
    "feature_distance": "features",
    "seconds": "s an image",
}


def called(line: Line, spaces: Sequence[str] = ("z", "codes", "features", "w", "affine")) -> str:
    """An arm in words: of a search also what was set of it that is not as usual."""
    drawn, ending = str(line["arm"]), ""
    for suffix, mended in MENDED.items():
        if drawn.endswith(suffix):
            drawn, ending = drawn.removesuffix(suffix), mended
    space = drawn.removesuffix("_tuned")
    if space not in spaces:
        return space + ending
    words = [space]
    if space == "codes":
        words = [f"{line.get('num_codes', 20)} codes, layer {line.get('layer', 4)}"]
        words += [] if line.get("attention", "none") == "none" else [line["attention"]]
        words += ["importance fixed"] if line.get("importance") is False else []
    words += [f"layer {line.get('layer', 4)}"] if space == "features" else []
    words += [] if line["start"] == "random" else [f"start {line['start']}"]  # random is the thesis' start
    words += [] if line["steps"] == SEARCH["steps"] else [f"{line['steps']} steps"]
    words += [] if line["rate"] is None else [f"rate {line['rate']:g}"]
    words += [f"{line['starts']} starts"] if line["starts"] > 1 else []
    words += [f"{100 * line['held_out']:g} % held out"] if line["held_out"] else []
    words += [] if line["pixel"] == "l2" else [line["pixel"]]
    words += [f"perceptual {line['perceptual']:g}"] if line["perceptual"] else []
    words += [f"tuned {line['tuning_steps']} steps at {line['tuning_rate']:g}"] if drawn != space else []
    return ", ".join(words) + ending


def lines_of(folder: Path) -> list[Line]:
    """A line an arm of what the task wrote into a folder; ValueError where it wrote nothing, or an arm failed at an image."""
    found = read_lines(folder / "inpaint.jsonl")
    if not found:
        raise ValueError(
            f"{folder} has no inpaint.jsonl with lines: python generate.py ... task=inpaint output={folder}"
        )
    if failed := [line for line in found if "failed" in line]:
        arm, image, reason = (failed[0][key] for key in ("arm", "image", "failed"))
        raise ValueError(
            f"{folder}: {arm or 'all arms'} made nothing of image {image} ({reason}), and arms are compared on the same images: "
            "leave out that image or arm"
        )
    record = json.loads((folder / "inpaint.json").read_text())
    settings = json.loads((folder / "inpaint_settings.json").read_text())
    if settings["seconds"] is not None:
        raise ValueError(f"{folder} was measured within seconds={settings['seconds']:g}, which no arm's name tells")
    hardware = {key: record["environment"][key] for key in ("gpu", "processor") if key in record["environment"]}
    arms: dict[str, list[Line]] = {}
    for line in sorted(found, key=lambda line: str(line["image"])):  # what failed at first stands last in the file
        arms.setdefault(called(line), []).append(line)
    made = []
    for name, own in arms.items():
        first = own[0]
        told: dict[str, Any] = {key: first[key] for key in ("experiment", "train_seed", "kimg", "generator", "mask")}
        told |= {
            "arm": name,
            "images": settings["images"],
            "named": hashlib.sha256("\n".join(line["image"] for line in own).encode()).hexdigest()[:12],
            "sample_seed": settings["seed"],
            "environment": hardware,
        }
        told |= {key: [rounded(line[key]) for line in own] for key in EACH}
        told |= {key: rounded(fmean(line[key] for line in own)) for key in MEANS if key in first}
        made.append(told)
    return made


def collect_inpainting(folder: Path) -> None:
    """Its lines into docs/results, in place of earlier ones of the same generator, holes and arm."""
    there = read_results(INPAINTING)
    taken = [of_generator(line, there) for line in lines_of(folder)]
    new = {tuple(line[key] for key in RUN) for line in taken}
    kept = [line for line in there if tuple(line[key] for key in RUN) not in new]
    write_results(INPAINTING, sorted([*kept, *taken], key=lambda line: tuple(str(line[key]) for key in RUN)))


def of_generator(line: Line, there: Sequence[Line]) -> Line:
    """A line by an encoder's checkpoint as one of the generator that it has, which the weights tell; ValueError without it."""
    if not str(line["experiment"]).endswith(ENCODERS):
        return line
    for other in there:
        if other["generator"] == line["generator"] and not str(other["experiment"]).endswith(ENCODERS):
            return line | {key: other[key] for key in ("experiment", "train_seed", "kimg")}
    raise ValueError(
        f"the generator of {line['experiment']}, seed {line['train_seed']}, has no lines yet: take in what it drew first"
    )


def mean_over_seeds(lines: Sequence[Line], key: str) -> float | None:
    """Of each image's values, or of means; None where an arm has none. All images have as many hidden pixels."""
    if key == "median":
        return fmean(median(line["psnr_hole"]) for line in lines)
    if key == "pooled":
        return fmean(pooled_psnr(line["psnr_hole"], [1] * len(line["psnr_hole"])) for line in lines)
    values = [fmean(line[key]) if isinstance(line[key], list) else line[key] for line in lines if key in line]
    return fmean(values) if values else None


def arm_table(lines: Sequence[Line]) -> str:
    """A row an arm, best hole first."""
    arms: dict[str, list[Line]] = {}
    for line in lines:
        arms.setdefault(line["arm"], []).append(line)
    in_order = sorted(arms, key=lambda arm: -(mean_over_seeds(arms[arm], "psnr_hole") or 0.0))
    rows = []
    for arm in in_order:
        values = [mean_over_seeds(arms[arm], key) for key in COLUMNS]
        rows.append([arm, str(len(arms[arm])), *("-" if value is None else f"{value:.2f}" for value in values)])
    return markdown(("arm", "generators", *COLUMNS.values()), rows)


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


def in_words(question: Question, answered: Sequence[Answered]) -> str:
    """The answer to a question: its pairs by what was found."""
    parts = []
    for verdict in ("better", "worse", "undecided", "open"):
        pairs = [one.pair for one in answered if one.verdict == verdict]
        names = [f"{pair.arm} against {pair.against} ({MEASURES[pair.measure]}, {pair.mask})" for pair in pairs]
        if names:
            parts.append(f"{verdict}: {'; '.join(names)}")
    return f"**{question.name}.** {question.says} {'. '.join(part[0].upper() + part[1:] for part in parts)}."


ANSWER_TITLES = ("arm", "against", "holes", "where", "difference, dB", "p", "found")


def page() -> str:
    """The text of docs/results/inpainting.md."""
    lines = read_results(INPAINTING)
    text = ["# Holes filled by what a generator can draw, and without one", ""]
    if not lines:
        return "\n".join(
            [*text, "Nothing was measured yet: `python -m docs.ledger.inpainting --collect FOLDER ...`.", ""]
        )
    experiments = list(dict.fromkeys(line["experiment"] for line in lines))
    for experiment in experiments:
        own = [line for line in lines if line["experiment"] == experiment]
        text += [*sections(own, experiment)]
    return "\n".join(text)


def beside(lines: Sequence[Line]) -> Iterator[str]:
    """What no order of arms says: what layers cost, and how far chance goes."""
    own = {line["arm"]: [one for one in lines if one["arm"] == line["arm"] and one["mask"] == AT] for line in lines}
    costs = {arm: mean_over_seeds(own.get(arm, []), "seconds") for arm in (TEN, EIGHT)}
    if all(costs.values()):
        told = ", ".join(f"{arm} takes {seconds:.2f} s an image" for arm, seconds in costs.items())
        yield f"**C8.** Layer 8 costs more than layer 4 (in words). Here {told}, {SEARCH['steps']} steps."
    spreads = {arm: mean_over_seeds(found, "psnr_hole_spread") for arm, found in own.items()}
    told = "; ".join(f"{arm}: {spread:.2f} dB" for arm, spread in spreads.items() if spread is not None)
    if told:
        yield f"**Chance (C7).** The hole of one image differs between starts by a standard deviation of {told}."


def sections(lines: Sequence[Line], experiment: str) -> Iterator[str]:
    """Of one experiment's generators: the answers, and a table of each kind of holes."""
    found = answers(lines)
    asked = sum(one.order is not None for pairs in found for one in pairs)
    yield from (f"## Answers, `{experiment}`", "")
    for words in (INTRODUCTION.format(level=LEVEL, asked=asked, cap=CAP), ends_in_words(experiment)):
        yield from (textwrap.fill(words, 120, break_on_hyphens=False), "")
    for question, answered in zip(QUESTIONS, found, strict=True):
        yield from (textwrap.fill(in_words(question, answered), 120, break_on_hyphens=False), "")
        yield markdown(ANSWER_TITLES, [one.row() for one in answered])
    for words in beside(lines):
        yield from (textwrap.fill(words, 120, break_on_hyphens=False), "")
    last = max(line["kimg"] for line in lines)
    for kimg, mask in dict.fromkeys((line["kimg"], line["mask"]) for line in lines):
        own = [line for line in lines if (line["kimg"], line["mask"]) == (kimg, mask)]
        early = "" if kimg == last else f", generators after {kimg:g} thousand images"
        yield from (f"## {mask}, {len(own[0]['psnr_hole'])} images, `{experiment}`{early}", "", arm_table(own))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", nargs="+", type=Path, default=[], metavar="FOLDER")
    parser.add_argument("--measure", nargs="+", type=Path, default=[], metavar="RUN")
    parser.add_argument("--encoders", nargs="+", type=Path, default=[], metavar="RUN", help="one for each of --measure")
    parser.add_argument("--judge", type=Path, metavar="CHECKPOINT", help="of classifier/fashion_mnist")
    arguments = parser.parse_args()
    if arguments.measure and (arguments.judge is None or len(arguments.encoders) != len(arguments.measure)):
        parser.error("--measure needs --judge, and --encoders with a run for each of its own")
    with one_line_errors():
        for number, (run, encoder) in enumerate(zip(arguments.measure, arguments.encoders, strict=True)):
            plan = PLAN + (ONCE if number == 0 else ())
            for folder in measure(run, encoder=encoder, judge=arguments.judge, plan=plan):
                collect_inpainting(folder)
        for folder in arguments.collect:
            collect_inpainting(folder)
        PAGE.write_text(page())
        print(PAGE.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
