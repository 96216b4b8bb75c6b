"""What ``task=midpoints`` wrote of trained models, taken into docs/results: a line a model, set of images and sampling.

One file holds all lines of last states, another those of the prior and of midpoints of states on the way, which end with
the last one. All are measured by as many images, since a Frechet distance of fewer is larger.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

from docs.ledger.results import PRIORS, Line, read_results, write_results
from records.run_files import read_lines

LAST, ON_THE_WAY = PRIORS  # of docs/results
WRITTEN = "midpoints.jsonl"  # by the task, in its output folder
RUN = ("experiment", "normalization", "latent_dim", "prior", "prior_settings", "train_seed")  # tells one from another
MEASURED = ("count", "num_reference", "extractor", "extractor_weights")  # alike, where scores are to be compared
SET = ("sampling", "what", "path")  # of images of a model
DIGITS = 6  # of a number that are kept


def rounded(entry: Any) -> Any:
    return float(f"{entry:.{DIGITS}g}") if isinstance(entry, float) else entry


def hardware(run: Path) -> dict[str, str]:
    """What a run was trained on; ValueError where it has not ended."""
    records = read_lines(run / "results.jsonl")
    if not records:
        raise ValueError(f"{run} has no results.jsonl with a result: let its training end first")
    environment = records[-1]["environment"]
    return {name: environment[name] for name in ("gpu", "processor") if name in environment}


def with_factors(lines: list[Line]) -> list[Line]:
    """Each line with ``fd_over_prior``: its Frechet distance over that of the same model's prior, drawn the same way."""
    own = {(line["sampling"], line["kimg"]): line["fd"] for line in lines if line["what"] == "prior"}
    return [line | {"fd_over_prior": line["fd"] / own[line["sampling"], line["kimg"]]} for line in lines]


def lines_of(run: Path, folder: Path) -> list[Line]:
    """The lines that the task wrote into ``folder``, with what the run was trained on; ValueError where there are none."""
    lines = read_lines(folder / WRITTEN)
    if not lines:
        raise ValueError(f"{folder} has no {WRITTEN}: make priors RUNS={run} JUDGE=<a checkpoint of a classifier>")
    told = {"environment": hardware(run), "kimg": float(round(lines[0]["kimg"]))}  # kept by the first batch after that
    return [{key: rounded(entry) for key, entry in line.items()} | told for line in with_factors(lines)]


def of_run(line: Line) -> tuple[Any, ...]:
    return tuple(line[key] for key in RUN)


def in_order(lines: list[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: ([str(line[key]) for key in (*RUN, *SET)], line["kimg"]))


def take_in(name: str, lines: list[Line]) -> None:
    """Lines of one run into a file of docs/results, in place of that run's earlier ones.

    ValueError where the others of its experiment were measured by another judge or count.
    """
    kept = [line for line in read_results(name) if of_run(line) != of_run(lines[0])]
    for line, key in product([*lines, *kept], MEASURED):
        if line["experiment"] == lines[0]["experiment"] and line.get(key) != lines[0].get(key):
            raise ValueError(
                f"docs/results/{name}.jsonl has lines of {line['experiment']} with {key} {line.get(key)}, and these have "
                f"{lines[0].get(key)}: measure all runs alike, or remove that file"
            )
    write_results(name, in_order([*kept, *lines]))


def collect_midpoints(run: Path) -> list[str]:
    """What the task wrote of ``run`` into its folders ``midpoints`` and ``midpoints/<state>``; the names of changed files."""
    last = lines_of(run, run / "midpoints")
    folders = sorted(path.parent for path in (run / "midpoints").glob(f"*/{WRITTEN}"))
    states = [line for folder in folders for line in lines_of(run, folder)]
    counts = {(line["count"], line["num_reference"]) for line in [*last, *states]}
    if len(counts) > 1:
        raise ValueError(
            f"the states of {run} were measured by different numbers of images, {sorted(counts)}: make priors RUNS={run}"
        )
    take_in(LAST, last)
    if not states:
        return [LAST]
    sets = {tuple(line[key] for key in SET) for line in states}
    ended = [line for line in last if tuple(line[key] for key in SET) in sets]
    take_in(ON_THE_WAY, [*(line for line in states if line["kimg"] != last[0]["kimg"]), *ended])
    return [LAST, ON_THE_WAY]
