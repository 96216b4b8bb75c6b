"""A sweep outlives its trials, and its own end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from launch.sweep import engine as engine_module
from launch.sweep.engine import Engine
from launch.sweep.journal import Journal
from launch.sweep.processes import end_all, marked
from launch.sweep.report import best_trial

Pretend = Callable[..., Engine]
DEEDS = {
    "x": {"value": 0.5},
    "deed": {"values": ["crash", "none", "hang", "diverge"]},
    "offset": {"values": [0.0, 1.0]},
}
WITHOUT_OFFSET = ["${env}", "${interpreter}", "${program}", "${args_no_hyphens}"]


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.02)


def test_every_trial_is_accounted_for(pretend: Pretend, capsys: pytest.CaptureFixture[str]) -> None:
    engine = pretend(method="grid", parameters=DEEDS, command=WITHOUT_OFFSET, timeout_seconds=3.0)
    trials = engine.run()
    assert [(t.values["deed"], t.state, t.kind) for t in trials[::2]] == [
        ("crash", "failed", "error"),
        ("none", "done", None),
        ("hang", "failed", "timeout"),
        ("diverge", "failed", "non_finite"),
    ]
    assert trials[0].why == "RuntimeError: lost the way"
    assert trials[4].why == "not done after 0.05 minutes"
    assert trials[6].why == "loss/critic = nan at step 3"
    assert best_trial(engine.sweep, trials) == trials[2]
    assert trials[2].objective == pytest.approx(0.04), "the last value"
    assert marked(engine.folder) == [], "also what a deaf trial had started in a session of its own"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("trial ")]
    assert len(lines) == 8
    assert all(" of 8" in line for line in lines)
    assert "best 0.04 of trial 2" in lines[-1]
    page = (engine.folder / "report.html").read_text()
    assert page.count("<tr>") == 9
    assert "RuntimeError: lost the way" in page
    assert page.count('href="trials/') == 8, "the output of each"
    assert page.count("<svg") == 3, "in time, and for the two parameters that vary"

    # The same again: nothing is left to do, nothing is done.
    before = (engine.folder / "sweep.jsonl").read_text()
    again = pretend(method="grid", parameters=DEEDS, command=WITHOUT_OFFSET, timeout_seconds=3.0)
    assert again.run() == trials
    assert (engine.folder / "sweep.jsonl").read_text() == before


def test_killed_and_resumed_is_as_uninterrupted(pretend: Pretend, tmp_path: Path) -> None:
    parameters = {"x": {"min": 0.0, "max": 1.0}, "deed": {"value": "none"}}
    whole = pretend(trials=6, method="bayes", parameters=parameters, jobs=1, folder=tmp_path / "whole").run()

    folder = tmp_path / "killed"
    hanging = pretend(trials=6, method="bayes", parameters=parameters, jobs=1, folder=folder)
    process = multiprocessing.get_context("fork").Process(target=hanging.run)
    process.start()
    wait_for(lambda: len(Journal(folder).trials) >= 3)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    with (folder / "sweep.jsonl").open("a") as file:
        file.write('{"number": 9, "val')  # as a crash leaves it
    trials = pretend(trials=6, method="bayes", parameters=parameters, jobs=1, folder=folder).run()
    assert [(t.values, t.objective, t.state) for t in trials] == [(t.values, t.objective, t.state) for t in whole]
    assert [trial.number for trial in trials] == [0, 1, 2, 3, 4, 5]


def test_what_a_killed_sweep_left_running_is_ended_and_goes_on(pretend: Pretend) -> None:
    parameters = {"x": {"value": 0.5}, "deed": {"values": ["hang", "none"]}}
    engine = pretend(method="grid", parameters=parameters, jobs=2)
    process = multiprocessing.get_context("fork").Process(target=engine.run)
    process.start()
    # Both: the trial that hangs does, and the other one has ended and left no process.
    wait_for(lambda: (engine.trials_folder / "0000" / "hangs").exists())
    wait_for(lambda: [trial.state for trial in Journal(engine.folder).trials.values()] == ["running", "done"])
    with pytest.raises(ValueError, match=r"another sweep.py runs the sweep in"):
        pretend(method="grid", parameters=parameters).run()
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    orphans = marked(engine.folder)
    assert len(orphans) == 2, "the deaf trial and its child"
    trials = pretend(method="grid", parameters=parameters, timeout_seconds=2.0).run()
    assert [(trial.state, trial.kind) for trial in trials] == [("failed", "timeout"), ("done", None)]
    assert not set(orphans) & set(marked(engine.folder))
    starts = (engine.trials_folder / "0000" / "starts.txt").read_text().split()
    assert len(starts) == 2, "the same trial, continued, once nothing else was in its folder"
    assert marked(engine.folder) == []


def test_an_interrupt_has_trials_end_and_the_same_command_goes_on(pretend: Pretend) -> None:
    parameters = {"x": {"min": 0.0, "max": 1.0}, "deed": {"value": "slow"}}
    engine = pretend(trials=3, parameters=parameters)

    def interrupt() -> None:
        try:
            wait_for(lambda: len(list(engine.trials_folder.glob("*/metrics.csv"))) == 2)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt).start()
    trials = engine.run()
    assert engine.stopped_by == signal.SIGTERM
    assert [trial.state for trial in trials] == ["interrupted", "interrupted"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "as it was"
    assert marked(engine.folder) == []
    again = pretend(trials=3, parameters=parameters, timeout_seconds=1.0).run()
    assert [(trial.number, trial.state, trial.kind) for trial in again] == [(n, "failed", "timeout") for n in range(3)]
    assert again[0].values == trials[0].values
    assert again[0].seconds > trials[0].seconds


def test_early_termination(pretend: Pretend) -> None:
    """The slow trial is worse by 1; it would take ten minutes."""
    engine = pretend(
        method="grid",
        parameters={"deed": {"values": ["none", "slow"]}, "x": {"value": 0.5}},
        jobs=1,
        early_terminate={"type": "hyperband", "min_iter": 2, "eta": 4},
    )
    trials = engine.run()
    assert [trial.state for trial in trials] == ["done", "stopped_early"]
    assert trials[1].objective == pytest.approx(1.04 * 3), "its value at the second row"
    assert best_trial(engine.sweep, trials) == trials[0]


def test_a_metric_that_is_no_column_ends_the_sweep(pretend: Pretend) -> None:
    parameters = {"x": {"min": 0.0, "max": 1.0}, "deed": {"value": "silent"}}
    engine = pretend(trials=9, jobs=1, parameters=parameters)
    with pytest.raises(
        ValueError, match=r"no column 'metric/fd'; choose one of metric/other, progress/kimg|did you mean"
    ):
        engine.run()
    assert len(engine.trials) == 1


def test_a_sweep_whose_first_trials_all_fail_gives_up(pretend: Pretend) -> None:
    parameters = {"x": {"min": 0.0, "max": 1.0}, "deed": {"value": "crash"}}
    engine = pretend(trials=20, parameters=parameters)
    with pytest.raises(ValueError, match=r"the first \d trials failed, the last because RuntimeError: lost the way"):
        engine.run()
    assert engine_module.MAX_INITIAL_FAILURES <= len(engine.trials) <= engine_module.MAX_INITIAL_FAILURES + 1


def test_a_folder_holds_one_sweep(pretend: Pretend) -> None:
    pretend(trials=1).run()
    with pytest.raises(
        ValueError, match="holds a sweep with another parameters: go on with that one, or choose another"
    ):
        pretend(trials=1, parameters={"x": {"min": 0.0, "max": 2.0}}).run()
    assert len(pretend(trials=2).run()) == 2, "more trials are no other sweep"


def test_end_all_spares_other_sweeps(tmp_path: Path) -> None:
    from launch.sweep.processes import start

    ours, other = tmp_path / "1", tmp_path / "11"
    processes = {
        folder: start(["sleep", "60"], folder=folder, log=tmp_path / "log", environment={}) for folder in (ours, other)
    }
    end_all(ours, grace_seconds=5.0)
    assert processes[ours].wait() == -signal.SIGTERM
    assert processes[other].poll() is None
    assert marked(other) == [processes[other].pid]
    end_all(other, grace_seconds=0.0)
    assert processes[other].wait() in (-signal.SIGTERM, -signal.SIGKILL)
