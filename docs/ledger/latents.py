"""docs/results/regene.md: what averages of latents draw, by sampler, beside what needs no decoder, of runs of method=regene.

python -m docs.ledger.latents [--measure RUN ... [--judge CHECKPOINT] [--device DEVICE]] [--runs RUN ...] [--collect FOLDER ...]

--measure runs the tasks that the page asks of a run, into its folder `latents`: samplers, trials, three_distances and
theorems. With a judge they are measured in its features too. --runs takes in what runs say of themselves: test accuracy,
error of the decoder. --collect takes in folders that these tasks wrote. The page is made of these lines; no number of it is
typed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from docs.ledger.latents_page import CHARTS, FILES, PAGE, chart_path, charts, page
from docs.ledger.midpoints import rounded
from docs.ledger.results import DOCS, Line, read_results, write_results
from generate import generate
from launch.compose import compose
from launch.errors import one_line_errors
from lightning_modules.regene.frontier import FAMILIES
from lightning_modules.regene.samplers import ARMS
from records.run_files import read_lines

TASKS: dict[str, dict[str, Any]] = {
    "samplers": {"arms": list(dict.fromkeys([*ARMS, *(arm for family in FAMILIES.values() for arm in family)]))},
    "trials": {"count": 500},
    "three_distances": {},
    "theorems": {},
}
JUDGED = ("samplers", "three_distances")  # which take a judge
KEYS = (
    "experiment",
    "train_seed",
    "joint",
    "kimg",
    "extractor",
    "arm",
    "sampler",
    "accept",
    "class",
)  # tell lines apart
OWN = {"classification": ("accuracy",), "reconstruction": ("mae",)}  # what a run says of itself, by task


def measure(run: Path, *, judge: Path | None, device: str) -> Iterator[Path]:
    """Runs the tasks for the last checkpoint of a ``run``, in folders that are yielded."""
    for task, settings in TASKS.items():
        for by_features in (False, True) if task == "three_distances" and judge is not None else (False,):
            options = dict(settings)
            if judge is not None and task in JUDGED:
                options["judge"] = [str(judge)]
                if task == "samplers":
                    options |= {"count": 5000, "reference": "test"}
                if by_features:
                    options["by_features"] = True
            folder = run / "latents" / f"{task}{'_by_features' if by_features else ''}"
            config = compose("generate")
            OmegaConf.set_struct(config, False)  # a task's own settings are no keys of the file
            own = {"checkpoint": str(run / "checkpoints" / "last.ckpt"), "output": str(folder), "device": device}
            generate(OmegaConf.merge(config, own, {"task": task, "options": options, "num_threads": 1}))  # type: ignore[arg-type]
            yield folder


def collect(folder: Path) -> None:
    """What tasks wrote into a folder; ValueError where it has no lines of one of them."""
    found = [task for task in TASKS if (folder / f"{task}.jsonl").exists()]
    if not found:
        raise ValueError(f"{folder} has no lines of {', '.join(TASKS)}: python generate.py ... output={folder}")
    for task in found:
        record = json.loads((folder / f"{task}.json").read_text())
        told = {key: record[key] for key in ("experiment", "train_seed", "kimg")} | {"environment": hardware(record)}
        put(task, [told | line for line in read_lines(folder / f"{task}.jsonl")])


def collect_run(run: Path) -> None:
    """A line of what a run says of itself: test accuracy, MAE of the decoder in [0, 1], and its training time."""
    records = read_lines(run / "results.jsonl")
    config = yaml.safe_load((run / "config.yaml").read_text())
    values = {
        name: record["metrics"][name]
        for record in records
        for name in OWN.get(record["protocol"].get("task", ""), ())
        if record["protocol"]["data"].endswith(":test")
    }
    missing = [name for names in OWN.values() for name in names if name not in values]
    if missing:
        raise ValueError(f"{run} has no {' and no '.join(missing)} of a test stage: let its training end first")
    last = records[-1]
    told = {key: last[key] for key in ("experiment", "train_seed", "kimg")} | {"environment": hardware(last)}
    joint = config["method"].get("joint")
    put("runs", [told | {"joint": joint, "rare": config["datamodule"].get("rare"), **values}])


def hardware(record: dict[str, Any]) -> dict[str, str]:
    return {key: record["environment"][key] for key in ("gpu", "processor") if key in record["environment"]}


def put(what: str, lines: list[Line]) -> None:
    """``lines`` into their file, in place of those of the same run and arm."""
    new = [{key: rounded(value) for key, value in line.items()} for line in lines]
    keys = {key_of(line) for line in new}
    kept = [line for line in read_results(FILES[what]) if key_of(line) not in keys]
    write_results(FILES[what], sorted([*kept, *new], key=key_of))


def key_of(line: Line) -> tuple[str, ...]:
    return tuple(str(line.get(key)) for key in KEYS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", nargs="+", type=Path, default=[], metavar="RUN")
    parser.add_argument("--judge", type=Path, metavar="CHECKPOINT", help="a classifier that was trained apart")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", nargs="+", type=Path, default=[], metavar="RUN")
    parser.add_argument("--collect", nargs="+", type=Path, default=[], metavar="FOLDER")
    arguments = parser.parse_args()
    with one_line_errors():
        for run in arguments.measure:
            collect_run(run)
            for folder in measure(run, judge=arguments.judge, device=arguments.device):
                collect(folder)
        for run in arguments.runs:
            collect_run(run)
        for folder in arguments.collect:
            collect(folder)
        for name, figure in charts().items():
            figure.savefig(chart_path(name), dpi=80)
        PAGE.write_text(page())
        print(", ".join(str(path.relative_to(DOCS.parent)) for path in (PAGE, CHARTS)))


if __name__ == "__main__":
    main()
