"""Outputs that were made elsewhere, to hold ours against: the files of a folder that no user needs, named by GOLDEN_DIR."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GOLDEN_DIR = Path(os.environ.get("GOLDEN_DIR", ROOT.parent / "shared" / "data" / "golden"))


def released_outputs(pattern: str) -> pytest.MarkDecorator:
    """Runs a test once for each file of GOLDEN_DIR that matches ``pattern``, as its ``path``; skips it where there is none."""
    files = sorted(GOLDEN_DIR.glob(pattern))
    none = pytest.param(
        None, marks=pytest.mark.skip(reason=f"no {pattern} in {GOLDEN_DIR}; name a folder with GOLDEN_DIR")
    )
    return pytest.mark.parametrize("path", files or [none], ids=lambda path: path.stem if path else "none")
