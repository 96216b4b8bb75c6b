"""Lines of docs/results that say how holes were filled: one an arm, generator and kind of holes, with the PSNR of each image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from docs.ledger.inpainting_plan import SEARCH
from docs.ledger.midpoints import rounded
from docs.ledger.results import INPAINTING, Line, read_results, write_results
from lightning_modules.tasks.hole_scores import pooled_psnr
from records.run_files import read_lines

RUN = ("experiment", "train_seed", "kimg", "mask", "arm")  # tells a line from another
EACH = ("psnr_hole", "psnr_known", "psnr_raw")  # of which a line has the value of each image
MEANS = ("psnr_pasted", "ssim_raw", "ssim_pasted", "named_alike", "feature_distance", "psnr_hole_spread", "seconds")
MENDED = {"_seamless": " + harmonic residual", "_gaussian": " + Gaussian residual"}
ENCODERS = "_encoder"  # how their experiments end


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
    if not (folder / "inpaint.json").exists():
        raise ValueError(f"{folder} was broken off: type the command again, which goes on from there")
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
        told |= {key: [round(line[key], 2) for line in own] for key in EACH}  # of dB, several hundred thousand of them
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


def of_seeds(lines: Sequence[Line], key: str) -> list[float]:
    """What each of the ``lines`` that tells it has of ``key``: the mean over images, their ``median``, or ``pooled`` errors.

    All images have as many hidden pixels.
    """
    if key == "median":
        return [median(line["psnr_hole"]) for line in lines]
    if key == "pooled":
        return [pooled_psnr(line["psnr_hole"], [1] * len(line["psnr_hole"])) for line in lines]
    return [fmean(line[key]) if isinstance(line[key], list) else line[key] for line in lines if key in line]


def mean_over_seeds(lines: Sequence[Line], key: str) -> float | None:
    """None where no line tells it."""
    values = of_seeds(lines, key)
    return fmean(values) if values else None
