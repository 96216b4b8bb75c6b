"""CONTRIBUTING.md as it is printed: its three files make a method."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from callbacks.loggers.csv_log import read_metrics
from tests.conftest import ROOT
from tests.support.copies import copied_to


def test_three_files_make_a_method(tmp_path: Path, program: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    copy = copied_to(tmp_path / "polymorph")
    blocks = re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    assert [name for name, _ in blocks] == [
        "lightning_modules/energy/networks.py",
        "lightning_modules/energy/module.py",
        "configs/method/energy.yaml",
    ]
    for name, text in blocks:
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text(text)

    run = tmp_path / "run"
    settings = (
        "experiment=none",
        "method=energy",
        "datamodule=digits",
        "max_kimg=4",
        "num_threads=1",
        f"run_dir={run}",
    )
    done = program("train.py", *settings, root=copy)
    assert done.returncode == 0, done.stderr
    losses = [row["loss/energy"] for row in read_metrics(run / "metrics.csv") if "loss/energy" in row]
    assert losses[-1] < 0.8 * losses[0], "it learns"
    assert (run / "report.html").exists()

    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/contracts", "-k", "energy or rules_hold", "-p", "no:cacheprovider"],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=600,  # also on a busy machine
    )
    assert tests.returncode == 0, tests.stdout
    assert re.search(r"13 passed", tests.stdout), tests.stdout
