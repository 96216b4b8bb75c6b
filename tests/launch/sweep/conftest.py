"""Sweeps whose trials are pretended: the whole engine in a second."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from launch.sweep import engine as engine_module
from launch.sweep import running
from launch.sweep.engine import Engine
from launch.sweep.sweep_file import read_sweep
from tests.conftest import ROOT

COMMAND = ["${env}", "${interpreter}", "${program}", "offset=0", "${args_no_hyphens}"]
CONTENT = {
    "program": "train.py",
    "command": COMMAND,
    "method": "random",
    "metric": {"name": "metric/fd", "goal": "minimize"},
    "parameters": {"x": {"min": 0.0, "max": 1.0}},
}


@pytest.fixture
def sweep_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a sweep file: ``sweep_file(method="grid", parameters=...)``; None leaves a key out."""

    def write(**changes: Any) -> Path:
        path = tmp_path / "file.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in {**CONTENT, **changes}.items() if v is not None}))
        return path

    return write


@pytest.fixture
def pretend(sweep_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Engine]:
    """The engine of a sweep of pretended trials: ``pretend(trials=4, method="grid")``."""
    monkeypatch.setattr(running, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(engine_module, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(engine_module, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(engine_module, "HISTORY_SECONDS", 0.05)

    def make(*, trials: int | None = None, jobs: int = 2, folder: Path | None = None, **changes: Any) -> Engine:
        timeout = changes.pop("timeout_seconds", 60.0)
        sweep = read_sweep(sweep_file(**changes))
        command = [sys.executable, str(ROOT / "tests" / "support" / "pretend_train.py")]
        slots = [{"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": str(slot)} for slot in range(jobs)]
        return Engine(
            sweep,
            folder or tmp_path / "a, sweep='s folder",
            slots,
            sweep.count_trials(trials),
            timeout_seconds=timeout,
            command=command,
        )

    return make
