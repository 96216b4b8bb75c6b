"""Rows of values as files of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_lines(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Write ``rows`` into ``path``, an object of JSON a line, and return it; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
