"""The options of programs that measure a set of defects, by cells of an arm, a number of real defects and a seed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from docs.ledger.gain_arms import Bench, Protocol, clean_of, source_of
from docs.ledger.results import Line


def add_set(parser: argparse.ArgumentParser, *, page_without: bool = False) -> None:
    """Which set, what it is called, and where what is drawn of it is kept; ``page_without``: whether --data may be left out."""
    data = "the set; none: only make the page" if page_without else "the set"
    parser.add_argument("--data", type=Path, required=not page_without, help=data)
    clean = "pictures without a defect; else DATA/clean, of DeepPCB its templates"
    parser.add_argument("--clean", type=Path, help=clean)
    parser.add_argument("--name", help="what the results call the set; else its folder's name")
    cache = "drawn pictures and runs, the same for gain, detection_arms and realness"
    parser.add_argument("--cache", type=Path, default=Path("runs/gain"), help=cache)
    parser.add_argument("--precision", default="32-true", help="in which networks train that draw, such as bf16-mixed")


def add_cells(parser: argparse.ArgumentParser, *, numbers: Sequence[int], seeds: Sequence[int]) -> None:
    """Which numbers of real defects, and which seeds."""
    parser.add_argument(
        "--num-real", type=int, nargs="+", default=list(numbers), help="defects of each class that are known"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=list(seeds))


def name_of(given: argparse.Namespace) -> str:
    return str(given.name or given.data.resolve().name)


def bench_of(given: argparse.Namespace, protocol: Protocol | None = None) -> Bench:
    """The set of these options, read once."""
    clean, cache = clean_of(given.data, given.clean), given.cache / name_of(given)
    return Bench(given.data, clean, source_of(given.data), cache, protocol or Protocol(), precision=given.precision)


def append(path: Path, line: Line) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
