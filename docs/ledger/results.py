"""What docs/results holds: lines of results, one a training seed or one a row of a task, and how they are stated."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypedDict

from scipy import stats

from docs.ledger.checked import Known, read_yaml
from launch.compose import CONFIGS, group_options
from launch.constructors import find_target
from launch.errors import did_you_mean
from metrics import measures
from metrics.measures import Direction

DOCS = Path(__file__).resolve().parents[1]
RESULTS = DOCS / "results"
MORE_DIGITS = {"accuracy": 4, "kid": 4}  # behind the point, where a measure is stated with more than three
PRIORS = ("dcgan/priors", "dcgan/priors_over_time")  # files of `make priors`: of last states, and of states on the way
INPAINTING = "pggan/inpainting"  # that of `python -m docs.ledger.inpainting`
EVERY_LINE = "every_line"  # the key of a first line with what all lines of its file have
Line = dict[str, Any]


def files() -> list[str]:
    """Names of the files of docs/results, such as ``poly_inr/digits``."""
    return [path.relative_to(RESULTS).with_suffix("").as_posix() for path in RESULTS.rglob("*.jsonl")]


def experiments() -> list[str]:
    return group_options("experiment")


@cache
def directions() -> dict[str, Direction]:
    """Of every measure: those of metrics/measures.py, and those that only the class of a method names."""
    groups = [group for name, group in vars(measures).items() if name.isupper()]
    configs = [read_yaml(CONFIGS / "method" / f"{name}.yaml") for name in group_options("method")]
    methods = [find_target(config["_target_"], "method") for config in configs if "_target_" in config]
    return measures.joined(*groups, *(method.directions() for method in methods))


Measure = Annotated[str, Known("measure", directions)]
Experiment = Annotated[str, Known("experiment", experiments)]
MAY_COME = (*PRIORS, INPAINTING)  # of these, as of an experiment, there may be none yet
ResultsFile = Annotated[str, Known("file of docs/results", lambda: [*files(), *experiments(), *MAY_COME])]
WrittenFile = Annotated[str, Known("file of docs/results", files)]


def results_path(name: str) -> Path:
    return RESULTS / f"{name}.jsonl"


def read_results(name: str) -> list[Line]:
    """The lines of a file, each with what its first line may hold for all of them; none where there is no file."""
    path = results_path(name)
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    shared = lines.pop(0)[EVERY_LINE] if lines and EVERY_LINE in lines[0] else {}
    return [shared | line for line in lines]


def write_results(name: str, lines: Sequence[Line]) -> Path:
    """A file of which :func:`read_results` reads ``lines`` again: what all of them have alike stands in it once."""
    shared = {
        key: value for key, value in lines[0].items() if all(key in line and line[key] == value for line in lines)
    }
    rest = [{key: value for key, value in line.items() if key not in shared} for line in lines]
    path = results_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    header = [{EVERY_LINE: shared}] if shared else []
    path.write_text("".join(json.dumps(line) + "\n" for line in (*header, *rest)))
    return path


def selected(name: str, only: Mapping[str, Any], *, awaited: bool = False) -> list[Line]:
    """The lines of a file that have what ``only`` says; ValueError where it has lines and none of them does.

    ``awaited``: those lines may be still to come.
    """
    lines = read_results(name)
    for key in only:
        if lines and not any(key in line for line in lines):
            known = {known for line in lines for known in line}
            raise ValueError(f"no line of docs/results/{name}.jsonl has the key {key!r}{did_you_mean(key, known)}")
    found = [line for line in lines if line.items() >= only.items()]
    if lines and not found and not awaited:
        raise ValueError(f"no line of docs/results/{name}.jsonl has {dict(only)}")
    return found


def entry(line: Line, name: str) -> Any:
    """A measure of a published result, or an entry of a line that a task wrote."""
    entries = line.get("metrics", line)
    if name not in entries:
        raise ValueError(f"these results have no {name!r}{did_you_mean(name, entries)}")
    return entries[name]


def value(line: Line, name: str) -> float:
    """An :func:`entry` that is a number."""
    return float(entry(line, name))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of its 95 % interval over seeds, by Student's t (three seeds: 2.5 standard deviations)."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, math.nan
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return mean, float(stats.t.ppf(0.975, len(values) - 1)) * spread / math.sqrt(len(values))


def stated(lines: Sequence[Line], measure: str) -> str:
    mean, half = interval([value(line, measure) for line in lines])
    digits = MORE_DIGITS.get(measure, 3)
    return f"{mean:.{digits}f} (one seed)" if math.isnan(half) else f"{mean:.{digits}f} ± {half:.{digits}f}"


class Facts(TypedDict):
    """What the rows of measured claims have in common."""

    seeds: str
    hardware: str
    kimg: str
    command: str


def facts(lines: Sequence[Line], command: str) -> Facts:
    """Of the runs that ``lines`` are results of."""
    hardware = sorted({line["environment"].get("gpu", line["environment"]["processor"]) for line in lines})
    return {
        "seeds": ", ".join(str(line["train_seed"]) for line in lines),
        "hardware": "; ".join(hardware),
        "kimg": ", ".join(sorted({f"{line['kimg']:g}" for line in lines})),
        "command": command,
    }


def checked_direction(measure: str, stated: Direction | None) -> Direction:
    """Which way a measure is better; of a number that only a task knows, the direction ``stated`` beside it."""
    known = directions()
    if measure in known:
        if stated is not None:
            raise ValueError(f"leave out 'direction': the measure {measure!r} has one, which is {known[measure]!r}")
        return known[measure]
    if stated not in ("lower", "higher"):
        raise ValueError(
            f"there is no measure {measure!r}{did_you_mean(measure, known)}; "
            "a value of a task's own needs 'direction: lower' or 'direction: higher'"
        )
    return stated


@dataclass(frozen=True)
class Arm:
    """The runs of an ``experiment``, and the lines with their values, one a training seed.

    ``results``: the file of these lines, ``only`` what they have among its others; ``runs``: the file that tells seeds,
    hardware and budget. Both are the experiment's own results unless stated; lines that tell so of themselves need no
    ``runs``. ``awaited``: there may be no such lines yet among the file's others.
    """

    experiment: Experiment
    results: ResultsFile | None = None
    only: dict[str, Any] = field(default_factory=dict)
    runs: ResultsFile | None = None
    awaited: bool = False

    def lines(self) -> list[Line]:
        return self.of_experiment(selected(self.results or self.experiment, self.only, awaited=self.awaited))

    def run_lines(self) -> list[Line]:
        """What tells of the runs that the values are of, as many; ValueError where it tells of others."""
        name, values = self.runs or self.experiment, self.lines()
        if self.runs is None and all("environment" in line for line in values):
            return values
        runs = self.of_experiment(read_results(name))
        if len(runs) != len(values):
            raise ValueError(
                f"docs/results/{name}.jsonl tells of {len(runs)} runs of {self.experiment}, but there are values of "
                f"{len(values)}: name the file that tells of these by 'runs'"
            )
        return runs

    def of_experiment(self, lines: list[Line]) -> list[Line]:
        return [line for line in lines if line.get("experiment", self.experiment) == self.experiment]

    def values(self, measure: str) -> list[float]:
        return [value(line, measure) for line in self.lines()]
