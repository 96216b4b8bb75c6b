"""What the documents say is what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from callbacks.results import earlier_settings_hash, settings_hash
from docs.ledger import interval, order, read_results
from docs.make_claims import published
from launch.compose import compose, group_options, plain
from tests.conftest import ROOT

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "lightning_modules").glob("*/README.md"),
]


def test_claims_are_made_from_the_results() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "docs.make_claims", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_interval_is_students() -> None:
    mean, half = interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert half == pytest.approx(2.484, abs=1e-3), "three seeds: 2.5 standard deviations"


def test_an_order_is_stated_where_the_interval_excludes_zero() -> None:
    high, low = [3.0, 3.1, 3.2], [1.0, 1.1, 0.9]
    assert order("x", high, low)[1] == "reproduced at this scale"
    assert order("x", low, high, lower=True)[1] == "reproduced at this scale"
    assert order("x", low, high)[1].endswith("the other way round")
    assert order("x", high, low, lower=True)[1].endswith("the other way round")
    assert order("x", [1.0, 2.0, 3.0], [1.1, 2.1, 2.8])[1].endswith("no order")
    assert order("x", high, low[:2]) == ("", "open: fewer than 3 seeds were trained")
    assert order("x", high, low)[0].startswith("x +2.1000, 95 % interval +1.")


def test_only_results_of_the_unchanged_experiment_are_taken_in() -> None:
    config = plain(compose("train", ["experiment=poly_inr/digits"]))
    record = read_results("poly_inr/digits")[0]
    assert "labels" not in record["protocol"], "written before the protocol said so: balanced, as the experiment states"
    assert published(config, [record]) == [record]
    stated = {label: record | {"protocol": record["protocol"] | {"labels": label}} for label in ("data", "balanced")}
    assert published(config, list(stated.values())) == [stated["balanced"]]
    # Read by two processes, and written when those counted.
    config["datamodule"]["num_workers"] = 2
    earlier = record | {"settings_hash": earlier_settings_hash(config)}
    assert earlier["settings_hash"] != record["settings_hash"] == settings_hash(config)
    assert published(config, [earlier, record | {"settings_hash": "another"}]) == [earlier]
    # Another precision, and written when that did not count.
    config["trainer"]["precision"] = "bf16-mixed"
    assert published(config, [record, earlier]) == []


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


def test_benchmarks_print_a_table_and_json(program) -> None:
    import json

    scripts = sorted((ROOT / "benchmarks").glob("*.py"))
    assert scripts
    for script in scripts:
        done = program(f"benchmarks/{script.name}", "--quick", timeout=300)
        assert done.returncode == 0, done.stderr
        rows = json.loads(done.stdout.strip().splitlines()[-1])
        assert rows
        for name, row in rows.items():
            assert {"ratio", "floor_share"} <= row.keys()
            assert f"| {name} |" in done.stdout
