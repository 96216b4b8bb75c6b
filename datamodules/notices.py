"""What a data module tells about the files that it found."""

from __future__ import annotations

import sys
from functools import cache


@cache
def warn_once(text: str) -> None:
    """To the error stream, once a process: both splits of a set come to the same conclusion."""
    print(f"warning: {text}", file=sys.stderr)
