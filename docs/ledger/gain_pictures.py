"""Pictures beside the answers of `python -m docs.ledger.gain`: the curve, what is named wrong, what is drawn badly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from docs.ledger.gain_answers import CONTROL, Cells
from docs.ledger.gain_arms import ARMS, ASKED, Bench
from docs.ledger.gain_page import CURVE, MISSES, WORST, curve
from docs.ledger.results import Line
from generative.rendering.images import from_uint8, image_grid, stacked

SHOWN = 12  # patches of a kind of error


def show(cells: Cells, bench: Bench, folder: Path) -> None:
    """Write the pictures into ``folder``: of the smallest number of real defects and the first seed that both arms have."""
    folder.mkdir(parents=True, exist_ok=True)
    curve(cells).savefig(folder / CURVE, dpi=110)
    number = cells.numbers[0]
    seeds = sorted(set(cells.scores(CONTROL, number)) & set(cells.scores(ASKED, number)))
    if not seeds:
        return
    lines = [cells.by_arm[arm, number][seeds[0]] for arm in (CONTROL, ASKED)]
    save(stacked([panel for line in lines for panel in errors(cells, line, bench.test.images)]), folder / MISSES)
    save(worst(cells, lines[1], bench), folder / WORST)


def save(picture: Image.Image, path: Path) -> None:
    picture.convert("RGB").quantize(128).save(path, "png", optimize=True)


def errors(cells: Cells, line: Line, patches: Tensor) -> list[tuple[str, Image.Image]]:
    """Three panels of test patches: defects taken for faultless, faultless ones called defects, defects of another name."""
    named = np.array([int(letter, 36) for letter in line["named"]])
    clean = len(cells.classes) - 1
    is_defect, called = cells.labels != clean, named != clean
    kinds = {
        "taken for faultless": is_defect & ~called,
        "faultless, called a defect": ~is_defect & called,
        "wrong names": is_defect & called & (named != cells.labels),
    }
    panels = []
    for title, wrong in kinds.items():
        rows = np.flatnonzero(wrong)
        shown = rows[:SHOWN]
        words = f"{ARMS[line['arm']]}: {title}, {len(rows)} of {int((~is_defect if 'called a' in title else is_defect).sum())}"
        if len(shown):
            names = legend(cells, named, shown)
            panels.append((f"{words}\n{names}" if names else words, grid(patches[torch.from_numpy(shown)])))
    return panels


def legend(cells: Cells, named: np.ndarray, shown: np.ndarray) -> str:
    """The names of patches, and what they were called; empty where there is one class of defects."""
    if len(cells.classes) == 2:
        return ""
    return ", ".join(
        cells.classes[named[row]]
        if cells.labels[row] == len(cells.classes) - 1
        else cells.classes[cells.labels[row]]
        + (f" as {cells.classes[named[row]]}" if named[row] != len(cells.classes) - 1 else "")
        for row in shown
    )


def worst(cells: Cells, line: Line, bench: Bench) -> Image.Image:
    """The drawn defects whose own class the classifier finds least likely, under their names."""
    made = bench.synthetic(line["num_real"], line["seed"], "matched")
    rows = line["worst"]
    names = [cells.classes[int(made.labels[row])] for row in rows] if len(cells.classes) > 2 else []
    panels = [
        (", ".join(names[first : first + SHOWN]), grid(made.images[torch.tensor(rows[first : first + SHOWN])]))
        for first in range(0, len(rows), SHOWN)
    ]
    return stacked(panels)


def grid(patches: Tensor) -> Image.Image:
    return image_grid(from_uint8(patches), num_columns=SHOWN)
