"""Results side by side, if they were made under one protocol."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from launch.evaluate.requests import ComparisonRequest
from metrics.protocols import check_comparable
from records.run_files import read_lines


def compare(request: ComparisonRequest) -> dict[str, Any]:
    """A table on the screen of the last result of each file, the first file's metrics first.

    ValueError that names the difference where their protocols do not agree.
    """
    paths = request.compare
    records = [last_result(path) for path in paths]
    check_comparable(records, paths)
    names = list(dict.fromkeys(name for record in records for name in record["metrics"]))
    print("| metric | " + " | ".join(paths) + " |\n|" + "---|" * (len(paths) + 1))
    for name in names:
        cells = [f"{record['metrics'][name]:.6g}" if name in record["metrics"] else "-" for record in records]
        print(f"| {name} | " + " | ".join(cells) + " |")
    return {"compared": paths, "results": records}


def last_result(path: str) -> dict[str, Any]:
    """The last line of a file of results; ValueError where it holds none."""
    if not Path(path).is_file():
        raise ValueError(f"there is no file of results {path}")
    try:
        lines = [line for line in read_lines(Path(path)) if "protocol" in line and line.get("metrics")]
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no file of results: {error}") from error
    if not lines:
        raise ValueError(f"{path} holds no result")
    return lines[-1]
