"""docs/results/inpainting.md: how well holes are filled, by arm, of several generators and the same images.

python -m docs.ledger.inpainting [--measure RUN ... --judge CHECKPOINT] [--collect FOLDER ...]

--measure runs `task=inpaint` for everything that the page asks of runs of pggan/fashion_mnist, into their folders `inpainting`,
and goes on where it was broken off. --collect takes in what the task wrote into folders: a line an arm, with the PSNR of the
hole of each image. The page is made of these lines; no number of it is typed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from omegaconf import OmegaConf

from docs.ledger.midpoints import rounded
from docs.ledger.orders import LEVEL, holm
from docs.ledger.paired import PairedOrder, differences
from docs.ledger.results import DOCS, RESULTS, Line, read_results, write_results
from generate import generate
from generative.rendering.tables import markdown
from launch.compose import compose
from launch.errors import one_line_errors
from records.run_files import read_lines

PAGE = RESULTS / "inpainting.md"
INPAINTING = "pggan/inpainting"  # of docs/results
RUN = ("experiment", "train_seed", "mask", "arm")  # tells a line from another
EACH = ("psnr_hole", "psnr_known")  # of which a line has the value of each image
MEANS = ("psnr_raw", "psnr_pasted", "ssim_raw", "ssim_pasted", "named_alike", "feature_distance", "seconds")
BARS = ("harmonic", "gaussian", "z")  # the arms that every other one is held against
COUNT = 100  # of test images
SEARCH = {"steps": 300, "perceptual": 0.0, "start": "random", "batch_size": 25}
TEN = {"arms": ["codes"], "num_codes": 10, "layer": 4}
EVERYWHERE: dict[str, dict[str, Any]] = {  # what is measured at every mask
    "fills": {
        "arms": ["mean", "harmonic", "biharmonic", "telea", "navier_stokes", "exemplar", "gaussian", "retrieval"]
    },
    "z": {"arms": ["z"]},
    "codes10": TEN,
    "codes10_layer8": TEN | {"layer": 8},
    **{f"codes10_{attention}": TEN | {"attention": attention} for attention in ("dot", "scaled", "cbam")},
}
ONCE: dict[str, dict[str, Any]] = {  # and what at one
    **{f"codes{number}": TEN | {"num_codes": number} for number in (1, 2, 5, 20, 30)},
    **{f"codes10_layer{layer}": TEN | {"layer": layer} for layer in (2, 6)},
    "codes10_fixed": TEN | {"importance": False},
    "codes10_held_out": TEN | {"held_out": 0.1},
    "codes10_starts": TEN | {"starts": 8, "batch_size": 5},
    "z_starts": {"arms": ["z"], "starts": 8},
    "features4": {"arms": ["features"], "layer": 4},
}
MASKS = ("blocks8_12pct", "blocks8_25pct", "blocks8_40pct", "blocks4_25pct")
ONCE_AT = "blocks8_25pct"
COLUMNS = {  # of a table: what a line has, called so
    "psnr_hole": "hole, dB",
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
    drawn = str(line["arm"]).removesuffix("_seamless")
    ending = " + harmonic residual" if line["arm"].endswith("_seamless") else ""
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
    words += [f"perceptual {line['perceptual']:g}"] if line["perceptual"] else []
    words += [f"tuned {line['tuning_steps']} steps at {line['tuning_rate']:g}"] if drawn != space else []
    return ", ".join(words) + ending


def plan() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Everything that is measured of a generator: the mask, a name for the folder, and the settings of the task."""
    for mask in MASKS:
        for name, asked in (EVERYWHERE | (ONCE if mask == ONCE_AT else {})).items():
            yield mask, name, SEARCH | asked


def measure(run: Path, judge: Path) -> Iterator[Path]:
    """Runs the task for the whole plan, in the folders that it yields; what is there already is left as it is."""
    for mask, name, asked in plan():
        folder = run / "inpainting" / mask / name
        config = compose("generate")
        OmegaConf.set_struct(config, False)  # a task's own settings are no keys of the file
        own = {"checkpoint": str(run / "checkpoints" / "last.ckpt"), "output": str(folder), "num_threads": 1}
        options = {"masks": mask, "count": COUNT, "judge": [str(judge)], **asked}
        generate(OmegaConf.merge(config, own, {"task": "inpaint", "options": options}))  # type: ignore[arg-type]
        yield folder


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
    arms: dict[str, list[Line]] = {}
    for line in found:
        arms.setdefault(called(line), []).append(line)
    made = []
    for name, own in arms.items():
        first = own[0]
        told: dict[str, Any] = {key: first[key] for key in ("experiment", "train_seed", "kimg", "mask", "steps")}
        told |= {
            "arm": name,
            "images": settings["images"],
            "environment": {"processor": record["environment"]["processor"]},
        }
        told |= {key: [rounded(line[key]) for line in own] for key in EACH}
        told |= {key: rounded(fmean(line[key] for line in own)) for key in MEANS if key in first}
        made.append(told)
    return made


def collect_inpainting(folder: Path) -> None:
    """Its lines into docs/results, in place of earlier ones of the same generator, holes and arm."""
    taken = lines_of(folder)
    new = {tuple(line[key] for key in RUN) for line in taken}
    kept = [line for line in read_results(INPAINTING) if tuple(line[key] for key in RUN) not in new]
    write_results(INPAINTING, sorted([*kept, *taken], key=lambda line: tuple(str(line[key]) for key in RUN)))


def mean_over_seeds(lines: Sequence[Line], key: str) -> float | None:
    """Of each image's values, or of means; None where an arm has none."""
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


def against_bars(lines: Sequence[Line]) -> list[tuple[str, str, PairedOrder]]:
    """Each arm, a bar, and their difference in the hole, of three generators or more."""
    found = []
    arms = list(dict.fromkeys(line["arm"] for line in lines))
    for bar in BARS:
        for arm in arms:
            own, other = ([line for line in lines if line["arm"] == name] for name in (arm, bar))
            if arm in BARS or not other:
                continue
            order = PairedOrder("hole", differences(own, other, "psnr_hole"), "dB")
            if not order.is_open:
                found.append((arm, bar, order))
    return found


def page() -> str:
    """The text of docs/results/inpainting.md."""
    lines = read_results(INPAINTING)
    text = ["# Holes filled by what a generator can draw, and without one", ""]
    if not lines:
        return "\n".join(
            [*text, "Nothing was measured yet: `python -m docs.ledger.inpainting --collect FOLDER ...`.", ""]
        )
    sets = {key: [line for line in lines if set_of(line) == key] for key in dict.fromkeys(map(set_of, lines))}
    compared = {key: against_bars(own) for key, own in sets.items()}
    asked = [order for found in compared.values() for *_, order in found]
    p_values = iter(holm([order.p for order in asked]))
    for key, own in sets.items():
        experiment, mask = key
        text += [f"## {mask}, {len(own[0]['psnr_hole'])} images, `{experiment}`", "", arm_table(own)]
        rows = []
        for arm, bar, order in compared[key]:
            mean, low, high = order.difference()
            p = next(p_values)
            rows.append([arm, bar, f"{mean:+.2f} ({low:+.2f} to {high:+.2f})", f"{p:.2g}", order_in_words(order, p)])
        if rows:
            text += [
                f"Differences in the hole, dB, with 95 % intervals over generators and images; p among all {len(asked)} of the "
                f"page (Holm), an order is stated below {LEVEL:g}.",
                "",
                markdown(("arm", "against", "difference", "p", "found"), rows),
            ]
    return "\n".join(text)


def set_of(line: Line) -> tuple[str, str]:
    """What must be alike for arms to be held against each other: whose generators, and which holes."""
    return line["experiment"], line["mask"]


def order_in_words(order: PairedOrder, p: float) -> str:
    if p >= LEVEL:
        return "undecided"
    return "better" if order.mean > 0 else "worse"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", nargs="+", type=Path, default=[], metavar="FOLDER")
    parser.add_argument("--measure", nargs="+", type=Path, default=[], metavar="RUN")
    parser.add_argument("--judge", type=Path, metavar="CHECKPOINT", help="of classifier/fashion_mnist")
    arguments = parser.parse_args()
    if arguments.measure and arguments.judge is None:
        parser.error("--measure needs --judge")
    with one_line_errors():
        for run in arguments.measure:
            for folder in measure(run, arguments.judge):
                collect_inpainting(folder)
        for folder in arguments.collect:
            collect_inpainting(folder)
        PAGE.write_text(page())
        print(PAGE.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
