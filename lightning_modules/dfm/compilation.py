"""Whether torch.compile can run here, found by asking for what it needs and not by trying."""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

SEVERAL_CONSTANTS = (
    2,
    15,
)  # the first torch that is known to take several tables of one kind in a program; 2.11 does not
MOST_PROGRAMS = 64  # of one function: torch.compile's own limit of 8 would end in the middle of a grid of widths


def what_is_missing() -> str:
    """What torch.compile lacks on this machine, in words; empty where nothing is missing."""
    if tuple(map(int, torch.__version__.split(".")[:2])) < SEVERAL_CONSTANTS:
        return f"torch {torch.__version__} is older than {'.'.join(map(str, SEVERAL_CONSTANTS))}"
    compiler = os.environ.get("CXX") or "g++"
    if shutil.which(compiler) is None:
        return f"there is no C++ compiler {compiler}"
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return "" if headers.exists() else f"there are no Python headers at {headers.parent}"


def compiled_where_possible(function: Callable[..., Tensor]) -> tuple[Callable[..., Tensor], str]:
    """``function`` compiled for the shapes that it is called with, and ``compiled``; or itself, and why not."""
    missing = what_is_missing()
    if missing:
        return function, f"eager: {missing}"
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, MOST_PROGRAMS)
    return torch.compile(function, dynamic=False, fullgraph=True), "compiled"
