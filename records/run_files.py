"""The files of a run folder, read and written without PyTorch: programs that only look at runs start at once."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

CLOCK = "progress/kimg"
COLUMN_KINDS = ("loss", "penalty", "score", "metric", "best", "throughput")  # what a column's name begins with, and "/"
REAL_IMAGES = "real_images.png"  # beside the grids of samples


def lines_of(path: Path) -> tuple[list[str], str]:
    """The lines of a file that is written line by line, and what stands after the last of them: a crash cut it short."""
    *lines, rest = path.read_bytes().decode(errors="replace").split("\n") if path.exists() else [""]
    return lines, rest


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The rows of a metrics.csv, empty cells left out, and a last row that is still being written; ValueError for others."""
    rows = csv.DictReader(lines_of(path)[0])
    try:
        return [{key: float(value) for key, value in row.items() if value} for row in rows]
    except (TypeError, ValueError) as error:  # too many cells, or one that is no number
        raise ValueError(f"{path} cannot be read: its line {rows.line_num} is no row of numbers ({error})") from error


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a file of JSON lines; none where there is no file. A last line cut short by a crash is left out."""
    lines, rest = lines_of(path)
    records = []
    for number, line in enumerate([*lines, rest] if is_record(rest) else lines, start=1):
        if not is_record(line):
            raise ValueError(f"{path} cannot be read: remove its line {number}, which is no record")
        records.append(json.loads(line))
    return records


def is_record(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Add a record to a file of JSON lines; it is on the disk when this returns.

    What a crash left of a line before it goes: the new one would be glued to it, and both be lost.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _, rest = lines_of(path)
    if rest and not is_record(rest):
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
    with path.open("a") as file:
        file.write(("\n" if is_record(rest) else "") + json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())


def grid_name(kimg: float, image_size: int) -> str:
    """The file of a grid of samples, ``kimg_000012.500_64px.png``: sorts by time."""
    return f"kimg_{kimg:010.3f}_{image_size}px.png"


def grid_facts(path: Path) -> tuple[float, str]:
    """kimg and size of a picture that :func:`grid_name` named: 12.5 and ``64px``."""
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
