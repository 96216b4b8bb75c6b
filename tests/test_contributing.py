"""CONTRIBUTING.md as it is printed: its three files make a method."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from lightning.pytorch import LightningModule

from records.run_files import read_metrics
from tests.conftest import ROOT
from tests.support.copies import copied_to

LEAST_CONTRACT_TESTS = 15  # that find a new method by themselves
MOST_CONCEPTS = 9  # that are not PyTorch's or Lightning's, and have to be learned for a first method
NETWORKS, MODULE, CONFIG = (
    "lightning_modules/energy/networks.py",
    "lightning_modules/energy/module.py",
    "configs/method/energy.yaml",
)


def printed_files() -> dict[str, str]:
    blocks = re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    return dict(blocks)


def names_of_the_contract() -> set[str]:
    """What a method inherits from this project, and not from Lightning: methods and attributes."""
    found: set[str] = set()
    for file in ("base.py", "steps.py"):
        for node in ast.walk(ast.parse((ROOT / "lightning_modules" / file).read_text())):
            if isinstance(node, ast.FunctionDef):
                found.add(node.name)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(node.target.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.attr)
    return {name for name in found if not hasattr(LightningModule, name)}


def concepts(text: str, *, own: str) -> set[str]:
    """Names of this project that a file uses: imported ones, but for those of its ``own`` package, and inherited ones."""
    inherited = names_of_the_contract()
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("generative", "lightning_modules")):
            found |= {alias.name for alias in node.names if not str(node.module).startswith(own)}
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self" and node.attr in inherited:
            found.add(node.attr)
        elif isinstance(node, ast.FunctionDef) and node.name in inherited:
            found.add(node.name)
    return found


def test_a_first_method_needs_few_concepts() -> None:
    text = printed_files()[MODULE]
    found = concepts(text, own="lightning_modules.energy")
    assert found >= {"HasLatents", "update", "decode"}
    assert len(found) <= MOST_CONCEPTS, f"{len(found)} names of this project are used: {', '.join(sorted(found))}"
    more = text.replace("self.record({", "self.gather(loss)\n        self.record({")
    assert concepts(more, own="lightning_modules.energy") == found | {"gather"}


def test_three_files_make_a_method(tmp_path: Path, program: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    copy = copied_to(tmp_path / "polymorph")
    files = printed_files()
    assert list(files) == [NETWORKS, MODULE, CONFIG]
    for name, text in files.items():
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
    passed = re.search(r"(\d+) passed", tests.stdout)
    assert passed, tests.stdout
    assert int(passed[1]) >= LEAST_CONTRACT_TESTS, tests.stdout
