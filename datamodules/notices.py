"""What a data module tells about the files that it found, and in which words."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache


@cache
def warn_once(text: str) -> None:
    """To the error stream, once a process: both splits of a set come to the same conclusion."""
    print(f"warning: {text}", file=sys.stderr)


def first_few(values: Sequence[object], *, most: int = 5) -> str:
    """The first ``most`` of ``values``, and a sign where there are more."""
    return ", ".join(map(str, values[:most])) + (" ..." if len(values) > most else "")
