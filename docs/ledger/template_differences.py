"""How many defects a comparison with the faultless template finds, without learning: a line of each set.

python -m docs.ledger.template_differences --data data/deeppcb
python -m docs.ledger.template_differences --data FOLDER --name rendered_inspection [--picture OUT.png]

DATA is DeepPCB's folder, or one with boxes in COCO's format and aligned faultless pictures of the same names in DATA/clean. The
setting is chosen on training images, each of its values in turn and twice over, by the F2 score of boxes at an overlap of 0.5:
a miss weighs as much as four false calls. From there the search goes on for a miss that weighs as much as a false call: that
setting finds the boxes of images that a network drew. Then the test images are measured once by both. That takes some CPU
minutes. The line goes to docs/results/defects/template_differences.jsonl, in place of the earlier one of that set.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from tqdm import tqdm

from datamodules.boxes import BoxedImages, Inspected
from datamodules.deeppcb import DeepPCB
from datamodules.inspection import Inspection
from datamodules.synthesis.reading import SIDE_OF_DEEPPCB, is_deeppcb, pixels_of, read_examples
from datamodules.twins import CLEAN, twins_of
from docs.ledger.inpainting_page import bullet, paragraph
from docs.ledger.results import Line, read_results, write_results
from generative.randomness import Stream, permutation
from generative.rendering.tables import markdown
from generative.rendering.template_difference import (
    DifferenceSetting,
    FoundBoxes,
    changes,
    exceeds,
    find,
    grown,
    offset_of,
    opened,
    pieces,
)
from launch.errors import one_line_errors
from metrics.box_matching import matches, overlaps
from records.environment import environment

FILE = "defects/template_differences"
COMMAND = "python -m docs.ledger.template_differences --data FOLDER"
OVERLAP = 0.5
GRID: dict[str, tuple[float, ...]] = {
    "shift": (0, 3),
    "levels": (8, 16, 32, 64, 96),
    "deviations": (4, 6, 9, 13),
    "blur": (0, 1, 1.5),
    "tolerance": (0, 1, 2),
    "opening": (1, 2, 3, 4),
    "reach": (0, 2, 4, 8, 16),
    "least_area": (4, 8, 16, 32, 64),
}
MARGINS = (0, 1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 13, 14, 16)  # tried with each setting: they ask for no other comparison
ROUNDS = 2
BETA = 2  # recall counts so many times as much as precision: a defect that passes costs more than a second look
RESAMPLES = 2000
SHOWN, WIDTH, COLUMNS = 8, 480, 4  # images of a picture, their width, and how many stand beside one another
HIT, MISS, FALSE = (
    (0, 150, 60),
    (240, 130, 0),
    (220, 0, 0),
)  # colours of given boxes found and missed, and of false calls
INTRODUCTION = (
    "Where each image has a faultless template, what differs from it is a defect. Nothing is learned but the setting of the "
    "comparison. It is chosen on training images, where a miss weighs as much as four false calls, and the test images are "
    "measured once. Balanced is a second setting, for which a miss weighs as much as a false call; it labels what networks draw. "
    f"A given box is found where a box of its own overlaps it by {OVERLAP:g} or more (intersection over union), "
    "whatever its class. Touched are those that meet any found box. In brackets are 95 % intervals of a bootstrap over images. "
    "The test boards of DeepPCB were seen twice: moving boards onto their templates, and the weight of a miss, came after a first "
    "look at what was missed there, so that row flatters a little."
)


@dataclass(frozen=True)
class Pair:
    """An image, its faultless template, its boxes [M, 4] and their classes; ``group``: the kind of its board, where known."""

    image: Path
    template: Path
    boxes: NDArray[np.float64]
    labels: Sequence[int]
    channels: int
    group: str = ""

    @cached_property
    def pixels(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Read once; uint8 [H, W] or [H, W, 3]."""
        return pixels_of(self.image, channels=self.channels), pixels_of(self.template, channels=self.channels)

    @cached_property
    def offsets(self) -> dict[int, tuple[int, int]]:
        """What :func:`offset_of` found for a ``shift``: the same for most settings that are tried."""
        return {}

    def offset(self, shift: int) -> tuple[int, int]:
        if shift not in self.offsets:
            self.offsets[shift] = offset_of(*self.pixels, shift)
        return self.offsets[shift]


@dataclass(frozen=True)
class Pairs:
    """Both splits of a set and the names of its classes."""

    train: list[Pair]
    test: list[Pair]
    classes: tuple[str, ...]


def read_pairs(data: Path) -> Pairs:
    """The pairs of a folder; ValueError says what is missing."""
    examples = read_examples(data)
    given: dict[str, Any] = {"data_dir": str(data), "resolution": SIDE_OF_DEEPPCB, "batch_size": 1, "seed": 0}
    if is_deeppcb(data):
        boards = DeepPCB(**given)
        splits = {split: deeppcb_pairs(boards.find(split)) for split in ("train", "test")}
        return Pairs(**splits, classes=boards.target_classes)
    channels = 1 if pixels_of(examples.all[0].image).ndim == 2 else 3
    images: BoxedImages = Inspection(classes=list(examples.classes), channels=channels, **given)
    splits = {split: twin_pairs(images.find(split), data, channels) for split in ("train", "test")}
    return Pairs(**splits, classes=examples.classes)


def deeppcb_pairs(found: Sequence[Inspected]) -> list[Pair]:
    templates = [one.image.with_name(one.image.name.replace("_test.", "_temp.")) for one in found]
    return [pair(one, twin, 1, one.image.parent.name) for one, twin in zip(found, templates, strict=True)]


def twin_pairs(found: Sequence[Inspected], data: Path, channels: int) -> list[Pair]:
    twins = twins_of([one.image for one in found], data)
    if not twins:
        raise ValueError(
            f"{data / CLEAN} lacks a faultless picture of each image of {data}: put aligned ones of the same names there"
        )
    return [pair(one, twin, channels) for one, twin in zip(found, twins, strict=True)]


def pair(one: Inspected, template: Path, channels: int, group: str = "") -> Pair:
    return Pair(one.image, template, np.array(one.boxes, dtype=np.float64).reshape(-1, 4), one.labels, channels, group)


def f_score(hits: int, given: int, found: int, *, beta: float = BETA) -> float:
    """F_b = (1 + b^2) P R / (b^2 P + R) = (1 + b^2) hits / (b^2 given + found), b = ``beta`` (van Rijsbergen 1979); 0 of nothing.

    R = hits / given is the recall and P = hits / found the precision.
    """
    return (1 + beta**2) * hits / (beta**2 * given + found) if given + found else 0.0


def best_margin(pairs: Sequence[Pair], setting: DifferenceSetting, *, beta: float = BETA) -> tuple[float, int]:
    """The highest F score that ``setting`` has with one of MARGINS, and that margin.

    Of equals the one whose boxes overlap the given ones most, so that an easy set does not end at the edge of what counts.
    """
    given = sum(len(one.boxes) for one in pairs)
    hits, overlapped, found = dict.fromkeys(MARGINS, 0), dict.fromkeys(MARGINS, 0.0), 0
    for one in pairs:
        image, template = one.pixels
        offset = one.offset(setting.shift)
        change, deviation = changes(image, template, offset=offset, blur=setting.blur, tolerance=setting.tolerance)
        mask = opened(exceeds(change, deviation, deviations=setting.deviations, levels=setting.levels), setting.opening)
        boxes = pieces(mask, least_area=setting.least_area, reach=setting.reach).boxes
        found += len(boxes)
        for margin in MARGINS:
            wide = grown(boxes, margin, image.shape)
            matched = matches(wide, one.boxes, overlap=OVERLAP)
            is_hit = matched >= 0
            hits[margin] += int(is_hit.sum())
            overlapped[margin] += float(overlaps(one.boxes, wide)[is_hit, matched[is_hit]].sum())
    margin = max(MARGINS, key=lambda margin: (hits[margin], overlapped[margin]))
    return f_score(hits[margin], given, found, beta=beta), margin


def choose(
    pairs: Sequence[Pair], *, start: DifferenceSetting | None = None, beta: float = BETA
) -> tuple[DifferenceSetting, float]:
    """The setting with the best F score on ``pairs``, by coordinate search over GRID from ``start`` on, and that score.

    An equal score does not replace what was chosen, so that what stands first in a row is preferred.
    """
    chosen = start or DifferenceSetting()
    score, margin = best_margin(pairs, chosen, beta=beta)
    chosen = replace(chosen, margin=margin)
    known = {replace(chosen, margin=0): score}
    steps = [(name, value) for _ in range(ROUNDS) for name, values in GRID.items() for value in values]
    with tqdm(steps, desc="settings") as bar:
        for name, value in bar:
            asked = replace(chosen, **{name: value}, margin=0)  # type: ignore[arg-type]
            if asked not in known:
                known[asked], margin = best_margin(pairs, asked, beta=beta)
                if known[asked] > score:
                    score, chosen = known[asked], replace(asked, margin=margin)
            bar.set_postfix_str(f"F{beta:g} {score:.3f}")
    return chosen, score


@dataclass(frozen=True)
class Findings:
    """What was found on each test image, and the CPU seconds that it took without reading files."""

    pairs: Sequence[Pair]
    found: Sequence[FoundBoxes]
    seconds: float

    @classmethod
    def of(cls, pairs: Sequence[Pair], setting: DifferenceSetting) -> Findings:
        pixels = [one.pixels for one in pairs]
        begun = time.process_time()
        found = [find(image, template, setting) for image, template in pixels]
        return cls(pairs, found, time.process_time() - begun)

    @cached_property
    def matched(self) -> list[NDArray[np.int64]]:
        """Of each image the number of the found box that stands for each given one, or -1."""
        return [
            matches(found.boxes, one.boxes, overlap=OVERLAP) for one, found in zip(self.pairs, self.found, strict=True)
        ]

    @cached_property
    def touched(self) -> list[NDArray[np.bool_]]:
        """Of each image whether some found box meets each given one."""
        return [
            np.asarray((overlaps(one.boxes, found.boxes) > 0).any(axis=1))
            for one, found in zip(self.pairs, self.found, strict=True)
        ]

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Given boxes, those matched, those touched, and found boxes of each image: [N, 4]."""
        rows = [
            (len(matched), int((matched >= 0).sum()), int(touched.sum()), len(found.boxes))
            for matched, touched, found in zip(self.matched, self.touched, self.found, strict=True)
        ]
        return np.array(rows, dtype=np.int64)

    def by_class(self, classes: Sequence[str]) -> dict[str, list[float]]:
        """Of each class the share of its boxes that are matched, and how many there are."""
        labels = np.array([label for one in self.pairs for label in one.labels], dtype=np.int64)
        hits = np.concatenate(self.matched) >= 0
        return {
            name: [round(float(hits[labels == number].mean()), 4), int((labels == number).sum())]
            for number, name in enumerate(classes)
            if (labels == number).any()
        }


def rates(counts: NDArray[np.int64], *, seed: int = 0) -> dict[str, Any]:
    """Recall, precision, false calls an image and share touched of images [N, 4], with intervals over images.

    Each is [value, low, high]: the 2.5 and 97.5 percentiles of 2,000 draws of as many images with replacement.
    """
    count = len(counts)
    rows = Stream(seed, "template differences").integers(0, RESAMPLES * count, high=count).numpy()
    drawn = np.stack([counts.sum(axis=0), *counts[rows.reshape(RESAMPLES, count)].sum(axis=1)]).astype(np.float64)
    given, hits, touched, found = drawn.T
    with np.errstate(invalid="ignore"):
        measured = {
            "recall": hits / given,
            "precision": hits / found,
            "false_calls": (found - hits) / count,
            "touched": touched / given,
        }
    shown = {
        name: [round(float(one), 4) for one in (values[0], *np.nanpercentile(values[1:], (2.5, 97.5)))]
        for name, values in measured.items()
    }
    return {"images": count, "boxes": int(given[0]), **shown}


def measured(pairs: Pairs, chosen_on: Sequence[Pair], name: str) -> tuple[Line, Findings]:
    """The line of a set, and what was found."""
    setting, score = choose(chosen_on)
    tested = Findings.of(pairs.test, setting)
    line: Line = {"set": name, "overlap": OVERLAP, **rates(tested.counts), "by_class": tested.by_class(pairs.classes)}
    shown = {one.group for one in pairs.train}
    seen = np.array([one.group in shown for one in pairs.test])
    if not seen.all():
        line["seen"] = rates(tested.counts[seen]) if seen.any() else None
        line["unseen"] = rates(tested.counts[~seen])
    line |= {"setting": asdict(setting), "chosen_on": len(chosen_on), f"f{BETA}": round(score, 4)}
    balanced, f1 = choose(chosen_on, start=setting, beta=1)
    counts = Findings.of(pairs.test, balanced).counts
    line["balanced"] = rates(counts) | {"setting": asdict(balanced), "f1": round(f1, 4)}
    line |= {"cpu_seconds": round(tested.seconds / len(pairs.test), 4)}
    machine = {"processor": environment("cpu")["processor"], "threads": torch.get_num_threads()}
    return line | {"environment": machine}, tested


def picture(tested: Findings) -> Image.Image:
    """The test images with the most misses and false calls: given boxes found and missed, and false calls, in colours."""
    counts = tested.counts
    errors = counts[:, 0] + counts[:, 3] - 2 * counts[:, 1]
    tiles = []
    for number in np.argsort(-errors, kind="stable")[:SHOWN]:
        one, matched, found = (row[number] for row in (tested.pairs, tested.matched, tested.found))
        tile = Image.fromarray(one.pixels[0]).convert("RGB")
        draw = ImageDraw.Draw(tile)
        for box, hit in zip(one.boxes, matched, strict=True):
            draw.rectangle([float(edge) for edge in box], outline=HIT if hit >= 0 else MISS, width=3)
        for place, box in enumerate(found.boxes):
            draw.rectangle([float(edge) for edge in box], outline=HIT if place in matched else FALSE, width=1)
        tiles.append(tile.resize((WIDTH, round(WIDTH * tile.height / tile.width))))
    side = max(tile.height for tile in tiles)
    sheet = Image.new("RGB", (COLUMNS * WIDTH, -(-len(tiles) // COLUMNS) * side), "white")
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place % COLUMNS * WIDTH, place // COLUMNS * side))
    return sheet


def section() -> list[str]:
    """Lines of Markdown about all sets that were measured; none where none was."""
    lines = read_results(FILE)
    if not lines:
        return []
    text = [*"\n".join(paragraph(INTRODUCTION)).splitlines(), "", f"`{COMMAND}` measures a set.", ""]
    titles = ("set", "images", "boxes", "recall", "precision", "false calls an image", "touched", "CPU s an image")
    text += markdown(titles, [row for line in lines for row in rows_of(line)]).splitlines()
    text += [""]
    for line in lines:
        classes = ", ".join(f"{name} {share:.2f} of {count}" for name, (share, count) in line["by_class"].items())
        setting = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in line["setting"].items())
        machine = f"{line['environment']['threads']} core of {line['environment']['processor']}"
        chosen = f"chosen on {line['chosen_on']} training images, where its F{BETA} score is {line[f'f{BETA}']:.3f}"
        words = f"**{line['set']}.** Recall by class: {classes}. Setting, {chosen}: {setting}. Hardware: {machine}."
        text += bullet(words).splitlines()
    return [*text, ""]


def rows_of(line: Mapping[str, Any]) -> Iterator[list[str]]:
    """The row of a set, and those of its boards of kinds that training images show and do not show."""
    parts = {"": line, ", kinds seen in training": line.get("seen"), ", kinds unseen": line.get("unseen")}
    parts |= {", balanced": line.get("balanced")}
    for what, rates_of in parts.items():
        if rates_of:
            cells = [in_brackets(rates_of[name]) for name in ("recall", "precision", "false_calls", "touched")]
            seconds = f"{line['cpu_seconds']:.3f}" if not what else ""
            yield [f"{line['set']}{what}", str(rates_of["images"]), str(rates_of["boxes"]), *cells, seconds]


def in_brackets(measured: Sequence[float]) -> str:
    value, low, high = measured
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def read_arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the set")
    parser.add_argument("--name", help="of the set in its line, instead of the folder's")
    parser.add_argument("--choose-on", type=int, default=100, help="training images, taken evenly by chance")
    parser.add_argument("--picture", type=Path, help="a PNG file for the test images with the most errors")
    return parser.parse_args(given)


def main(arguments: Sequence[str] | None = None) -> None:
    given = read_arguments(arguments)
    torch.set_num_threads(1)
    with one_line_errors():
        if given.choose_on < 1:
            raise ValueError(f"--choose-on must be at least 1 image, got {given.choose_on}")
        pairs = read_pairs(given.data)
        order = permutation(0, 0, len(pairs.train), name="template differences")[: given.choose_on]
        name = given.name or given.data.resolve().name
        line, tested = measured(pairs, [pairs.train[number] for number in order], name)
        others = [other for other in read_results(FILE) if other["set"] != name]
        write_results(FILE, sorted([*others, line], key=lambda line: line["set"]))
        if given.picture is not None:
            given.picture.parent.mkdir(parents=True, exist_ok=True)
            picture(tested).save(given.picture)
        print("\n".join(section()))


if __name__ == "__main__":
    main()
