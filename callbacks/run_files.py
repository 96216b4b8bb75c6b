"""The files of a run folder, read and written without PyTorch: programs that only look at runs start at once."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

CLOCK = "progress/kimg"
COLUMN_KINDS = ("loss", "penalty", "score", "metric", "best", "throughput")  # what a column's name begins with, and "/"
REAL_IMAGES = "real_images.png"  # beside the grids of samples


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The rows of a metrics.csv, empty cells left out, and a last row that is still being written."""
    if not path.exists():
        return []
    whole, _, _ = path.read_text().rpartition("\n")
    rows = csv.DictReader(whole.split("\n")) if whole else []
    return [{key: float(value) for key, value in row.items() if value} for row in rows]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a file of JSON lines; none where there is no file. A last line cut short by a crash is left out."""
    lines = path.read_text().split("\n") if path.exists() else [""]
    return [json.loads(line) for line in lines[:-1]]


def grid_facts(path: Path) -> tuple[float, str]:
    """kimg and size of a picture named by :func:`callbacks.samples.sample_grid_name`: 12.5 and ``64px``."""
    _, kimg, size = path.stem.split("_")
    return float(kimg), size


def grids(samples: Path) -> dict[str, list[Path]]:
    """Size such as ``64px`` -> the grids of samples of that size in the order of time; the smallest size first."""
    by_size: dict[str, list[Path]] = {}
    for path in sorted(samples.glob("kimg_*.png")):
        by_size.setdefault(grid_facts(path)[1], []).append(path)
    return dict(sorted(by_size.items(), key=lambda item: int(item[0].removesuffix("px"))))


def replace_text(path: Path, text: str) -> None:
    """Replace a file as a whole: a reader, or a crash, never meets half of it."""
    temporary = path.with_name(f".{path.name}.writing")
    temporary.write_text(text)
    temporary.replace(path)
