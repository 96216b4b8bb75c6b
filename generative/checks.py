"""What settings must be: ValueError with the name of the setting, what it may be, and what was given."""

from __future__ import annotations

import math
from collections.abc import Collection


def check_choice(name: str, value: object, choices: Collection[object]) -> None:
    """ValueError unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"unknown {name} {value!r}: choose one of {', '.join(map(str, choices))}")


def check_at_least(least: int, **values: float) -> None:
    """ValueError unless each of the named ``values`` is a finite number from ``least`` on."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number of at least {least}, got {value}")
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
