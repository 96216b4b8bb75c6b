"""Memory that a network frees is there for its next layer."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT

# Blocks as large as a network's maps, freed one after the other: the pages that the system had to hand out.
PROGRAM = """
import resource, sys
if sys.argv[1] == "kept":
    from launch.allocator import keep_freed_memory
    keep_freed_memory()
import numpy as np
np.ones(2**23)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(2**23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_freed_blocks_are_not_asked_for_again() -> None:
    faults = {}
    for name in ("kept", "returned"):
        done = subprocess.run([sys.executable, "-c", PROGRAM, name], capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        faults[name] = int(done.stdout)
    assert faults["returned"] > 20 * 64 * 2**20 / 2**21, "a fault a page, whether small or huge"
    assert faults["kept"] < faults["returned"] / 10
