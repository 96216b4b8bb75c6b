"""A copy of the project in another folder, for tests that change files of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.conftest import ROOT

FOLDERS = (
    "callbacks",
    "configs",
    "datamodules",
    "generative",
    "launch",
    "lightning_modules",
    "metrics",
    "records",
    "tests",
)


def copied_to(folder: Path) -> Path:
    """The programs, their packages and their tests, copied to the new ``folder``."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in (*ROOT.glob("*.py"), ROOT / "pyproject.toml"):
        shutil.copy(file, folder / file.name)
    return folder
