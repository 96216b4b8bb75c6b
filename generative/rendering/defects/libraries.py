"""The packages of the extra ``defects``: what needs one says how to get it where it is missing."""

from __future__ import annotations

import importlib
from types import ModuleType

REMEDY = 'pip install -e ".[defects]"'


def needed(name: str, what: str, *, remedy: str = REMEDY) -> ModuleType:
    """The module ``name``; ValueError with the remedy where its package is missing. ``what`` needs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f"{what} needs the package of {name} ({error}): {remedy}") from error


def opencv() -> ModuleType:
    return needed("cv2", "drawing defects")
