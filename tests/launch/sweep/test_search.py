"""What a trial gets is a function of the seed, its number and, for bayes, the trials before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from launch.sweep.journal import Trial
from launch.sweep.search import propose
from launch.sweep.space import read_parameters
from launch.sweep.sweep_file import Sweep

RANGES = {"x": {"min": 0.0, "max": 1.0}, "kind": {"values": ["a", "b", "c"]}, "one": {"value": 1}}


def sweep_of(method: str, parameters: dict[str, Any], *, goal: str = "minimize", run_cap: int | None = None) -> Sweep:
    return Sweep(
        name="test",
        method=method,
        metric="metric/fd",
        goal=goal,
        parameters=tuple(read_parameters(parameters)),
        early_terminate=None,
        run_cap=run_cap,
        before=(),
        after=(),
        content={},
    )


def searched(sweep: Sweep, count: int, *, seed: int = 0) -> list[Trial]:
    """``count`` trials one after the other, with a minimum of (x - 0.3)^2 at kind b."""
    trials: list[Trial] = []
    for number in range(count):
        point, values = propose(sweep, number, trials, seed=seed)
        objective = (values["x"] - 0.3) ** 2 + 0.3 * (values["kind"] != "b")
        trials.append(Trial(number, values, point, "done", sweep.sign * objective))
    return trials


def test_a_grid_is_exhaustive_and_each_point_comes_once() -> None:
    sweep = sweep_of("grid", {"a": {"values": [1, 2, 2]}, "b": {"min": 0, "max": 2}, "c": {"value": "x"}})
    count = sweep.count_trials(None)
    points = [propose(sweep, number, [], seed=0)[1] for number in range(count)]
    assert points == [{"a": a, "b": b, "c": "x"} for a in (1, 2) for b in (0, 1, 2)]
    assert sweep.count_trials(4) == 4
    assert sweep.count_trials(40) == 6


def test_a_search_without_end_asks_for_one() -> None:
    with pytest.raises(
        ValueError, match="a search by random has no end of its own: give run_cap in the file or --trials"
    ):
        sweep_of("random", RANGES).count_trials(None)
    assert sweep_of("random", RANGES, run_cap=7).count_trials(None) == 7
    assert sweep_of("random", RANGES, run_cap=7).count_trials(9) == 9


def test_random_draws_are_addressed() -> None:
    sweep = sweep_of("random", RANGES)
    values = [propose(sweep, number, [], seed=0)[1] for number in range(200)]
    assert values == [propose(sweep, number, searched(sweep, 3), seed=0)[1] for number in range(200)]
    assert values[:5] != [propose(sweep, number, [], seed=1)[1] for number in range(5)]
    assert 0.4 < sum(value["x"] for value in values) / 200 < 0.6
    counts = [sum(value["kind"] == kind for value in values) for kind in "abc"]
    assert min(counts) > 40


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_bayes_finds_the_minimum_and_repeats_itself(goal: str) -> None:
    sweep = sweep_of("bayes", RANGES, goal=goal)
    trials = searched(sweep, 40)
    assert min(sweep.sign * trial.objective for trial in trials) < 1e-3
    blind = searched(sweep_of("random", RANGES, goal=goal), 40)
    late, late_blind = (sum(sweep.sign * trial.objective for trial in some[20:]) for some in (trials, blind))
    assert late < late_blind / 2, "it has learned where to look"
    assert searched(sweep, 40) == trials, "as after a kill: the same proposals"
    assert searched(sweep, 3, seed=1) != trials[:3]


def test_bayes_leaves_failures_and_running_trials_alone() -> None:
    sweep = sweep_of("bayes", {"x": {"min": 0.0, "max": 1.0}, "kind": {"value": "b"}})
    trials = searched(sweep, 12)
    # All beyond 0.5 fail: their neighbourhood is as bad as the worst.
    failing = [replace(t, state="failed", objective=None) if t.values["x"] > 0.5 else t for t in trials]
    for number in range(12, 30):
        point, values = propose(sweep, number, failing, seed=0)
        ok = values["x"] <= 0.5
        failing.append(Trial(number, values, point, "done" if ok else "failed", values["x"] if ok else None))
    assert sum(trial.state == "failed" for trial in failing[12:]) <= 4
    running = [*trials, Trial(12, {"x": 0.3, "kind": "b"}, {"x": 0.3, "kind": 0}, "running")]
    assert propose(sweep, 13, running, seed=0)[1] != propose(sweep, 13, trials, seed=0)[1], "it counts as well"
    only_failed = [replace(trial, state="failed", objective=None) for trial in trials]
    propose(sweep, 12, only_failed, seed=0)
