"""Runs the trials of a sweep on this machine: so many at a time, each ended, counted and reported, whatever it did."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm

from launch.errors import did_you_mean
from launch.sweep.journal import TRIALS, Journal, Trial
from launch.sweep.processes import end_all
from launch.sweep.report import best_trial, write_sweep_report
from launch.sweep.running import GRACE_SECONDS, RunningTrial, history
from launch.sweep.search import propose
from launch.sweep.sweep_file import PROGRAM, Sweep
from launch.train.folder_lock import FolderLock
from records.pages import Pace
from records.run_files import read_metrics

TRAIN = (sys.executable, str(Path(__file__).resolve().parents[2] / PROGRAM))
POLL_SECONDS = 0.25
HISTORY_SECONDS = 2.0  # between two looks at the metrics of running trials
MAX_INITIAL_FAILURES = 5  # as W&B's agent: where the first so many failed, the others would


@dataclass
class Engine:
    """Runs ``num_trials`` trials of ``sweep`` in ``folder``, one at a time in each of ``slots``.

    A slot is what it adds to the environment of its trials. ``command`` is the program that takes a trial's settings.
    """

    sweep: Sweep
    folder: Path
    slots: Sequence[dict[str, str]]
    num_trials: int
    seed: int = 0
    timeout_seconds: float | None = None
    command: Sequence[str] = TRAIN
    running: dict[int, RunningTrial] = field(default_factory=dict)  # by slot
    histories: dict[int, list[float]] = field(default_factory=dict)  # by trial, lower being better
    stopped_by: int | None = None  # a signal
    gave_up: str | None = None  # why
    page_pace: Pace = field(default_factory=lambda: Pace(min_seconds=0.0))
    has_news: bool = False  # that the page does not show yet
    ended: int = 0  # since this start, as are the failed
    failed: int = 0

    def run(self) -> list[Trial]:
        """Go on until all trials are over or a signal comes; what is known of each. ValueError where none can succeed."""
        with FolderLock() as lock, self.signals():
            lock.take(self.folder, what="another sweep.py runs the sweep in")
            self.journal = Journal(self.folder)
            self.journal.open_for({**self.sweep.identity(), "seed": self.seed})
            # Of a sweep that was killed: its trials save and end here, and go on below.
            end_all(self.trials_folder, grace_seconds=GRACE_SECONDS)
            self.started = self.looked = time.monotonic()
            try:
                while self.fill_slots() or self.running:
                    time.sleep(POLL_SECONDS)
                    self.look()
            finally:
                end_all(self.trials_folder, grace_seconds=GRACE_SECONDS)
            self.report()
        if self.gave_up is not None:
            raise ValueError(self.gave_up)
        return self.trials

    @property
    def trials_folder(self) -> Path:
        return self.folder / TRIALS

    def folder_of(self, trial: Trial) -> Path:
        return self.folder / trial.place

    @property
    def trials(self) -> list[Trial]:
        return [self.journal.trials[number] for number in sorted(self.journal.trials)]

    @property
    def is_stopping(self) -> bool:
        return self.stopped_by is not None or self.gave_up is not None

    def next_trial(self) -> Trial | None:
        """The first that was begun and is neither over nor running, else a new one, if any is left."""
        now = {running.trial.number for running in self.running.values()}
        for trial in self.trials:
            if not trial.is_over and trial.number not in now:
                return trial
        number = len(self.journal.trials)
        if number >= self.num_trials:
            return None
        point, values = propose(self.sweep, number, self.trials, seed=self.seed)
        return Trial(number, values, point)

    def fill_slots(self) -> bool:
        """Start what can be started; whether anything was."""
        started = False
        for slot, environment in enumerate(self.slots):
            trial = None if slot in self.running or self.is_stopping else self.next_trial()
            if trial is not None:
                trial = self.journal.record(trial, state="running")
                command = [*self.command, *self.sweep.arguments(trial.values)]
                self.running[slot] = RunningTrial(trial, command, folder=self.folder_of(trial), environment=environment)
                started = self.has_news = True
        return started

    def look(self) -> None:
        """Take in the trials that are over, end those that are to end."""
        for slot, running in list(self.running.items()):
            if running.is_over():
                del self.running[slot]
                self.take_in(running)
            elif self.is_stopping:
                running.end("interrupted")
            elif self.timeout_seconds is not None and running.seconds > self.timeout_seconds:
                running.end("timeout")
        if self.sweep.early_terminate is not None and time.monotonic() - self.looked > HISTORY_SECONDS:
            self.looked = time.monotonic()
            self.end_worse_trials()
        if self.has_news and self.page_pace.is_due:
            self.report()

    def end_worse_trials(self) -> None:
        assert self.sweep.early_terminate is not None
        sign = self.sweep.sign
        for trial in self.trials:
            if not trial.is_over or trial.number not in self.histories:
                self.histories[trial.number] = [
                    sign * value for value in history(self.folder_of(trial), self.sweep.metric)
                ]
        for running in self.running.values():
            if self.sweep.early_terminate.ends(self.histories[running.trial.number], list(self.histories.values())):
                running.end("stopped_early")

    def take_in(self, running: RunningTrial) -> None:
        """Note how a trial ended, and give up where the others would end the same way."""
        trial = self.journal.record(
            running.trial, seconds=round(running.trial.seconds + running.seconds, 1), **self.outcome(running)
        )
        self.histories.pop(trial.number, None)  # it may have gone on since the last look
        self.has_news = True
        if trial.is_over:
            self.ended += 1
            self.failed += trial.state == "failed"
        print(self.line(trial), flush=True)
        if self.is_stopping or any(other.objective is not None for other in self.trials):
            return
        if trial.kind == "no_metric":
            self.gave_up = f"{trial.why}: mend the sweep's metric and remove {self.folder}"
        elif self.failed >= MAX_INITIAL_FAILURES:
            self.gave_up = (
                f"the first {self.failed} trials failed, the last because {trial.why}: the same command goes on"
            )

    def outcome(self, running: RunningTrial) -> dict[str, Any]:
        """State of a trial whose processes are gone, with its objective or its failure."""
        folder, metric = running.folder, self.sweep.metric
        values = history(folder, metric)
        if running.ended_for == "interrupted":
            return {"state": "interrupted"}
        if running.ended_for == "stopped_early":
            return {"state": "stopped_early", "objective": values[-1]}
        if running.ended_for == "timeout":
            assert self.timeout_seconds is not None
            kind, why = "timeout", f"not done after {self.timeout_seconds / 60:g} minutes"
        elif running.process.returncode != 0:
            kind, why = running.failure()
        elif values:
            return {"state": "done", "objective": values[-1]}
        else:
            columns = {name for row in read_metrics(folder / "metrics.csv") for name in row}
            kind, why = "no_metric", f"metrics.csv has no column {metric!r}{did_you_mean(metric, columns)}"
            if metric in columns:
                kind, why = "non_finite", f"{metric} was never finite"
        return {"state": "failed", "kind": kind, "why": why}

    def line(self, trial: Trial) -> str:
        """A trial that has ended, the best so far and the time left."""
        text = f"trial {trial.number}: {trial.state.replace('_', ' ')}"
        if trial.objective is not None:
            text += f", {self.sweep.metric} {trial.objective:.4g}"
        if trial.why is not None:
            text += f" ({trial.why})"
        text += f" in {tqdm.format_interval(trial.seconds)}"
        best = best_trial(self.sweep, self.trials)
        if best is not None:
            text += f"; best {best.objective:.4g} of trial {best.number}"
        over = sum(other.is_over for other in self.trials)
        text += f"; {over} of {self.num_trials}"
        if self.ended and over < self.num_trials and not self.is_stopping:
            seconds = (time.monotonic() - self.started) / self.ended * (self.num_trials - over)
            text += f", {tqdm.format_interval(seconds)} left"
        return text

    def report(self) -> None:
        with self.page_pace.timed():
            write_sweep_report(self.folder, self.sweep, self.trials, num_trials=self.num_trials)
        self.has_news = False

    @contextmanager
    def signals(self) -> Iterator[None]:
        """The first Ctrl-C, SIGTERM or hang-up has all trials save and end; one that nohup has us ignore stays ignored."""

        def note(number: int, frame: FrameType | None) -> None:
            self.stopped_by = number

        heard = [s for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) != signal.SIG_IGN]
        before = {number: signal.signal(number, note) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
