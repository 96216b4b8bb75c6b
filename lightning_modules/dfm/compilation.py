"""Whether torch.compile can run here, found by asking for what it needs and not by trying."""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

MOST_PROGRAMS = 64  # of one function: torch.compile's own limit of 8 would end in the middle of a grid of widths


def what_is_missing() -> str:
    """What torch.compile lacks on this machine, in words; empty where nothing is missing."""
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
