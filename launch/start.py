"""The first word of a program. Imports nothing that takes time."""

from __future__ import annotations

import functools
import os
import sys

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")  # by torchrun, by Lightning, by srun


@functools.cache  # once, though a program that is started by its file comes here before its imports and again after
def announce(program: str) -> None:
    """Say on stderr that ``program`` has started; of several ranks the first does."""
    if all(os.environ.get(name, "0") == "0" for name in RANKS):
        print(f"{program}: starting", file=sys.stderr, flush=True)
