"""A page that compares runs, finished or not, from the files in their folders."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from records.pages import MAX_CURVE_POINTS, curves, data_address, page
from records.run_files import CLOCK, grid_facts, grids, read_lines, read_metrics, replace_text

MAX_POINTS = 200  # of a curve: the page may carry fifty of each kind
# Say where a run lies and how it is shown, not what it is.
OWN_KEYS = ("run_dir", "experiment_name", "resume", "logger.", "callbacks.report.", "callbacks.progress.")


def find_runs(folders: Sequence[Path]) -> list[Path]:
    """The run folders among ``folders`` and inside those that hold none themselves, each once.

    ValueError for one that is no folder, and where there is none at all.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"there is no run folder {folder}")
        inside = [] if is_run(folder) else sorted(path.parent for path in folder.rglob("config.yaml"))
        for run in inside or [folder]:
            found.setdefault(run.resolve(), run)
    if not found:
        raise ValueError("there is no run folder to compare: give folders of runs, such as runs/a runs/b")
    return list(found.values())


def is_run(folder: Path) -> bool:
    return (folder / "config.yaml").exists() or (folder / "metrics.csv").exists()


def names(runs: Sequence[Path]) -> list[str]:
    """As short as they stay different: without the folders that all share."""
    paths = [run.resolve() for run in runs]
    shared = Path(os.path.commonpath([path.parent for path in paths]))
    return [str(path.relative_to(shared)) for path in paths]


def leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """``a.b`` -> value of nested dictionaries."""
    if not isinstance(node, dict):
        yield prefix, node
        return
    for key, value in node.items():
        yield from leaves(value, f"{prefix}.{key}" if prefix else str(key))


def settings(config: dict[str, Any], run_dir: str) -> dict[str, str]:
    """What may differ between runs: dotted key -> value as text."""
    return {
        key: json.dumps(value).strip('"')
        for key, value in leaves(config)
        if not key.startswith(OWN_KEYS) and value != run_dir
    }


def state(folder: Path, *, kimg: float | None, max_kimg: float | None) -> str:
    """How far a run came, in words."""
    failure = folder / "failure.json"
    if failure.exists():
        return f"failed: {json.loads(failure.read_text())['message']}"
    if not is_run(folder):
        return "empty folder"
    if kimg is None:
        return "nothing logged yet"
    return "trained" if max_kimg is not None and kimg >= max_kimg else "unfinished"


def last_grids(samples: Path, *, share: float) -> list[dict[str, Any]]:
    """The latest picture of each size, all of them in ``share`` of the page's pictures."""
    by_size = grids(samples)
    return [
        {"size": size, "kimg": grid_facts(paths[-1])[0], "image": data_address(paths[-1], share=share / len(by_size))}
        for size, paths in by_size.items()
    ]


def read_run(folder: Path, name: str, *, num_runs: int = 1) -> dict[str, Any]:
    """What a page about ``num_runs`` runs shows of one; one whose files are damaged is shown as such."""
    run: dict[str, Any] = {"name": name, "kimg": None, "maxKimg": None}
    run |= {"curves": {}, "grids": [], "settings": {}, "last": {}, "results": []}
    try:
        if (folder / "config.yaml").exists():
            config = yaml.load(
                (folder / "config.yaml").read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            )
            run["maxKimg"] = config.get("max_kimg")
            run["settings"] = settings(config, config.get("run_dir", ""))
        rows = read_metrics(folder / "metrics.csv")
        run["kimg"] = rows[-1][CLOCK] if rows else None
        columns = {column for row in rows for column in row}
        most = min(MAX_POINTS, max(2, MAX_CURVE_POINTS // (num_runs * max(1, len(columns)))))
        run["curves"] = {column: line for column, line in curves(rows, max_points=most).items() if line}
        for row in rows:
            run["last"] |= {column: value for column, value in row.items() if column != CLOCK}
        run["results"] = [line for line in read_lines(folder / "results.jsonl") if line.get("metrics")]
        run["grids"] = last_grids(folder / "samples", share=1 / num_runs)
        run["state"] = state(folder, kimg=run["kimg"], max_kimg=run["maxKimg"])
    except (OSError, ValueError, KeyError, AttributeError, yaml.YAMLError) as error:
        run["state"] = f"cannot be read: {' '.join(str(error).split())}"
    return run


def lower_is_better(name: str, runs: list[dict[str, Any]]) -> bool | None:
    """Read off the runs' own ``best/<name>``; None where no run has measured two values."""
    for run in runs:
        values = [value for _, value in run["curves"].get(f"metric/{name}", [])]
        best = run["last"].get(f"best/{name}")
        if best is not None and values and min(values) < max(values):
            return abs(best - min(values)) < abs(best - max(values))  # the curve is thinned: it may lack the best
    return None


def protocol_notes(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """What stands in the way of comparing two results."""
    if all(a.get(key) == b.get(key) for key in ("protocol", "num_images", "num_reference")):
        return []
    # Imports PyTorch, which takes longer than the whole page: only where there is something to put into words.
    from metrics.protocols import protocol_differences

    return protocol_differences(a, b)


def result_tables(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results in groups of one protocol: what it is, what stands between it and the first, a row for all that was measured.

    A run has a row for each state and each set of samples that it was measured with; of the same measured again, the latest.
    """
    groups: list[dict[str, Any]] = []
    for index, run in enumerate(runs):
        for record in run["results"]:
            group = next((group for group in groups if not protocol_notes(group["record"], record)), None)
            if group is None:
                between = protocol_notes(groups[0]["record"], record) if groups else []
                group = {"record": record, "differences": between, "rows": {}}
                groups.append(group)
            what = {key: record.get(key) for key in ("kimg", "checkpoint", "sample_seed")}
            row = group["rows"].setdefault((index, *what.values()), {"run": index, **what, "metrics": {}})
            row["metrics"] |= record["metrics"]
    return [
        {
            "protocol": describe(group["record"]),
            "differences": group["differences"],
            "rows": list(group["rows"].values()),
        }
        for group in groups
    ]


def describe(record: dict[str, Any]) -> str:
    """A protocol in a line."""
    protocol = record["protocol"]
    if "data" in protocol:
        return f"{protocol.get('task', 'result')} on {record['num_images']} images of {protocol['data']}"
    against = f"{record['num_images']} images against {record.get('num_reference')} of {protocol.get('reference')}"
    return f"{against}, {protocol.get('extractor')}"


def write_comparison(folders: Sequence[Path], output: Path) -> None:
    """Make the page ``output`` about the run folders ``folders``."""
    named = zip(folders, names(folders), strict=True)
    runs = [read_run(folder, name, num_runs=len(folders)) for folder, name in named]
    keys = list(dict.fromkeys(key for run in runs for key in run["settings"]))
    # A run without a configuration differs in everything: it says nothing.
    known = [run for run in runs if run["settings"]]
    differing = [key for key in keys if len({run["settings"].get(key) for run in known}) > 1]
    measured = sorted({c.partition("/")[2] for run in runs for c in run["last"] if c.startswith("metric/")})
    data = {
        "updated": time.strftime("%Y-%m-%d %H:%M:%S"),
        "differing": differing,
        "shared": {key: known[0]["settings"][key] for key in keys if key not in differing},
        "lowerIsBetter": {name: lower_is_better(name, runs) for name in measured},
        "results": result_tables(runs),
        "runs": runs,
    }
    for run in runs:
        del run["results"]
        run["settings"] = {key: run["settings"][key] for key in differing if key in run["settings"]}
    output.parent.mkdir(parents=True, exist_ok=True)
    replace_text(output, page("comparison", title=f"{len(runs)} runs", data=data))
