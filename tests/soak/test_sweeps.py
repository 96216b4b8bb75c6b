"""A sweep of real trainings that meets everything that can happen to one: some ten minutes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Set
from pathlib import Path

import pytest
import yaml

from launch.sweep.journal import Journal, Trial
from launch.sweep.processes import marked
from tests.conftest import ROOT

pytestmark = pytest.mark.soak

SETTINGS = (
    "experiment=none",
    "method=classifier",
    "datamodule=digits",
    "num_threads=1",
    "max_kimg=2",
    "save_every_kimg=0.25",
    "callbacks.losses.every_kimg=0.25",
    "+callbacks.saboteur._target_=tests.support.saboteur.Saboteur",
    "+callbacks.saboteur.run_dir=${run_dir}",
    "+callbacks.saboteur.after_kimg=0.5",
)
DEEDS = ("+callbacks.saboteur.crash=2", "+callbacks.saboteur.diverge=4", "+callbacks.saboteur.hang=5")
NUM_TRIALS = 13
NUM_COMPARED = 8  # of which the last is under way when the sweep is killed


@pytest.fixture
def sweep_file(tmp_path: Path) -> Path:
    content = {
        "program": "train.py",
        "command": ["${env}", "${interpreter}", "${program}", *SETTINGS, "${args_no_hyphens}"],
        "method": "random",
        "run_cap": NUM_TRIALS,
        "metric": {"name": "loss/cross_entropy"},
        "parameters": {"method.optimizer.lr": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1}},
    }
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def best_of(trials: dict[int, Trial], numbers: Set[int]) -> int:
    return min(numbers, key=lambda number: trials[number].objective)


def test_everything_goes_wrong_and_the_best_is_found_again(
    program: Callable[..., subprocess.CompletedProcess[str]], sweep_file: Path, tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    done = program(
        "sweep.py", str(sweep_file), "--jobs", "2", "--trials", str(NUM_COMPARED), "--folder", str(whole), timeout=3000
    )
    assert done.returncode == 0, done.stderr
    reference = Journal(whole).trials
    assert {trial.state for trial in reference.values()} == {"done"}

    folder = tmp_path / "killed"
    arguments = [str(sweep_file), "--jobs", "2", "--folder", str(folder), "--timeout-minutes", "4", *DEEDS]
    with (tmp_path / "output").open("w") as output:
        process = subprocess.Popen([sys.executable, str(ROOT / "sweep.py"), *arguments], stdout=output)
    until = time.monotonic() + 1500
    # The last compared one has a checkpoint, and is in the middle of its training or just over.
    while not list(folder.glob(f"trials/{NUM_COMPARED - 1:04d}/checkpoints/last.ckpt")):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = Journal(folder).trials
    assert marked(folder), "its trials outlive it"
    assert any(trial.state == "running" for trial in before.values())

    done = program("sweep.py", *arguments, timeout=3000)
    assert done.returncode == 0, done.stderr
    assert marked(folder) == [], "no process is left"
    trials = Journal(folder).trials
    assert sorted(trials) == list(range(NUM_TRIALS)), "every trial is accounted for"
    failed = {number: trial for number, trial in trials.items() if trial.state != "done"}
    assert {number: trial.state for number, trial in failed.items()} == dict.fromkeys((2, 4, 5), "failed")
    assert "sabotage" in str(failed[2].why)
    assert "not finite" in str(failed[4].why)
    assert failed[5].kind == "timeout"
    done_before = reference.keys() - failed.keys()
    for number in done_before:
        assert trials[number].values == reference[number].values
        assert trials[number].objective == reference[number].objective, "killed and continued, the same bits"
    assert best_of(trials, done_before) == best_of(reference, done_before)
    best = best_of(trials, trials.keys() - failed.keys())
    assert f"trials/{best:04d}" in done.stdout
    assert f"method.optimizer.lr={trials[best].values['method.optimizer.lr']}" in done.stdout.splitlines()[-1]


def test_both_ranks_of_a_trial_that_hangs_are_ended(
    program: Callable[..., subprocess.CompletedProcess[str]], sweep_file: Path, tmp_path: Path
) -> None:
    ranks = ("trainer=ddp", "trainer.accelerator=cpu", "+callbacks.saboteur.hang=1")
    limits = ("--trials", "3", "--timeout-minutes", "3")
    done = program("sweep.py", str(sweep_file), *limits, "--folder", str(tmp_path / "ranks"), *ranks, timeout=1500)
    assert done.returncode == 0, done.stderr
    trials = Journal(tmp_path / "ranks").trials
    assert [(trial.state, trial.kind) for trial in trials.values()] == [
        ("done", None),
        ("failed", "timeout"),
        ("done", None),
    ]
    assert marked(tmp_path / "ranks") == []
    folders = [path.name for path in (tmp_path / "ranks" / "trials").iterdir() if path.is_dir()]
    assert sorted(folders) == ["0000", "0001", "0002"], "one run folder a trial"
