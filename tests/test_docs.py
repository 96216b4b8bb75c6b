"""What the documents say is what the code does."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from launch.compose import group_options
from tests.conftest import ROOT

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "lightning_modules").glob("*/README.md"),
]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.parent.name + "/" + path.name)
def test_links_and_experiments_exist(path: Path) -> None:
    text = path.read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"
    for name in re.findall(r"experiment=([\w/]+)", text):
        assert name in group_options("experiment"), f"{path.name} names the experiment {name}"


def test_every_method_has_a_card_an_experiment_and_a_test() -> None:
    folders = [path.parent for path in (ROOT / "lightning_modules").glob("*/module.py")]
    assert folders
    for folder in folders:
        assert (folder / "README.md").exists()
        assert (ROOT / "configs" / "method" / f"{folder.name}.yaml").exists()
        assert list((ROOT / "configs" / "experiment" / folder.name).glob("*.yaml"))
        assert list((ROOT / "tests" / "lightning_modules").glob(f"{folder.name}/test_*.py"))
        assert folder.name in (ROOT / "README.md").read_text()


LONG = {"data.py", "metrics.py", "poly_inr.py", "scaling.py"}  # half a minute each
BENCHMARKS = [
    pytest.param(path.name, marks=pytest.mark.soak if path.name in LONG else ())
    for path in sorted((ROOT / "benchmarks").glob("*.py"))
]


@pytest.mark.parametrize("script", BENCHMARKS)  # each apart, so that two processes share them
def test_benchmarks_print_a_table_and_json(script: str, program: Callable[..., subprocess.CompletedProcess]) -> None:
    done = program(f"benchmarks/{script}", "--quick", timeout=300)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.strip().splitlines()[-1])
    assert rows
    for name, row in rows.items():
        assert {"ratio", "floor_share"} <= row.keys()
        assert f"| {name} |" in done.stdout
