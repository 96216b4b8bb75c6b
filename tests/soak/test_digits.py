"""The quickstart's promise, kept on three seeds: about three minutes each on one core."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from docs.ledger.pages import CLAIMS, read_page
from tests.test_train import table

pytestmark = pytest.mark.soak


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_seed_passes_the_gate(
    seed: int, program: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    done = program("train.py", "experiment=poly_inr/digits", f"seed={seed}", f"run_dir={run}", timeout=900)
    assert done.returncode == 0, done.stderr
    result = json.loads((run / "results.jsonl").read_text())
    gate = read_page(CLAIMS / "poly_inr.yaml").head.gates["digits"]
    assert gate.passed_by([result]), result["metrics"]


def test_same_seed_same_bits(program: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    """Twenty kimg of the experiment itself, in two processes."""
    for name in ("a", "b"):
        done = program(
            "train.py", "experiment=poly_inr/digits", "max_kimg=20", f"run_dir={tmp_path / name}", timeout=300
        )
        assert done.returncode == 0, done.stderr
    assert table(tmp_path / "a") == table(tmp_path / "b")
