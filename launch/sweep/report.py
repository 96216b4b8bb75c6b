"""report.html of a sweep: trials by objective with their pages and samples, the search in time and over each parameter."""

from __future__ import annotations

import html
import json
import math
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from launch.sweep.journal import TRIALS, Trial
from launch.sweep.space import Parameter
from launch.sweep.sweep_file import PROGRAM, Sweep
from records.comparison import last_grids
from records.pages import style
from records.run_files import replace_text

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 360, 200, 52, 10, 10, 24
LOG_RATIO = 30.0  # objectives this far apart are drawn on a logarithmic axis
MAX_SHOWN = 12  # trials of which the page shows samples: the best
STYLE = "circle { fill: #2563eb; } circle.stopped_early { fill: #dc6803; } .wide td.why { max-width: 600px; }"


def best_trial(sweep: Sweep, trials: Sequence[Trial]) -> Trial | None:
    """The first of the best among the trials that ran to their end."""
    done = [trial for trial in trials if trial.state == "done"]
    return by_objective(sweep, done)[0] if done else None


def by_objective(sweep: Sweep, trials: Sequence[Trial]) -> list[Trial]:
    """The best first, those without an objective last."""
    sign = sweep.sign
    return sorted(trials, key=lambda trial: (trial.objective is None, sign * (trial.objective or 0.0), trial.number))


def best_command(sweep: Sweep, trial: Trial) -> str:
    return shlex.join(["python", PROGRAM, *sweep.arguments(trial.values)])


def compare_command(folder: Path) -> str:
    return shlex.join(["python", "compare.py", str(folder / TRIALS), "-o", str(folder / "comparison.html")])


def rows(sweep: Sweep, trials: Sequence[Trial]) -> list[list[str]]:
    """The table of all trials with its header: number, state, objective, searched settings, time, why it failed."""
    searched = [p.name for p in sweep.parameters if p.distribution != "constant"]
    header = ["trial", "state", sweep.metric, *searched, "time", "why"]
    return [header] + [
        [
            str(trial.number),
            trial.state.replace("_", " "),
            "" if trial.objective is None else f"{trial.objective:.6g}",
            *(short(trial.values[name]) for name in searched),
            tqdm.format_interval(trial.seconds),
            trial.why or "",
        ]
        for trial in by_objective(sweep, trials)
    ]


def short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def print_table(sweep: Sweep, trials: Sequence[Trial]) -> None:
    table = rows(sweep, trials)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    table.insert(1, ["-" * width for width in widths])
    for row in table:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")


@dataclass(frozen=True)
class Axis:
    """From values to places in [0, 1]."""

    low: float
    high: float
    is_log: bool = False

    @classmethod
    def over(cls, values: Sequence[float], *, is_log: bool) -> Axis:
        low, high = min(values), max(values)
        if low == high:
            low, high = (low / 2, high * 2) if is_log else (low - 0.5, high + 0.5)
        return cls(low, high, is_log)

    def place(self, value: float) -> float:
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """A few round numbers."""
        if self.is_log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            factors = (1,) if len(decades) > 4 else (1, 3)
            found = [float(f"{factor}e{decade}") for decade in decades for factor in factors]
            return [value for value in found if self.low <= value <= self.high] or [self.low, self.high]
        rough = (self.high - self.low) / 4
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        return [round(k * step, 12) for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def objective_axis(values: Sequence[float]) -> Axis:
    is_log = min(values) > 0 and max(values) / min(values) > LOG_RATIO
    return Axis.over(values, is_log=is_log)


def chart(
    title: str,
    trials: Sequence[Trial],
    xs: Sequence[float],
    x_axis: Axis,
    *,
    labels: dict[float, str] | None = None,
    line: Sequence[tuple[float, float]] = (),
) -> str:
    """A card with the objectives of ``trials`` over ``xs``; ``labels`` name places, ``line`` is drawn through its points."""
    y_axis = objective_axis([trial.objective for trial in trials if trial.objective is not None])

    def x(value: float) -> float:
        return LEFT + x_axis.place(value) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - y_axis.place(value) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">']
    for value in y_axis.ticks():
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for value, text in (labels or {value: f"{value:.4g}" for value in x_axis.ticks()}).items():
        anchor = "end" if x(value) > WIDTH - 3 * RIGHT else "middle"
        parts.append(f'<text x="{x(value):.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{html.escape(text)}</text>')
    if line:
        path = "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in line)
        parts.append(f'<path d="M{path}" stroke="#0f9d76"/>')
    for trial, place in zip(trials, xs, strict=True):
        assert trial.objective is not None
        values = "\n".join(f"{name} = {short(value)}" for name, value in trial.values.items())
        note = html.escape(f"trial {trial.number}: {trial.objective:.4g}\n{values}")
        circle = f'cx="{x(place):.1f}" cy="{y(trial.objective):.1f}" r="3.5" class="{html.escape(trial.state)}"'
        parts.append(f"<circle {circle}><title>{note}</title></circle>")
    return f'<div class="card"><b>{html.escape(title)}</b>{"".join(parts)}</svg></div>'


def history_chart(sweep: Sweep, trials: Sequence[Trial]) -> str:
    line: list[tuple[float, float]] = []
    for count, trial in enumerate(trials, start=1):
        best = best_trial(sweep, trials[:count])
        if best is not None and best.objective is not None:
            # A staircase: the old value up to this trial.
            line += [(trial.number, line[-1][1] if line else best.objective), (trial.number, best.objective)]
    numbers = [float(trial.number) for trial in trials]
    return chart("objective by trial, best so far", trials, numbers, Axis.over(numbers, is_log=False), line=line)


def parameter_chart(parameter: Parameter, trials: Sequence[Trial]) -> str:
    values = [trial.values[parameter.name] for trial in trials]
    if "values" in parameter.spec:
        choices = [repr(choice) for choice in parameter.choices or ()]
        places = [float(choices.index(repr(value))) for value in values]
        labels = {float(place): short(choice) for place, choice in enumerate(parameter.choices or ())}
        axis = Axis(-0.5, len(choices) - 0.5)
        return chart(parameter.name, trials, places, axis, labels=labels)
    bounds = [parameter.spec[key] for key in ("min", "max") if key in parameter.spec]
    return chart(parameter.name, trials, values, Axis.over([*values, *bounds], is_log="log" in parameter.distribution))


def links(folder: Path, trial: Trial) -> str:
    """The trial's number as a link to its page, and its output, as far as they are there; both lie beside the sweep's page."""
    number = str(trial.number)
    if (folder / trial.place / "report.html").exists():
        number = f'<a href="{trial.place}/report.html">{number}</a>'
    has_log = (folder / f"{trial.place}.log").exists()
    return number + (f' · <a href="{trial.place}.log">log</a>' if has_log else "")


def sample_figures(folder: Path, sweep: Sweep, trials: Sequence[Trial]) -> str:
    """The last samples of the best trials that have any, each under its trial's number and objective."""
    figures = []
    for trial in by_objective(sweep, trials)[:MAX_SHOWN]:
        value = f" · {sweep.metric} {trial.objective:.4g}" if trial.objective is not None else ""
        with suppress(OSError):  # one that still runs deletes and writes
            for grid in last_grids(folder / trial.place / "samples", share=1 / MAX_SHOWN):
                caption = html.escape(f"trial {trial.number}{value} · {grid['size']} · {grid['kimg']:g} kimg")
                picture = f'<img src="{grid["image"]}" alt="samples of trial {trial.number}" loading="lazy">'
                figures.append(f"<figure>{picture}<figcaption>{caption}</figcaption></figure>")
    return "".join(figures)


def write_sweep_report(folder: Path, sweep: Sweep, trials: Sequence[Trial], *, num_trials: int) -> Path:
    """Make ``folder/report.html``; the old page stays until the new one is whole."""
    measured = [trial for trial in trials if trial.objective is not None]
    charts = [history_chart(sweep, measured)] if measured else []
    charts += [parameter_chart(p, measured) for p in sweep.parameters if measured and p.distribution != "constant"]
    header, *body = rows(sweep, trials)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    lines = "".join(
        f"<tr><td>{links(folder, trial)}</td>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:-1])
        + f'<td class="why">{html.escape(row[-1])}</td></tr>'
        for trial, row in zip(by_objective(sweep, trials), body, strict=True)
    )
    samples = sample_figures(folder, sweep, trials)
    best = best_trial(sweep, trials)
    over = sum(trial.is_over for trial in trials)
    title = html.escape(sweep.name)
    question = html.escape(str(sweep.content.get("description") or ""))
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{style()}{STYLE}</style></head><body>
<h1>{title}</h1><p class="status">{over} of {num_trials} trials · {sweep.method} · {sweep.goal} {html.escape(sweep.metric)}
· updated {time.strftime("%Y-%m-%d %H:%M:%S")}</p><p>{question}</p>
{f'<h2>Best</h2><pre class="command">{html.escape(best_command(sweep, best))}</pre>' if best else ""}
<h2>Search</h2><div class="charts">{"".join(charts)}</div>
<h2>Trials</h2><p class="status">All their curves on one page: {html.escape(compare_command(folder))}</p>
<div class="wide"><table><tr>{head}</tr>{lines}</table></div>
{f'<h2>Last samples of the best trials</h2><div class="grids">{samples}</div>' if samples else ""}
<h2>Sweep</h2><pre>{html.escape(json.dumps(sweep.content, indent=2))}</pre></body></html>
"""
    path = folder / "report.html"
    replace_text(path, page)
    return path
