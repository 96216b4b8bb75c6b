"""What goes wrong and is more than a ValueError says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class PartlyDone(ValueError):
    """A task did all that it could and wrote its ``files``, and the message says what was asked beside that."""

    def __init__(self, message: str, files: Sequence[Path]) -> None:
        super().__init__(message)
        self.files = list(files)
