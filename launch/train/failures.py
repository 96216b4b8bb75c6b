"""failure.json: why a run ended before its end, for people and for programs that start runs.

``{"kind": ..., "message": ..., "kimg": ..., "rank": ...}``; ``kind`` is one of ``non_finite``, ``out_of_memory``,
``disk_full``, ``worker_died``, ``rank_died``, ``interrupted`` (with ``"signal": "SIGTERM"``) and ``error``. The rank
that failed first writes it. It goes when the run starts again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from callbacks.signals import Interrupted, Signals
from launch.errors import EXIT_CODES, RunEnded, failure_kind
from launch.train.run_folder import RunFolder
from launch.train.watch import died, end_launched, watch
from lightning_modules.base import Method

FAILURE = "failure.json"
PEER_SECONDS = 10.0  # that the other ranks have to end by themselves
REMEDIES = {
    "out_of_memory": "continue with resume=auto and a smaller datamodule.batch_size or a larger method.accumulate",
    "worker_died": (
        "the system kills workers when memory runs out: continue with resume=auto and a smaller datamodule.num_workers, or "
        "more memory"
    ),
    "rank_died": "continue with resume=auto",
    "interrupted": "continue with resume=auto",
}


@dataclass
class Failures:
    """What is recorded of one run on one rank."""

    run: RunFolder
    trainer: Trainer
    method: Method
    is_done: bool = False  # fit and test have ended as they should

    @property
    def path(self) -> Path:
        return self.run.path / FAILURE

    def sentence(self, kind: str, what: str) -> str:
        is_saved = self.run.last_checkpoint.exists()
        saved = "the last checkpoint is good" if is_saved else "there is no checkpoint yet"
        return f"{what} after {self.method.images_seen / 1000:g} kimg: {saved}; {REMEDIES[kind]}"

    def describe(self, error: BaseException) -> dict[str, Any]:
        """The record of ``error``."""
        facts: dict[str, Any] = {"kimg": self.method.images_seen / 1000, "rank": self.trainer.global_rank}
        if isinstance(error, Interrupted):
            facts |= {"kind": "interrupted", "signal": error.signal.name}
            return facts | {"message": self.sentence("interrupted", f"ended by {error.signal.name}")}
        kind = failure_kind(error)
        where = f" on rank {self.trainer.global_rank}" if self.trainer.world_size > 1 else ""
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        if kind == "rank_died":
            message = self.sentence(kind, died(self.trainer))
        elif kind in REMEDIES:
            message = self.sentence(kind, f"{kind.replace('_', ' ')}{where} ({first_line})")
        else:
            message = f"{type(error).__name__}: {first_line}" if kind == "error" else first_line
        return facts | {"kind": "error" if kind == "bad_input" else kind, "message": message}

    def record(self, failure: dict[str, Any]) -> dict[str, Any]:
        """Write ``failure`` unless another rank was first; what stands in the file."""
        try:
            if self.path.exists():
                return dict(json.loads(self.path.read_text()))
            temporary = self.path.with_name(f".{FAILURE}.{self.trainer.global_rank}.writing")
            temporary.write_text(json.dumps(failure) + "\n")
            temporary.replace(self.path)
        except OSError as error:  # the disk may be what is full
            print(f"{self.path} cannot be written: {error.strerror}", file=sys.stderr)
        return failure

    def last_words(self, what: str) -> int | None:
        """For the thread that ends a process which waits for a rank that is gone."""
        if self.is_done:
            return None
        failure = {"kimg": self.method.images_seen / 1000, "rank": self.trainer.global_rank}
        failure = self.record(failure | {"kind": "rank_died", "message": self.sentence("rank_died", what)})
        print(f"error: {failure['message']}", file=sys.stderr)
        return recorded_code(failure)


def recorded_code(failure: dict[str, Any]) -> int:
    return 128 + signal.Signals[failure["signal"]] if "signal" in failure else EXIT_CODES[failure["kind"]]


def requeue() -> None:
    """Put the job of the scheduler, if this is one, back into its queue."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    command = ["scontrol", "requeue", job]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        problem = done.stderr.strip() or f"exit code {done.returncode}" if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    print(f"{' '.join(command)} failed: {problem}" if problem else f"job {job} is requeued", file=sys.stderr)


@contextmanager
def recorded_failures(run: RunFolder, trainer: Trainer, method: Method) -> Iterator[None]:
    """Fit and test inside: whatever ends them leaves failure.json, no process of this run, and the right exit code."""
    failures = Failures(run, trainer, method)
    if trainer.is_global_zero:
        failures.path.unlink(missing_ok=True)
    watch(trainer, failures.last_words)
    try:
        yield
        failures.is_done = True
    except (Exception, Interrupted) as error:
        is_unused = run.is_new and method.images_seen == 0 and not isinstance(error, Interrupted)
        if is_unused and failure_kind(error) in ("bad_input", "error"):
            if trainer.is_global_zero:
                run.remove_if_unused(method.images_seen)
            end_launched(trainer, grace_seconds=PEER_SECONDS)
            raise
        own = failures.describe(error)
        failure = failures.record(own)
        end_launched(trainer, grace_seconds=PEER_SECONDS)
        if failure["kind"] == "interrupted" and trainer.is_global_zero:
            print(failure["message"], file=sys.stderr)
            if failure["signal"] == "SIGUSR1":
                requeue()
        if own["kind"] in REMEDIES and not isinstance(error, Interrupted):
            raise RunEnded(failure["message"], exit_code=recorded_code(failure)) from error
        raise
    finally:
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Signals):
                callback.restore()
