"""A W&B sweep file, read and held against train.py before anything starts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from launch.compose import CONFIGS, check_overrides, compose, plain
from launch.errors import did_you_mean
from launch.sweep.hyperband import Hyperband, read_hyperband
from launch.sweep.space import Parameter, argument, read_parameters
from records.run_files import COLUMN_KINDS

PROGRAM = "train.py"
MACRO = "${args_no_hyphens}"
OPENING = ["${env}", "${interpreter}", "${program}"]
COMMAND = f"command must be [{', '.join(OPENING)}, {MACRO}] and settings of train.py as key=value"
METHODS = ("grid", "random", "bayes")
GOALS = ("minimize", "maximize")
KEYS = (
    "program",
    "command",
    "method",
    "metric",
    "parameters",
    "early_terminate",
    "run_cap",
    "name",
    "description",
    "project",
    "entity",
)
OURS = ("run_dir", "resume")  # settings of train.py that are the sweep's own
PROBE = 0.4142135623730951  # a quantile at which a range gives no whole number by chance


@dataclass(frozen=True)
class Sweep:
    """What a file asks for; ``before`` and ``after`` are the settings around the searched ones on a trial's command line."""

    name: str
    method: str
    metric: str
    goal: str
    parameters: tuple[Parameter, ...]
    early_terminate: Hyperband | None
    run_cap: int | None
    before: tuple[str, ...]
    after: tuple[str, ...]
    content: dict[str, Any]  # the file

    def arguments(self, values: dict[str, Any]) -> list[str]:
        """What a trial tells train.py, but for its folder."""
        return [*self.before, *(argument(name, value) for name, value in values.items()), *self.after]

    @property
    def sign(self) -> float:
        """Of an objective, so that lower is better."""
        return 1.0 if self.goal == "minimize" else -1.0

    def count_trials(self, asked: int | None) -> int:
        """How many trials there are: as ``asked``, else the file's cap, of a grid at most all."""
        limit = asked if asked is not None else self.run_cap
        if self.method == "grid":
            size = math.prod(len(parameter.choices or ()) for parameter in self.parameters)
            return size if limit is None else min(size, limit)
        if limit is None:
            raise ValueError(
                f"a search by {self.method} has no end of its own: give run_cap in the file or --trials <number>"
            )
        return limit

    def identity(self) -> dict[str, Any]:
        """What must not change while a sweep goes on."""
        asked = {key: self.content.get(key) for key in ("method", "metric", "parameters", "early_terminate")}
        return {**asked, "arguments": [*self.before, *self.after]}


def read_sweep(path: Path, overrides: Sequence[str] = (), *, with_wandb: bool = False) -> Sweep:
    """The sweep of a file, with ``overrides`` for all trials; ValueError says what is wrong with it.

    The file's logger=wandb is for W&B's agent: without it trials log to their folders alone, unless told otherwise.
    """
    content = read_content(path)
    method = content.get("method")
    if method not in METHODS:
        raise ValueError(f"method must be {', '.join(METHODS)}, got {method!r}{did_you_mean(str(method), METHODS)}")
    metric, goal = read_metric(content.get("metric"))
    run_cap = content.get("run_cap")
    if run_cap is not None and (type(run_cap) is not int or run_cap < 1):
        raise ValueError(f"run_cap must be an integer of at least 1, got {run_cap!r}")
    parameters = tuple(read_parameters(content.get("parameters")))
    before, after = read_command(content)
    names = [parameter.name for parameter in parameters]
    check_names(names, [*before, *after, *overrides])
    if method == "grid":
        check_grid(parameters)
    given = {key_of(override) for override in overrides}
    if not with_wandb:
        given |= {key_of(text) for text in (*before, *after) if text == "logger=wandb"}
    early = content.get("early_terminate")
    return Sweep(
        name=content.get("name") or default_name(path),
        method=method,
        metric=metric,
        goal=goal,
        parameters=parameters,
        early_terminate=None if early is None else read_hyperband(early),
        run_cap=run_cap,
        before=tuple(text for text in before if key_of(text) not in given),
        after=(*(text for text in after if key_of(text) not in given), *overrides),
        content=content,
    )


def read_content(path: Path) -> dict[str, Any]:
    if not path.is_file():
        known = {str(CONFIGS.name / file.relative_to(CONFIGS)) for file in (CONFIGS / "sweeps").rglob("*.yaml")}
        raise ValueError(f"there is no sweep file {path}{did_you_mean(str(path), known)}")
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no sweep: write program, command, method, metric and parameters")
    for key in content.keys() - set(KEYS):
        raise ValueError(f"{path} has {key!r}, which sweep.py does not know{did_you_mean(str(key), KEYS)}")
    return content


def read_metric(metric: Any) -> tuple[str, str]:
    """The column that is optimised, and whether to minimize or maximize it."""
    if not isinstance(metric, dict) or not isinstance(metric.get("name"), str):
        raise ValueError("metric must say what to optimise: {name: <column of metrics.csv>, goal: minimize}")
    for key in metric.keys() - {"name", "goal"}:
        raise ValueError(f"metric has no setting {key!r} here: give name and goal")
    goal = metric.get("goal", "minimize")
    if goal not in GOALS:
        raise ValueError(f"metric: goal must be minimize or maximize, got {goal!r}")
    if metric["name"].partition("/")[0] not in COLUMN_KINDS:
        raise ValueError(
            f"metric {metric['name']!r} is no column of metrics.csv, whose names begin with "
            f"{', '.join(f'{kind}/' for kind in COLUMN_KINDS)}: write its name as a run has it, such as best/fd_pixels_1438"
        )
    return metric["name"], goal


def default_name(path: Path) -> str:
    """``poly_inr/rates`` of ``configs/sweeps/poly_inr/rates.yaml``, elsewhere the file's own name."""
    folder, path = CONFIGS / "sweeps", path.resolve()
    return (path.relative_to(folder) if path.is_relative_to(folder) else Path(path.name)).with_suffix("").as_posix()


def key_of(override: str) -> str:
    return override.split("=")[0].lstrip("+~")


def read_command(content: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The settings before and after the searched ones; of a file without command none, but train.py's own defaults."""
    program, command = content.get("program"), content.get("command")
    if program != PROGRAM:
        raise ValueError(f"program must be {PROGRAM}, got {program!r}")
    if command is None:
        return [], []
    if not isinstance(command, list) or command[: len(OPENING)] != OPENING or command.count(MACRO) != 1:
        raise ValueError(f"{COMMAND}, got {command!r}")
    rest = command[len(OPENING) :]
    for part in rest:
        if not isinstance(part, str) or (part != MACRO and "=" not in part) or part.startswith("-"):
            raise ValueError(f"{COMMAND}, got {part!r}")
    place = rest.index(MACRO)
    return rest[:place], rest[place + 1 :]


def check_names(names: list[str], settings: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"parameter {name} stands twice")
        if any(text.split("=")[0] == name for text in settings):
            raise ValueError(f"{name} is searched: it cannot be set for all trials as well")
    for name in (*names, *map(key_of, settings)):
        if name in OURS:
            raise ValueError(f"{name} is set by the sweep, for each trial its own: leave it out")


def check_grid(parameters: Sequence[Parameter]) -> None:
    for parameter in parameters:
        if parameter.choices is None or "probabilities" in parameter.spec:
            raise ValueError(f"parameter {parameter.name}: a grid has no {parameter.distribution}; list its values")


def probes(sweep: Sweep) -> Iterator[tuple[Parameter | None, dict[str, Any]]]:
    """Settings that show every parameter at each of its values, or at one of a range, others as they are first."""
    first = {p.name: p.choices[0] if p.choices else p.at(PROBE) for p in sweep.parameters}
    yield None, first
    for parameter in sweep.parameters:
        few = parameter.choices if "values" in parameter.spec else [parameter.at(0.0), parameter.at(1.0)]
        for value in few or []:
            if value != first[parameter.name]:
                yield parameter, {**first, parameter.name: value}


def check_against_train(sweep: Sweep) -> None:
    """ValueError for a name or a value that train.py would refuse; builds every method once, without its weights."""
    tried = [(parameter, values, sweep.arguments(values)) for parameter, values in probes(sweep)]
    for _, _, arguments in tried:
        check_overrides("train", arguments)

    # Imported here so that misspelt settings answer at once.
    import torch

    from launch.build import build
    from launch.train.run_folder import check_settings

    for parameter, values, arguments in tried:
        try:
            config = compose("train", [*arguments, "run_dir=nowhere"])
            check_settings(config)
            with torch.device("meta"):
                build(plain(config))
        except ValueError as error:
            if parameter is None:
                raise
            raise ValueError(f"parameter {parameter.name} = {values[parameter.name]!r}: {error}") from error
