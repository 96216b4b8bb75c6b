"""The folder of a run: where it lies, whether it may be written to, where a run goes on from."""

from __future__ import annotations

import csv
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig

from launch.checkpoint import read_checkpoint
from launch.compose import dotted_keys
from launch.errors import did_you_mean

RUN_DIR_VARIABLE = "POLYMORPH_RUN_DIR"  # rank 0 tells the processes it launches
RESUME_VARIABLE = "POLYMORPH_RESUME_FROM"
FREE_TO_CHANGE = (
    "max_kimg",
    "save_every_kimg",
    "run_dir",
    "resume",
    "experiment_name",
    "trainer",
    "logger",
    "callbacks",
)


@dataclass(frozen=True)
class RunFolder:
    path: Path
    resume_from: Path | None  # the checkpoint to continue from
    is_trained: bool = False  # that checkpoint has seen the images of its budget
    is_finished: bool = False  # and the test stage has left its result

    @property
    def last_checkpoint(self) -> Path:
        return self.path / "checkpoints" / "last.ckpt"

    @contextmanager
    def shared_with_children(self) -> Iterator[None]:
        """Processes launched inside (ranks of one run) use this folder and this checkpoint, unasked."""
        os.environ[RUN_DIR_VARIABLE] = str(self.path)
        os.environ[RESUME_VARIABLE] = str(self.resume_from or "")
        try:
            yield
        finally:
            os.environ.pop(RUN_DIR_VARIABLE, None)
            os.environ.pop(RESUME_VARIABLE, None)


def check_settings(config: DictConfig) -> None:
    """ValueError for a setting of the run itself that is of the wrong kind or range."""
    for key, kind in {
        "seed": int,
        "num_threads": int,
        "max_kimg": (int, float),
        "save_every_kimg": (int, float),
    }.items():
        value = config[key]
        if key == "num_threads" and value is None:
            continue
        if not isinstance(value, kind) or isinstance(value, bool):  # type: ignore[arg-type]
            raise ValueError(f"{key} must be {'an integer' if kind is int else 'a number'}, got {value!r}")
        if value < 0 or (key in ("max_kimg", "num_threads") and value == 0):
            raise ValueError(f"{key} must be positive, got {value!r}")


def new_run_dir(experiment: str) -> Path:
    """``runs/<experiment>/<time>-<4 hex>``: two runs started in the same second do not meet."""
    return Path("runs") / experiment / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def open_run_folder(config: dict[str, Any]) -> RunFolder:
    """Decide where the run of a resolved configuration lives and what it continues; ValueError where it may not."""
    if os.environ.get(RUN_DIR_VARIABLE):
        told = os.environ.get(RESUME_VARIABLE)
        return RunFolder(Path(os.environ[RUN_DIR_VARIABLE]), Path(told) if told else None)

    resume = str(config["resume"])
    if resume == "auto" and config["run_dir"] is None:
        raise ValueError("resume=auto continues the run in run_dir: give run_dir=<folder>")
    path = Path(config["run_dir"]) if config["run_dir"] else new_run_dir(config["experiment_name"])
    if path.exists() and not path.is_dir():
        raise ValueError(f"run_dir {path} is a file, not a folder")
    folder = RunFolder(path.absolute(), None)
    is_used = path.is_dir() and any(path.iterdir())
    if resume == "auto":
        if not folder.last_checkpoint.exists():
            if is_used and not (path / "config.yaml").exists():
                raise ValueError(f"run_dir {path} holds files but no run: choose an empty folder")
            cut_rows_after(folder.path, -1.0)
            return folder
        resume_from = folder.last_checkpoint
    elif is_used:
        raise ValueError(f"run_dir {path} is not empty: add resume=auto to continue its run, or choose another folder")
    elif resume == "never":
        return folder
    elif Path(resume).suffix == ".ckpt" or Path(resume).exists():
        resume_from = Path(resume).absolute()
    else:
        raise ValueError(
            f"resume must be never, auto or a checkpoint, got {resume!r}{did_you_mean(resume, ['never', 'auto'])}"
        )

    checkpoint = read_checkpoint(resume_from)
    check_continues(config, checkpoint["config"], resume_from)
    kimg = checkpoint["images_seen"] / 1000
    is_trained = kimg >= config["max_kimg"]
    is_finished = is_trained and any(line.get("kimg") == kimg for line in read_lines(folder.path / "results.jsonl"))
    if not is_finished:
        cut_rows_after(folder.path, kimg)
    return RunFolder(folder.path, resume_from, is_trained, is_finished)


def check_continues(config: dict[str, Any], saved: dict[str, Any], checkpoint: Path) -> None:
    """ValueError where the new configuration would not continue the old run but start another from its weights."""

    def value(tree: Any, key: str) -> Any:
        for part in key.split("."):
            tree = tree.get(part) if isinstance(tree, dict) else None
        return tree

    keys = sorted({*dotted_keys(config), *dotted_keys(saved)})
    changed = [
        key
        for key in keys
        if not isinstance(value(config, key), dict)
        and value(config, key) != value(saved, key)
        and not key.startswith(FREE_TO_CHANGE)
    ]
    if changed:
        key = "method._target_" if "method._target_" in changed else changed[0]
        raise ValueError(
            f"{checkpoint} was trained with {key} = {value(saved, key)!r}, not {value(config, key)!r}: "
            "give the old setting, or start a new run with resume=never"
        )


def cut_rows_after(path: Path, kimg: float) -> None:
    """Drop what a run wrote after its checkpoint at ``kimg``: rows of the tables, pictures of samples."""
    metrics = path / "metrics.csv"
    if metrics.exists():
        with metrics.open(newline="") as file:
            header, *rows = list(csv.reader(file)) or [[]]
        column = header.index("progress/kimg") if "progress/kimg" in header else None
        # The last row of a killed run may be incomplete.
        kept = [row for row in rows if column is not None and len(row) == len(header) and float(row[column]) <= kimg]
        replace_text(metrics, "".join(",".join(row) + "\n" for row in ([header, *kept] if kept else [])))
    results = path / "results.jsonl"
    if results.exists():
        kept_lines = [line for line in read_lines(results) if line.get("kimg", 0.0) <= kimg]
        replace_text(results, "".join(json.dumps(line) + "\n" for line in kept_lines))
    for picture in (path / "samples").glob("kimg_*.png"):
        if float(picture.stem.split("_")[1]) > kimg:
            picture.unlink()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a file of JSON lines; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def replace_text(path: Path, text: str) -> None:
    """Replace a file as a whole: a reader, or a crash, never meets half of it."""
    temporary = path.with_name(f".{path.name}.writing")
    temporary.write_text(text)
    temporary.replace(path)


def save_config(path: Path, config: dict[str, Any]) -> None:
    path.mkdir(parents=True, exist_ok=True)
    replace_text(path / "config.yaml", yaml.safe_dump(config, sort_keys=False))
