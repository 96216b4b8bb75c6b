"""What the pages about runs are made of: curves, pictures, one file that needs nothing else."""

from __future__ import annotations

import base64
import html
import json
import math
import re
from pathlib import Path
from typing import Any

from callbacks.run_files import CLOCK

FOLDER = Path(__file__).parent


def thin(items: list[Any], most: int) -> list[Any]:
    """At most ``most`` of ``items``, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def curves(rows: list[dict[str, float]], *, max_points: int) -> dict[str, list[list[float]]]:
    """Column -> [[kimg, value], ...] of every logged column but the clock."""
    names = sorted({name for row in rows for name in row} - {CLOCK})
    return {
        name: thin([[row[CLOCK], row[name]] for row in rows if math.isfinite(row.get(name, math.nan))], max_points)
        for name in names
    }


def data_address(picture: Path) -> str:
    """A PNG file as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()


def writable(node: Any) -> Any:
    """``node`` with the numbers that JSON does not know (NaN, infinities) as text."""
    if isinstance(node, dict):
        return {key: writable(value) for key, value in node.items()}
    if isinstance(node, list):
        return [writable(value) for value in node]
    return str(node) if isinstance(node, float) and not math.isfinite(node) else node


def style() -> str:
    """What all pages look like."""
    return (FOLDER / "page.css").read_text()


def page(template: str, *, title: str, data: dict[str, Any]) -> str:
    """The template ``callbacks/<template>.html`` with the shared style and drawing, and ``data`` for its script."""
    # A configuration may hold any text, and inside a script element "</script" or "<!--" would end or hide what follows.
    script = json.dumps(writable(data), allow_nan=False).replace("<", "\\u003c")
    parts = {
        "STYLE": style(),
        "DRAWING": (FOLDER / "page.js").read_text(),
        "TITLE": html.escape(title),
        "DATA": script,
    }
    text = (FOLDER / f"{template}.html").read_text()
    return re.sub("__([A-Z]+)__", lambda mark: parts[mark[1]], text)
