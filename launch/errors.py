"""How a program ends: one clear line and an exit code that says what happened, never a stack of frames.

| exit code | what happened |
|---|---|
| 0 | done |
| 1 | a defect of ours, with its traceback |
| 2 | bad input: a setting, a file, a folder |
| 3 | a loss, a gradient or a score was not finite |
| 4 | out of memory |
| 5 | the disk is full |
| 6 | a rank or a data worker died |
| 128 + n | ended by signal n: 130 Ctrl-C, 138 SIGUSR1, 143 SIGTERM |

A run that has done a step says the same in ``failure.json`` of its folder, see :mod:`launch.train.failures`.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

SHOW_TRACEBACK = "POLYMORPH_TRACEBACK"
EXIT_CODES = {
    "error": 1,
    "bad_input": 2,
    "non_finite": 3,
    "out_of_memory": 4,
    "disk_full": 5,
    "worker_died": 6,
    "rank_died": 6,
}
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What torch says of them is told by no class.
WORKER_DIED = re.compile(r"DataLoader worker \(pid")
CPU_MEMORY = re.compile(r"can't allocate memory")
NO_DETERMINISTIC_FORM = re.compile(r"^(\S+) does not have a deterministic implementation")
RANK_DIED = re.compile(r"Connection (closed|reset) by peer|gloo/transport|Broken pipe|remote process exited")


class RunEnded(Exception):
    """The end of a run that is no defect of the program, in a sentence; ``exit_code`` is the program's."""

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` with the nearest of ``candidates``, or all of a few, or nothing."""
    names = sorted(set(candidates))
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; choose one of {', '.join(names)}" if 0 < len(names) <= 12 else ""


def first_cause(error: BaseException) -> BaseException:
    """The error under Hydra's wrapper, which repeats the whole configuration around it."""
    while type(error).__module__.startswith("hydra") and error.__cause__ is not None:
        error = error.__cause__
    return error


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """``error``, what it was raised from or while handling, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def class_names(error: BaseException) -> set[str]:
    """Classes of libraries, and of callbacks, are told by their names: importing them here would slow every error."""
    return {kind.__name__ for kind in type(error).__mro__}


def failure_kind(error: BaseException) -> str:
    """The key of ``EXIT_CODES`` that ``error`` belongs to."""
    for cause in causes(error):
        names, text = class_names(cause), str(cause)
        if names & {"MemoryError", "OutOfMemoryError"} or CPU_MEMORY.search(text):
            return "out_of_memory"
        if "NonFiniteError" in names:
            return "non_finite"
        if isinstance(cause, OSError) and cause.errno in FULL:
            return "disk_full"
        if isinstance(cause, RuntimeError) and WORKER_DIED.search(text):
            return "worker_died"
        if isinstance(cause, RuntimeError) and NO_DETERMINISTIC_FORM.search(text):
            return "bad_input"
        if "DistError" in names or (isinstance(cause, RuntimeError) and RANK_DIED.search(text)):
            return "rank_died"
    cause = first_cause(error)
    mendable = isinstance(cause, ValueError | OSError) or "MisconfigurationException" in class_names(cause)
    return "bad_input" if mendable or type(cause).__module__.startswith(("hydra", "omegaconf")) else "error"


def exit_code(error: BaseException) -> int:
    return error.exit_code if isinstance(error, RunEnded) else EXIT_CODES[failure_kind(error)]


def is_defect(error: BaseException) -> bool:
    return failure_kind(error) == "error" and not isinstance(error, RunEnded)


def sentence(error: BaseException) -> str:
    """What is said of ``error`` in one line."""
    for cause in causes(error):
        if "MissingMandatoryValue" in class_names(cause):
            key = getattr(cause, "full_key", "")
            return f"{key} has no default: give {key}=<value>"
        operation = NO_DETERMINISTIC_FORM.search(str(cause))
        if operation is not None and isinstance(cause, RuntimeError):
            return (
                f"deterministic=true: {operation[1]} has no deterministic form on this device; choose deterministic=warn to "
                "have all other operations so, or deterministic=false"
            )
    return " ".join(str(first_cause(error)).split()) or failure_kind(error).replace("_", " ")


def print_error(error: BaseException) -> None:
    """One line, unless it is a defect of ours or ``POLYMORPH_TRACEBACK=1`` asks for more: then its traceback."""
    if is_defect(error) or os.environ.get(SHOW_TRACEBACK) == "1":
        traceback.print_exception(error)
    else:
        print(f"error: {sentence(error)} ({SHOW_TRACEBACK}=1 shows where)", file=sys.stderr, flush=True)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn every end that a user can do something about into one line on stderr and its exit code.

    Anything else is a defect of ours and keeps its traceback.
    """
    # Hydra must let exceptions through to here: on its own it prints them and exits.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        sys.exit(1)
    except Exception as error:
        if is_defect(error):
            raise
        print_error(error)
        sys.exit(exit_code(error))
