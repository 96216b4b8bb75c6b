"""The processes of one run on one machine live and die together."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

MAIN_VARIABLE = "POLYMORPH_MAIN"  # process number of rank 0, told to the ranks that it launches and to nobody else
POLL_SECONDS = 0.5
# A survivor first gets the time to notice by itself: its collective operation fails, on the CPU at once.
GRACE_SECONDS = 15.0
# Records "rank 1 has died" and returns the exit code to leave with; None if the run had come to its end.
LastWords = Callable[[str], int | None]


def launched_processes(trainer: Trainer) -> list[subprocess.Popen[bytes]]:
    """The ranks from 1 on that this process started; none in those, or under a launcher from outside."""
    return getattr(trainer.strategy.launcher, "procs", [])


def died(trainer: Trainer) -> str:
    """Which rank is gone, as far as this one can know."""
    for _ in range(10):  # its connections close before the system reports its end
        for rank, process in enumerate(launched_processes(trainer), start=1):
            if process.poll():
                return f"rank {rank} has died ({how(process.returncode)})"
        if main_is_gone():
            return "rank 0 has died"
        time.sleep(0.1)
    return "another rank has died"


def how(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def main_is_gone() -> bool:
    return MAIN_VARIABLE in os.environ and int(os.environ[MAIN_VARIABLE]) != os.getppid()


def watch(trainer: Trainer, last_words: LastWords) -> None:
    """Start the thread that ends this process should another rank be gone and this one not notice.

    Lightning's own thread kills rank 0 within seconds of the end of another rank, whatever it is doing.
    """
    if MAIN_VARIABLE in os.environ:  # launched; such a rank has a launcher as well, which does nothing
        watcher = threading.Thread(target=end_without, args=(main_is_gone, trainer, last_words), daemon=True)
        watcher.start()
    elif isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher):
        trainer.strategy._launcher = WatchingLauncher(trainer.strategy.launcher, last_words)


def end_without(is_gone: Callable[[], bool], trainer: Trainer, last_words: LastWords) -> None:
    while not is_gone():
        time.sleep(POLL_SECONDS)
    time.sleep(GRACE_SECONDS)
    code = last_words(died(trainer))
    if code is None:
        return
    end_launched(trainer, grace_seconds=0.0)
    sys.stderr.flush()
    os._exit(code)


def end_launched(trainer: Trainer, *, grace_seconds: float) -> None:
    """Wait for the ranks that this one launched, then kill those that still run."""
    until = time.monotonic() + grace_seconds
    for process in launched_processes(trainer):
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class WatchingLauncher(_SubprocessScriptLauncher):
    """Launches the other ranks of this machine and watches them."""

    def __init__(self, replaced: _SubprocessScriptLauncher, last_words: LastWords) -> None:
        super().__init__(replaced.cluster_environment, replaced.num_processes, replaced.num_nodes)
        self.last_words = last_words

    def launch(self, function: Callable[..., Any], *args: Any, trainer: Trainer | None = None, **kwargs: Any) -> Any:
        assert trainer is not None
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if not self.cluster_environment.creates_processes_externally:
            os.environ[MAIN_VARIABLE] = str(os.getpid())
            self._call_children_scripts()
            del os.environ[MAIN_VARIABLE]

            def one_is_gone() -> bool:
                # From 128 on: it was told to end, as this one was.
                return any((process.poll() or 0) not in (0, *range(128, 256)) for process in self.procs)

            watcher = threading.Thread(target=end_without, args=(one_is_gone, trainer, self.last_words), daemon=True)
            watcher.start()
        return function(*args, **kwargs)
