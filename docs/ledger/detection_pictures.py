"""docs/results/detection/<set>.png: the same places of the same boards, faultless, drawn, and as each arm made them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from datamodules.synthesis.reading import pixels_of
from docs.ledger.detection_page import ARMS, CONTROL
from docs.ledger.gain_arms import Bench
from docs.ledger.learned_sets import folder_of
from generative.rendering.images import side_by_side

EACH = 4  # places of a class
GAP = 2


def places_of(folder: Path) -> list[list[tuple[str, int, int]]]:
    """Of each class the picture and the middle (row, column) of some of its defects, each in another picture."""
    facts = json.loads((folder / "train.json").read_text())
    files = {image["id"]: image["file_name"] for image in facts["images"]}
    found: list[list[tuple[str, int, int]]] = []
    for category in facts["categories"]:
        of_class: dict[str, tuple[str, int, int]] = {}
        for row in facts["annotations"]:
            if row["category_id"] == category["id"]:
                left, top, width, height = row["bbox"]
                name = files[row["image_id"]]
                of_class.setdefault(name, (name, round(top + height / 2), round(left + width / 2)))
        found.append(list(of_class.values())[:EACH])
    return found


def window(path: Path, row: int, column: int, side: int) -> np.ndarray:
    pixels = pixels_of(path, channels=3)
    top, left = (
        min(max(0, at - side // 2), most - side) for at, most in zip((row, column), pixels.shape, strict=False)
    )
    return pixels[top : top + side, left : left + side]


def sheet(windows: list[list[np.ndarray]]) -> Image.Image:
    """A row for each class."""
    side = windows[0][0].shape[0] + GAP
    pixels = np.full((side * len(windows), side * max(map(len, windows)), 3), 160, dtype=np.uint8)
    for y, row in enumerate(windows):
        for x, one in enumerate(row):
            pixels[y * side : y * side + len(one), x * side : x * side + len(one)] = one
    return Image.fromarray(pixels)


def show(bench: Bench, num_real: int, seed: int, path: Path) -> Path:
    """One picture of all arms whose sets are there."""
    drawn = folder_of(bench, "rendered", num_real, seed)
    assert drawn is not None
    places, side = places_of(drawn), bench.protocol.size
    panels = [("faultless", drawn / "clean")]
    for arm, title in ARMS.items():
        folder = bench.cache / f"{num_real}_{seed}_{arm}" if arm != "rendered" else drawn
        if arm != CONTROL and (folder / "train.json").exists():
            panels.append((title.removeprefix("+ "), folder / "train"))
    sheets = [
        (title, sheet([[window(f / name, y, x, side) for name, y, x in row] for row in places])) for title, f in panels
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    side_by_side(sheets).save(path)
    return path
