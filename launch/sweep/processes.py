"""The processes of a trial: one session, all of them marked, none of them left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

# In the environment of a trial's process and so of all that it starts, whichever group or session those moved to,
# and also when the sweep that started them was killed: its folder.
MARK = "POLYMORPH_TRIAL"
END_SECONDS = 10.0  # for the system to end what was killed


def marked(folder: Path) -> list[int]:
    """Numbers of the living processes of the trials in ``folder``, or of the trial whose folder it is."""
    prefix = f"{MARK}={folder.resolve()}/".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # ended meanwhile, or another user's
            if any(entry.startswith(prefix) for entry in path.read_bytes().split(b"\0")):
                found.append(int(path.parent.name))
    return found


def send(folder: Path, signal_number: signal.Signals) -> None:
    for process in marked(folder):
        with suppress(ProcessLookupError):
            os.kill(process, signal_number)


def kill_all(folder: Path) -> None:
    """Kill the trials in ``folder`` and see that nothing is left of them; RuntimeError where something is."""
    until = time.monotonic() + END_SECONDS
    while left := marked(folder):
        send(folder, signal.SIGKILL)
        if time.monotonic() > until:
            raise RuntimeError(f"processes {left} of {folder} cannot be ended: they wait for the system")
        time.sleep(0.05)


def end_all(folder: Path, *, grace_seconds: float) -> None:
    """Ask the trials in ``folder`` to save and end, kill what has not after ``grace_seconds``."""
    send(folder, signal.SIGTERM)
    until = time.monotonic() + grace_seconds
    while marked(folder) and time.monotonic() < until:
        time.sleep(0.05)
    kill_all(folder)


def start(
    command: Sequence[str], *, folder: Path, log: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """``command`` at the head of a session of its own, with the mark of ``folder``; its output is appended to ``log``."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **environment, MARK: f"{folder.resolve()}/"},
        )
