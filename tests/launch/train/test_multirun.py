"""``train.py -m``: every trial a process and a folder of its own, each once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from launch.compose import compose, plain, quoted
from launch.train.multirun import check_command_line
from tests.conftest import ROOT, SMALL_RUN

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "seed=0,1", "max_kimgs=3"], "there is no setting 'max_kimgs'; did you mean 'max_kimg'?"),
        (["experiment=poly_inr/digits,poly_inr/digts", "-m"], "there is no experiment 'poly_inr/digts'; did you mean"),
        (["seed=0", "-m", "method=classifier,poly_inr", "method.r1_gamma=1"], "there is no setting 'method.r1_gamma'"),
        (["-m", "seed=0,1", "max_kimg"], "'max_kimg'"),
        (["-m", "seed=0,1", "run_dir=runs/a"], "the folder of all 2 trials: give hydra.sweep.dir=runs/a"),
        (["-m", "seed=0,1", "hydra.launcher.tasks_per_node=2"], "hydra.launcher.tasks_per_node must be 1: a trial is"),
    ],
)
def test_what_no_trial_could_do_is_refused_before_any_starts(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        check_command_line("train")
    assert message in str(caught.value)


def test_a_launcher_around_a_multirun_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", "seed=0,1"])
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with pytest.raises(ValueError, match="start it without torchrun"):
        check_command_line("train")


def test_the_flag_may_stand_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "seed=0,1", "--multirun", "run_dir='runs/${seed}'", "max_kimg=1"])
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    check_command_line("train")
    assert sys.argv[1:] == ["-m", "seed=0,1", "run_dir='runs/${seed}'", "max_kimg=1"]
    assert os.environ["PYTHONPATH"].split(os.pathsep) == [str(ROOT), "elsewhere"]


def test_folders_of_any_name_are_passed_on() -> None:
    folder = "/a b/c,d=e/it's (1)"
    assert plain(compose("train", [f"run_dir={quoted(folder)}"]))["run_dir"] == folder


NOTE = """
import json, os, signal, sys, time
settings = dict(argument.split("=", 1) for argument in sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: (open("saved", "w").close(), sys.exit(0)))
with open("started", "a") as file:
    file.write(json.dumps([os.getpid(), *sys.argv[1:]]) + "\\n")
if settings["seed"] == "13":
    sys.exit(3)
if settings["seed"] == "60":
    time.sleep(60)
"""


@pytest.fixture
def multirun(tmp_path: Path) -> list[str]:
    """The command of a ``train.py`` whose trials, in place of training, note how they were started."""
    (tmp_path / "note.py").write_text(NOTE)
    return [sys.executable, "-c", f"import train; train.__file__ = {str(tmp_path / 'note.py')!r}; train.main()"]


def started(tmp_path: Path) -> list[list[str]]:
    return [json.loads(line) for line in (tmp_path / "started").read_text().splitlines()]


def test_trials_start_once_and_a_failed_one_does_not_stop_the_others(multirun: list[str], tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [*multirun, "experiment=none", "seed=0,13,2", "-m", "datamodule.batch_size=16"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert (
        "error: trial 1 (experiment=none seed=13 datamodule.batch_size=16) has failed with exit code 3" in done.stderr
    )
    processes, *_ = zip(*started(tmp_path), strict=True)
    assert len(set(processes)) == 3
    (folder,) = (tmp_path / "runs" / "multirun").iterdir()
    assert [arguments for _, *arguments in started(tmp_path)] == [
        ["experiment=none", f"seed={seed}", "datamodule.batch_size=16", f"run_dir='{folder / str(number)}'"]
        for number, seed in enumerate((0, 13, 2))
    ]
    assert [path.name for path in folder.iterdir()] == ["multirun.yaml"], "no empty folders: these trials left nothing"
    assert yaml.safe_load((folder / "multirun.yaml").read_text())["hydra"]["overrides"]["task"][1] == "seed=0,13,2"
    assert not (tmp_path / "multirun").exists()


def test_a_signal_reaches_the_trial_and_ends_the_multirun(multirun: list[str], tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([*multirun, "seed=60,1", "run_dir='runs/${seed}'", "-m"], env=environment)
    deadline = time.monotonic() + 120
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 128 + signal.SIGTERM
    assert (tmp_path / "saved").exists(), "the trial had time to save"
    (only,) = started(tmp_path)
    assert only[1:] == ["seed=60", "run_dir='runs/60'"], "a folder that was given is kept"


@pytest.mark.soak
def test_two_trials_of_two_ranks_each_start_once(program: Program, tmp_path: Path) -> None:
    probe = (
        "+callbacks.probe._target_=tests.support.rank_probe.StartProbe",
        f"+callbacks.probe.path={tmp_path / 'starts'}",
    )
    ranks = ("trainer=ddp", "trainer.accelerator=cpu", "max_kimg=0.032")
    done = program("train.py", "-m", "seed=0,1", *SMALL_RUN, *ranks, *probe)
    assert done.returncode == 0, done.stderr
    starts = [line.split() for line in (tmp_path / "starts").read_text().splitlines()]
    assert sorted(start[:3] for start in starts) == [[seed, rank, "2"] for seed in "01" for rank in "01"]
    assert len({process for *_, process in starts}) == 4
    (folder,) = (tmp_path / "runs" / "multirun").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["0", "1", "multirun.yaml"]
    for seed in (0, 1):
        assert yaml.safe_load((folder / str(seed) / "config.yaml").read_text())["seed"] == seed
        assert len((folder / str(seed) / "results.jsonl").read_text().splitlines()) == 1
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["multirun"]


@pytest.mark.soak
def test_submitit_runs_the_trials(program: Program, tmp_path: Path) -> None:
    """Its local executor is the one of SLURM but for who starts the job's process."""
    sweep = ("hydra/launcher=submitit_local", "seed=0,1", "hydra.sweep.dir=runs/seeds")
    done = program("train.py", *sweep, *SMALL_RUN, "max_kimg=0.032", "-m")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "seeds"
    assert sorted(path.name for path in folder.iterdir()) == [".submitit", "0", "1", "multirun.yaml"]
    for seed in (0, 1):
        assert yaml.safe_load((folder / str(seed) / "config.yaml").read_text())["seed"] == seed
        assert (folder / str(seed) / "checkpoints" / "last.ckpt").exists()
