"""What the pages about runs are made of: curves, pictures, one file that needs nothing else and stays small."""

from __future__ import annotations

import base64
import html
import io
import json
import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from records.run_files import CLOCK

FOLDER = Path(__file__).parent
# A browser opens a page at once, and a page that goes by mail has limits: of 30 MB these are for its pictures.
PICTURE_BYTES = 22_000_000
MAX_CURVE_POINTS = 250_000  # of all curves together, about 20 bytes each
SHOWN_WIDTH = 1200  # pixels of a page: a picture that is too large for its share is shown no wider
JPEG_QUALITY = 85
TIME_SHARE = 0.05  # of a run's time, at most, that goes into writing its page


def thin(items: list[Any], most: int) -> list[Any]:
    """At most ``most`` of ``items``, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def curves(rows: list[dict[str, float]], *, max_points: int) -> dict[str, list[list[float]]]:
    """Column -> [[kimg, value], ...] of every logged column but the clock, to six digits."""
    names = sorted({name for row in rows for name in row} - {CLOCK})
    found = {}
    for name in names:
        measured = [row for row in rows if math.isfinite(row.get(name, math.nan))]
        found[name] = [[row[CLOCK], float(f"{row[name]:.6g}")] for row in thin(measured, max_points)]
    return found


class Pace:
    """When something that is written again and again is due: writing it takes at most ``TIME_SHARE`` of the time.

    ``min_seconds``: between two writings, however fast they are.
    """

    def __init__(self, *, min_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.min_seconds = min_seconds
        self.clock = clock
        self.due_at = -math.inf

    @property
    def is_due(self) -> bool:
        return self.clock() >= self.due_at

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Write inside: the next time is put off in proportion to what it cost."""
        started = self.clock()
        yield
        ended = self.clock()
        self.due_at = ended + max(self.min_seconds, (ended - started) * (1 / TIME_SHARE - 1))


def data_address(picture: Path, *, share: float) -> str:
    """A PNG file as an address that holds it; one that is larger than ``share`` of PICTURE_BYTES is shown smaller."""
    # An address takes four letters for three bytes.
    return encoded(picture, picture.stat().st_mtime_ns, int(share * PICTURE_BYTES * 3 / 4))


@lru_cache(maxsize=64)
def encoded(picture: Path, modified_ns: int, most_bytes: int) -> str:
    """The address of a picture's file, or of a JPEG as much smaller as it takes to have ``most_bytes``.

    A page is written many times while a run goes on: what was made of a file of ``modified_ns`` is not made again.
    """
    content, kind = picture.read_bytes(), "png"
    if len(content) > most_bytes:
        kind = "jpeg"
        with Image.open(io.BytesIO(content)) as image:
            shown = image.convert("L" if image.mode == "L" else "RGB")
        shown.thumbnail((SHOWN_WIDTH, SHOWN_WIDTH))
        content = jpeg(shown)
        while len(content) > most_bytes and max(shown.size) > 1:
            shown.thumbnail((max(1, shown.width * 3 // 4), max(1, shown.height * 3 // 4)))
            content = jpeg(shown)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


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
    """The template ``records/<template>.html`` with the shared style and drawing, and ``data`` for its script."""
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
