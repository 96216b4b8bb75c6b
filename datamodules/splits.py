"""The splits of a set of one's own: which of its parts is tested on, and what is held out where there is none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from datamodules.notices import warn_once
from datamodules.stored import HELD_OUT

Item = TypeVar("Item")
TEST_NAMES = ("test", "valid", "val", "validation")  # of the part that is tested on: the first that is there


def part_to_test_on(there: Collection[str], where: object) -> str | None:
    """Which of the parts that are ``there`` is tested on, said where it is not called test; None: hold out."""
    name = next((name for name in TEST_NAMES if name in there), None)
    if name not in (None, "test"):
        warn_once(f"{where} has no test split: {name} stands for it")
    others = [other for other in TEST_NAMES if other in there and other != name]
    if others:
        warn_once(f"{', '.join(others)} of {where} is neither trained nor tested on: {name} is the test split")
    return name


def check_apart(ours: Iterable[str], theirs: Iterable[str], where: object) -> None:
    """ValueError where an image is in the lists of both splits: what is tested on must not be trained on."""
    both = sorted(set(ours) & set(theirs))
    if both:
        raise ValueError(
            f"{len(both)} images of {where}, such as {both[0]}, are in the lists of both splits: take them out of one"
        )


def real_paths(files: Iterable[Path]) -> list[str]:
    """Where links lead: the same image under two names is one."""
    return [str(file.resolve()) for file in files]


def held_out(whole: Sequence[Item], split: str, where: object) -> list[Item]:
    """The part that ``split`` is of a set without a test split: for "test" every tenth, the last of fewer than ten."""
    every = min(HELD_OUT, len(whole))
    test = list(whole[every - 1 :: every]) if len(whole) > 1 else []
    if not test:
        raise ValueError(f"{where} has no test split, and {len(whole)} images, of which none can be held out for it")
    warn_once(f"{where} has no test split: {len(test)} of its {len(whole)} images, every {every}th, are held out")
    return test if split == "test" else [item for number, item in enumerate(whole) if number % every != every - 1]
