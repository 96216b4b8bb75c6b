"""metrics.csv: the truth of a run on local disk. Dashboards are views of it."""

from __future__ import annotations

import csv
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from records.run_files import CLOCK, read_metrics


class CsvLog(Logger):
    """One row for every value of ``progress/kimg`` that something was logged at, in ``run_dir/metrics.csv``.

    Unlike Lightning's own CSV logger it appends to a table that is already there, so a resumed run keeps its
    past, and takes new columns at any time. Floats are written so that they read back to the same bits.
    """

    def __init__(self, *, run_dir: str) -> None:
        super().__init__()
        self.path = Path(run_dir) / "metrics.csv"
        self.columns: list[str] = []
        self.row: dict[str, Any] = {}  # the open row
        self.row_start: int | None = None  # where it stands in the file, once written
        self.written: dict[str, Any] = {}  # the row as it stands there

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: the configuration stands in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Values at ``metrics["progress/kimg"]``; those of one clock value share a row."""
        if not self.row:
            self.take_up(metrics[CLOCK])
        elif metrics[CLOCK] != self.row[CLOCK]:
            self.save()
            self.row, self.row_start = {}, None
        self.row |= metrics

    @rank_zero_only
    def save(self) -> None:
        """Write the open row, over itself where it was written before: a clock value never has two rows."""
        # A row that a checkpoint counts is not written again: a kill on the way would lose it.
        if self.row == self.written:
            return
        if not self.columns:
            self.columns = self.read_header()
        if self.row_start is not None:
            os.truncate(self.path, self.row_start)
        new = [key for key in self.row if key not in self.columns]
        if new:
            self.widen(new)
        with self.path.open("a", newline="") as file:
            self.row_start = file.seek(0, os.SEEK_END)
            csv.writer(file, lineterminator="\n").writerow([self.row.get(key, "") for key in self.columns])
        self.written = dict(self.row)

    def take_up(self, clock: float) -> None:
        """Open the last row of the table again, if an earlier process left it at ``clock``."""
        rows = read_metrics(self.path)
        if rows and rows[-1][CLOCK] == clock:
            self.row, self.written = dict(rows[-1]), dict(rows[-1])
            text = self.path.read_bytes()
            self.row_start = text.rindex(b"\n", 0, len(text) - 1) + 1

    def read_header(self) -> list[str]:
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return next(csv.reader(file), [])

    def widen(self, new: list[str]) -> None:
        """Rewrite the table with ``new`` columns, empty in its rows so far."""
        rows: list[list[str]] = []
        if self.columns:
            with self.path.open(newline="") as file:
                _, *rows = csv.reader(file)
        self.columns = [*self.columns, *new]
        temporary = self.path.with_name(f".{self.path.name}.writing")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([self.columns, *([*row, *[""] * len(new)] for row in rows)])
        temporary.replace(self.path)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()
