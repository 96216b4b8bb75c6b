"""Which values a trial gets: the grid's next, an addressed random draw, or what the trials so far suggest."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from generative.randomness import Stream
from launch.sweep.journal import Trial
from launch.sweep.space import Parameter
from launch.sweep.sweep_file import Sweep

Point = dict[str, float]  # parameter -> its place: the number of a listed value, else a quantile in [0, 1]


def is_listed(parameter: Parameter) -> bool:
    return "probabilities" not in parameter.spec and ("values" in parameter.spec or "value" in parameter.spec)


def values_at(parameters: Sequence[Parameter], point: Point) -> dict[str, Any]:
    """The settings of a trial at a point of the search."""
    found = {}
    for parameter in parameters:
        place = point[parameter.name]
        choices = parameter.choices if is_listed(parameter) else None
        found[parameter.name] = parameter.at(place) if choices is None else choices[int(place)]
    return found


def propose(sweep: Sweep, number: int, trials: Sequence[Trial], *, seed: int) -> tuple[Point, dict[str, Any]]:
    """Place and settings of trial ``number``: a function of them, the seed and, for bayes, the trials before.

    So a sweep that was killed proposes what it would have proposed.
    """
    if sweep.method == "grid":
        listed = itertools.product(*[parameter.choices or () for parameter in sweep.parameters])
        values = next(itertools.islice(listed, number, None))
        return {}, dict(zip([parameter.name for parameter in sweep.parameters], values, strict=True))
    if sweep.method == "random":
        point = {parameter.name: random_place(parameter, number, seed) for parameter in sweep.parameters}
    else:
        point = suggest(sweep, number, trials, seed=seed)
    return point, values_at(sweep.parameters, point)


def random_place(parameter: Parameter, number: int, seed: int) -> float:
    u = float(Stream(seed, f"sweep/{parameter.name}").uniform(number, 1))
    return int(u * len(parameter.choices or ())) if is_listed(parameter) else u


def suggest(sweep: Sweep, number: int, trials: Sequence[Trial], *, seed: int) -> Point:
    """The proposal of a tree-structured Parzen estimator that has seen ``trials``.

    Failed trials count as the worst so far, so that the search leaves their neighbourhood; running ones are kept apart from.
    """
    space: dict[str, BaseDistribution] = {
        parameter.name: CategoricalDistribution(range(len(parameter.choices or ())))
        if is_listed(parameter)
        else FloatDistribution(0.0, 1.0)
        for parameter in sweep.parameters
    }
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # A seed a trial: the state of the sampler is no part of the sweep's.
    sampler = TPESampler(seed=int(Stream(seed, "sweep").bits(number, 1, 1)[0, 0] >> 32), constant_liar=True)
    study = optuna.create_study(direction=StudyDirection[sweep.goal.upper()], sampler=sampler)
    finite = [trial.objective for trial in trials if trial.objective is not None]
    worst = (max if sweep.goal == "minimize" else min)(finite, default=None)
    for trial in trials:
        record = seen(trial, space, worst)
        if record is not None:
            study.add_trial(record)
    return study.ask(space).params


def seen(trial: Trial, space: dict[str, BaseDistribution], worst: float | None) -> FrozenTrial | None:
    if not trial.is_over:
        return create_trial(state=TrialState.RUNNING, params=trial.point, distributions=space)
    value = worst if trial.objective is None else trial.objective
    return None if value is None else create_trial(value=value, params=trial.point, distributions=space)
