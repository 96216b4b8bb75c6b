"""sweep.py as a program, with trials that train: a good one and one that diverges."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from launch.compose import check_overrides
from launch.sweep.journal import Journal
from launch.sweep.processes import marked
from records.run_files import read_metrics
from sweep import check, make_slots, parse

COMMAND = ["${env}", "${interpreter}", "${program}", "${args_no_hyphens}", "experiment=none", "num_threads=1"]
SMALL = ["max_kimg=0.064", "callbacks.metrics.every_kimg=0.032", "callbacks.losses.every_kimg=0.032"]


def test_a_sweep_with_no_server(program: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    content = {
        "program": "train.py",
        "command": [*COMMAND, *SMALL],
        "method": "grid",
        "metric": {"name": "best/fd_pixels_1438"},
        "parameters": {"method.generator_optimizer.lr": {"values": [0.001, 1.0e30]}},
    }
    path = tmp_path / "rates.yaml"
    path.write_text(yaml.safe_dump(content))
    done = program("sweep.py", str(path), "--jobs", "2", "seed=1")
    assert done.returncode == 0, done.stderr
    folder = Path("runs/sweeps/rates")
    good, diverged = Journal(folder).trials.values()
    assert good.state == "done"
    assert good.objective == read_metrics(folder / "trials/0000/metrics.csv")[-1]["best/fd_pixels_1438"]
    assert diverged.state == "failed"
    assert "not finite" in str(diverged.why)
    assert "Traceback" not in (folder / "trials/0001.log").read_text()
    config = yaml.safe_load((folder / "trials/0000/config.yaml").read_text())
    assert config["seed"] == 1, "a setting for all trials"
    assert len(json.loads((folder / "trials/0000/results.jsonl").read_text())["metrics"]) > 1
    assert {path.name for path in (folder / "trials").iterdir()} >= {"0000", "0000.log", "0001.log"}
    assert marked(folder) == []
    best = done.stdout.splitlines()[-1].removeprefix("best")
    assert shlex.split(best)[:2] == ["python", "train.py"]
    check_overrides("train", shlex.split(best)[2:])
    assert "method.generator_optimizer.lr=0.001" in best


def test_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    assert make_slots(None, None) == [{"OMP_NUM_THREADS": "8"}]
    assert make_slots(3, None) == [{"OMP_NUM_THREADS": "2"}] * 3
    assert make_slots(40, None)[0] == {"OMP_NUM_THREADS": "1"}
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in make_slots(None, "0,1;2,3")] == ["0,1", "2,3"]
    with pytest.raises(ValueError, match="--jobs 3 does not fit --devices '0;1', which are of 2 trials at a time"):
        make_slots(3, "0;1")
    with pytest.raises(ValueError, match="--devices must name the GPUs of each trial"):
        make_slots(None, "0;")
    with pytest.raises(ValueError, match="--jobs must be at least 1, got 0"):
        make_slots(0, None)


def test_options_out_of_range_are_refused() -> None:
    for arguments, message in (
        (["--trials", "0"], "--trials must be above 0, got 0"),
        (["--timeout-minutes", "-1"], "--timeout-minutes must be above 0, got -1.0"),
        (["--seed", "-1"], "--seed must be at least 0, got -1"),
        (["--wandb", "--jobs", "2"], "are for sweeps without --wandb: start several agents instead"),
    ):
        with pytest.raises(ValueError, match=message):
            check(parse(["file.yaml", *arguments]))
    assert parse(["a.yaml", "--jobs", "2", "seed=1", "max_kimg=2"]).overrides == ["seed=1", "max_kimg=2"]
