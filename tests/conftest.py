"""What all tests share: the place of the repository, small runs, the process that stays quiet."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
SMALL_RUN = ("experiment=none", "datamodule=digits", "datamodule.batch_size=16", "num_threads=1")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Two test processes on two cores: more threads than that and they wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever writes to a relative path writes there, not into the checkout."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def program() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run one of our programs as a user would: ``program("train.py", "max_kimg=1")``."""

    def run(script: str, *arguments: str, env: dict[str, str] | None = None, timeout: float = 240, root: Path = ROOT):
        return subprocess.run(
            [sys.executable, str(root / script), *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
        )

    return run


@pytest.fixture
def small_run(tmp_path: Path) -> Callable[..., tuple[Path, dict[str, float]]]:
    """Train in this process for a few steps: ``folder, metrics = small_run("max_kimg=0.1")``."""
    from launch.compose import compose
    from tests.support.data_choice import data_for
    from train import train

    def run(*overrides: str, run_dir: Path | None = None) -> tuple[Path, dict[str, float]]:
        folder = run_dir or tmp_path / "run"
        data = data_for(*overrides)
        return folder, train(compose("train", [*SMALL_RUN, data, f"run_dir={folder}", *overrides]))

    return run
