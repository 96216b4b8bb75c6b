"""Makes the golden losses of tests/test_train.py again: python -m tests.golden.make [method ...]

Twenty steps of each method's small configuration on the digits. Only after a change of numbers that is meant; the
commit says why.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

from records.environment import environment

FOLDER = Path(__file__).resolve().parent
STEPS = ("max_kimg=0.32", "callbacks.losses.every_kimg=0.016", "save_every_kimg=1")
RECORDED = ("loss/", "score/")  # penalties have values at some steps only, and so has what learns in its turn


def steps_of(rows: list[dict[str, str]], column: str) -> list[float]:
    """The values of a column at the steps that have one."""
    return [float(row[column]) for row in rows if row[column]]


LIMITS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")  # to the kernels of another processor


def made_on() -> dict[str, str]:
    """Where the same bits are to be expected: the very kind of processor, and the libraries that do the arithmetic.

    A model's name is not enough: virtual machines give one name to several generations, whose kernels differ.
    """
    facts = environment("cpu")
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    kinds = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags", "cache size")
    kind = sorted({line for line in lines if line.split(":")[0].strip() in kinds})
    mark = hashlib.sha256("".join(kind).encode()).hexdigest()[:12]
    limits = [f"{name}={os.environ[name]}" for name in LIMITS if name in os.environ]
    return {
        "processor": " ".join([facts["processor"].split(",")[0], mark, *limits]),
        "torch": facts["torch"],
        "numpy": facts["numpy"],
    }


def main() -> None:
    from launch.compose import compose, group_options
    from tests.conftest import SMALL_RUN
    from tests.support.data_choice import data_for
    from train import train

    for method in sys.argv[1:] or group_options("method"):
        with tempfile.TemporaryDirectory() as folder:
            chosen = (f"method={method}", data_for(f"method={method}"))
            train(compose("train", [*SMALL_RUN, *chosen, *STEPS, f"run_dir={folder}/run"]))
            with (Path(folder) / "run" / "metrics.csv").open(newline="") as file:
                rows = list(csv.DictReader(file))[:20]
        values = {column: steps_of(rows, column) for column in rows[0] if column.startswith(RECORDED)}
        (FOLDER / f"{method}.json").write_text(json.dumps({"made_on": made_on(), "losses": values}, indent=1) + "\n")


if __name__ == "__main__":
    main()
