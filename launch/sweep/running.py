"""A trial while it runs: its process, what it has measured so far, why it ended."""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from launch.compose import quoted
from launch.sweep.journal import Trial
from launch.sweep.processes import kill_all, marked, send, start
from records.run_files import read_metrics

GRACE_SECONDS = 30.0  # from SIGTERM to SIGKILL: for a step and a checkpoint
LEAVE_SECONDS = 5.0  # that processes of a trial may outlast its first one
KINDS = {
    2: "bad_input",
    3: "non_finite",
    4: "out_of_memory",
    5: "disk_full",
    6: "worker_died",
}  # exit codes of train.py
TAIL_BYTES = 20_000


def history(folder: Path, metric: str) -> list[float]:
    """The finite values of the column ``metric`` in the trial's table so far."""
    with suppress(ValueError):  # a row that is being written
        rows = read_metrics(folder / "metrics.csv")
        return [row[metric] for row in rows if math.isfinite(row.get(metric, math.nan))]
    return []


class RunningTrial:
    """The process of ``trial`` with the run folder ``folder``, its output in ``<folder>.log`` beside it.

    ``ended_for``: why the sweep told it to end, once it did: timeout, stopped_early or interrupted.
    """

    def __init__(self, trial: Trial, command: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> None:
        self.trial = trial
        self.folder = folder
        self.log = folder.with_name(f"{folder.name}.log")
        if not (folder / "config.yaml").exists():
            # Killed before it had begun: train.py would take the remains for somebody else's.
            shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        own = (f"run_dir={quoted(str(folder.absolute()))}", "resume=auto")
        self.process: subprocess.Popen[bytes] = start(
            [*command, *own], folder=folder, log=self.log, environment=environment
        )
        self.started = time.monotonic()
        self.left: float | None = None  # when its first process had ended
        self.told: float | None = None  # when it was told to end
        self.ended_for: str | None = None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def end(self, reason: str) -> None:
        """Tell it to save and end; the first reason counts."""
        if self.ended_for is None:
            self.ended_for, self.told = reason, time.monotonic()
            send(self.folder, signal.SIGTERM)

    def is_over(self) -> bool:
        """Whether all its processes are gone; those that stay too long are killed."""
        now = time.monotonic()
        if self.process.poll() is None:
            if self.told is not None and now - self.told > GRACE_SECONDS:
                kill_all(self.folder)
            return False
        self.left = self.left or now
        if now - self.left > LEAVE_SECONDS:
            kill_all(self.folder)
        return not marked(self.folder)

    def failure(self) -> tuple[str, str]:
        """Kind and sentence for an end that nobody asked for: the run's own record, else exit code and last words."""
        code = self.process.returncode
        with suppress(OSError, ValueError, KeyError):
            record = json.loads((self.folder / "failure.json").read_text())
            return str(record["kind"]), str(record["message"])
        if code < 0:
            memory = ": the system does so when memory runs out" if -code == signal.SIGKILL else ""
            return "killed", f"killed by signal {-code}{memory}"
        return KINDS.get(code, "error"), self.last_line() or f"exit code {code}"

    def last_line(self) -> str:
        """The last line of the log that is not empty; what train.py says of an error stands there."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - TAIL_BYTES))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
        last = next((line for line in reversed(lines) if line), "")
        return last.removeprefix("error: ").removesuffix(" (POLYMORPH_TRACEBACK=1 shows where)")
