"""Bad input ends a program with one clear line and a non-zero exit, never with a stack of frames."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

SHOW_TRACEBACK = "POLYMORPH_TRACEBACK"


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


def is_mendable(error: Exception) -> bool:
    """Whether a user can mend it: ValueError, OSError, Hydra's own; anything else is a defect of ours."""
    cause = first_cause(error)
    # Lightning's MisconfigurationException is told by its name: importing it here would slow every error.
    names = {kind.__name__ for kind in type(cause).__mro__}
    mendable = isinstance(cause, ValueError | OSError) or "MisconfigurationException" in names
    return mendable or type(cause).__module__.startswith(("hydra", "omegaconf"))


def exit_code(error: Exception) -> int:
    return 2 if is_mendable(error) else 1


def print_error(error: Exception) -> None:
    """One line for what a user can mend, unless ``POLYMORPH_TRACEBACK=1`` asks for more; else its traceback."""
    if shows_traceback(error):
        traceback.print_exception(error)
    else:
        text = " ".join(str(first_cause(error)).split())
        print(f"error: {text} ({SHOW_TRACEBACK}=1 shows where)", file=sys.stderr, flush=True)


def shows_traceback(error: Exception) -> bool:
    return os.environ.get(SHOW_TRACEBACK) == "1" or not is_mendable(error)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what a user can mend into one line on stderr and exit code 2; the rest keeps its traceback."""
    # Hydra must let exceptions through to here: on its own it prints them and exits.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    except KeyboardInterrupt:
        sys.exit("interrupted")
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        sys.exit(1)
    except Exception as error:
        if shows_traceback(error):
            raise
        print_error(error)
        sys.exit(exit_code(error))
