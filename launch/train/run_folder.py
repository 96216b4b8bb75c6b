"""The folder of a run: where it lies, whether it may be written to, where a run goes on from."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig

from launch.checkpoint import LAST, flush_folder, last_good_checkpoint, read_checkpoint
from launch.compose import check_budgets, dotted_keys
from launch.constructors import constructor_calls
from launch.errors import did_you_mean
from launch.ranks import StartedRanks
from launch.threads import check_threads
from launch.train.folder_lock import LOCK, FolderLock
from records.results import TEST_STAGE
from records.run_files import lines_of, read_lines, replace_text

RUN_VARIABLE = "POLYMORPH_RUN"  # rank 0 tells its decision to the processes it launches
TESTING = ".testing"  # lies in the folder while the test stage writes its results, one after the other


@dataclass(frozen=True)
class RunFolder:
    path: Path
    resume_from: Path | None = None  # the checkpoint to continue from
    is_trained: bool = False  # that checkpoint has seen the images of its budget
    is_finished: bool = False  # and the test stage has left its result
    is_new: bool = True  # nothing of an earlier start lies in it

    @property
    def last_checkpoint(self) -> Path:
        return self.path / "checkpoints" / LAST

    @contextmanager
    def shared_with_children(self) -> Iterator[None]:
        """Processes launched inside (ranks of one run) use this decision, unasked."""
        os.environ[RUN_VARIABLE] = self.told()
        try:
            yield
        finally:
            os.environ.pop(RUN_VARIABLE, None)

    @contextmanager
    def test_stage(self, *, marks: bool) -> Iterator[None]:
        """Inside, the test stage runs; one that does not come to its end is taken anew by the next start.

        ``marks``: whether this process says so in the folder, as rank 0 does.
        """
        mark = self.path / TESTING
        if marks:
            mark.touch()
            flush_folder(self.path)
        yield
        if marks:
            mark.unlink()

    def told(self) -> str:
        """For another process, which makes itself ``RunFolder.of_told`` from it."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def of_told(cls, told: str) -> RunFolder:
        facts = json.loads(told)
        resume_from = facts.pop("resume_from")
        return cls(Path(facts.pop("path")), Path(resume_from) if resume_from else None, **facts)

    def remove_if_unused(self, images_seen: int) -> None:
        """Take back a folder that this start made and in which no step was done: a corrected start finds it free."""
        if self.is_new and images_seen == 0:
            shutil.rmtree(self.path, ignore_errors=True)


def check_settings(config: DictConfig) -> None:
    """ValueError for a setting of the run itself that is of the wrong kind or range."""
    check_threads(config["num_threads"])
    if config["deterministic"] not in (True, False, "warn"):
        raise ValueError(f"deterministic must be true, false or warn, got {config['deterministic']!r}")
    check_budgets(config["trainer"])
    for key, kind in {"seed": int, "max_kimg": (int, float), "save_every_kimg": (int, float)}.items():
        value = config[key]
        if not isinstance(value, kind) or isinstance(value, bool):  # type: ignore[arg-type]
            raise ValueError(f"{key} must be {'an integer' if kind is int else 'a number'}, got {value!r}")
        least = 0.001 if key == "max_kimg" else 0
        if not least <= value < math.inf:
            raise ValueError(f"{key} must be finite and at least {least}, got {value!r}")


def new_run_dir(experiment: str) -> Path:
    """``runs/<experiment>/<time>-<4 hex>``: two runs started in the same second do not meet."""
    return Path("runs") / experiment / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def run_dir_of_job(config: dict[str, Any]) -> Path | None:
    """``runs/<experiment>/slurm-<job>[_<task>]-<4 hex>`` in a job of SLURM, which finds it again when it is requeued.

    The hex digits are of the settings: one job may train several times.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return None
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    settings = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:4]
    return Path("runs") / config["experiment_name"] / f"slurm-{job}-{settings}"


def is_restart() -> bool:
    """Whether SLURM has requeued this job: what it meets in its run folder is its own."""
    return int(os.environ.get("SLURM_RESTART_COUNT", "0")) > 0


def choose_run_dir(config: dict[str, Any]) -> tuple[Path, str]:
    """The folder of a run, and ``resume`` as it holds there."""
    resume = str(config["resume"])
    of_job = run_dir_of_job(config)
    if config["run_dir"] is not None:
        path = Path(config["run_dir"])
    elif of_job is not None and (resume == "auto" or is_restart() or not of_job.exists()):
        path = of_job
    elif resume == "auto":
        raise ValueError("resume=auto continues the run in run_dir: give run_dir=<folder>")
    else:
        path = new_run_dir(config["experiment_name"])
    if is_restart() and resume != "auto" and (resume == "never" or RunFolder(path).last_checkpoint.exists()):
        print(f"restarted by SLURM: resume=auto in {path}")
        resume = "auto"
    return path, resume


def agree_on_run_folder(config: dict[str, Any], ranks: StartedRanks, lock: FolderLock) -> RunFolder:
    """Rank 0's decision, on all ranks, whoever started them; rank 0 has the folder under its ``lock``."""
    if RUN_VARIABLE in os.environ:
        return RunFolder.of_told(os.environ[RUN_VARIABLE])
    return RunFolder.of_told(ranks.from_first(lambda: open_run_folder(config, lock).told()))


def open_run_folder(config: dict[str, Any], lock: FolderLock) -> RunFolder:
    """Decide where the run of a resolved configuration lives and what it continues; ValueError where it may not."""
    path, resume = choose_run_dir(config)
    if path.exists() and not path.is_dir():
        raise ValueError(f"run_dir {path} is a file, not a folder")
    path = path.absolute()
    lock.take(path, what="another train.py is at work in")
    if resume == "auto":
        remove_leftovers(path)
    is_used = any(file.name != LOCK for file in path.iterdir())
    if resume == "auto":
        found = last_good_checkpoint(path / "checkpoints")
        if found is None:
            return start_over(path) if is_used else RunFolder(path)
        resume_from, checkpoint = found
    elif is_used:
        raise ValueError(f"run_dir {path} is not empty: add resume=auto to continue its run, or choose another folder")
    elif resume == "never":
        return RunFolder(path)
    elif Path(resume).suffix == ".ckpt" or Path(resume).exists():
        resume_from = Path(resume).absolute()
        checkpoint = read_checkpoint(resume_from)
    else:
        raise ValueError(
            f"resume must be never, auto or a checkpoint, got {resume!r}{did_you_mean(resume, ['never', 'auto'])}"
        )

    check_continues(config, checkpoint["config"], resume_from)
    kimg = checkpoint["images_seen"] / 1000
    is_trained = kimg >= config["max_kimg"]
    if is_trained and resume != "auto":
        raise ValueError(
            f"{resume_from} has seen {kimg:g} kimg: give a larger max_kimg than {config['max_kimg']:g} to continue it"
        )
    if (path / TESTING).exists():  # until a test stage has left all of its results
        keep_results(path, lambda line: not is_of_test_stage(line, kimg))
    is_finished = is_trained and any(is_of_test_stage(line, kimg) for line in read_lines(path / "results.jsonl"))
    if not is_finished:
        cut_rows_after(path, kimg)
    return RunFolder(path, resume_from, is_trained, is_finished, is_new=not is_used)


def is_of_test_stage(line: dict[str, Any], kimg: float) -> bool:
    """Whether a line of results.jsonl is a result of the test stage at ``kimg``."""
    return line.get("kimg") == kimg and line.get("stage") == TEST_STAGE


def keep_results(path: Path, is_kept: Callable[[dict[str, Any]], bool]) -> None:
    """Drop the other lines of results.jsonl, and one that was not written to its end."""
    results = path / "results.jsonl"
    if results.exists():
        kept = [line for line in read_lines(results) if is_kept(line)]
        replace_text(results, "".join(json.dumps(line) + "\n" for line in kept))


def remove_leftovers(path: Path) -> None:
    """Delete what a killed run had not written to its end."""
    for folder in (path, path / "checkpoints"):
        for leftover in folder.glob(".*.writing"):
            leftover.unlink()


def start_over(path: Path) -> RunFolder:
    """The run that was stopped before its first checkpoint begins again; ValueError where that would lose results."""
    if not (path / "config.yaml").exists():
        raise ValueError(f"run_dir {path} holds files but no run: choose an empty folder")
    if read_lines(path / "results.jsonl"):
        raise ValueError(f"run_dir {path} has results but no checkpoints/last.ckpt to continue: choose another folder")
    print(f"{path} has no checkpoint yet: its run starts from the beginning")
    cut_rows_after(path, -1.0)
    return RunFolder(path, is_new=False)


def check_continues(config: dict[str, Any], saved: dict[str, Any], checkpoint: Path) -> None:
    """Say what has changed since ``checkpoint``; ValueError where its weights would mean something else.

    The run's seed, every class and the arguments of every network must stay; rates, penalties, budgets, batch size,
    callbacks, trainer and loggers may change.
    """

    def value(tree: Any, key: str) -> Any:
        for part in key.split("."):
            tree = tree.get(part) if isinstance(tree, dict) else None
        return tree

    # Also those inside lists, which have no dotted keys.
    ours = {path: call["_target_"] for path, call in constructor_calls(parts_of(config))}
    for path, call in constructor_calls(parts_of(saved)):
        if ours.get(path) != call["_target_"]:
            raise ValueError(
                f"{checkpoint} was trained with {path}._target_ = {call['_target_']!r}, not {ours.get(path)!r}: give the "
                "old setting, or start a new run"
            )
    networks = tuple(
        f"method.{path}."
        for path, call in constructor_calls(saved["method"])
        if path and not str(call["_target_"]).startswith("torch.optim.")
    )
    keys = sorted({*dotted_keys(parts_of(config)), *dotted_keys(parts_of(saved))})
    for key in keys:
        old, new = value(saved, key), value(config, key)
        if old == new or isinstance(new, dict):
            continue
        if key == "seed" or key.endswith("_target_") or key.startswith(networks):
            raise ValueError(
                f"{checkpoint} was trained with {key} = {old!r}, not {new!r}: give the old setting, or start a new run"
            )
        print(f"continues with {key} = {new!r} (was {old!r})")


def parts_of(config: dict[str, Any]) -> dict[str, Any]:
    """What decides about the weights of a run, of its configuration."""
    return {part: config[part] for part in ("seed", "method", "datamodule")}


def cut_rows_after(path: Path, kimg: float) -> None:
    """Drop what a run wrote after its checkpoint at ``kimg``: rows of the tables, pictures of samples."""
    metrics = path / "metrics.csv"
    if metrics.exists():
        header, *rows = list(csv.reader(lines_of(metrics)[0])) or [[]]
        column = header.index("progress/kimg") if "progress/kimg" in header else None
        kept = [row for row in rows if column is not None and len(row) == len(header) and float(row[column]) <= kimg]
        replace_text(metrics, "".join(",".join(row) + "\n" for row in ([header, *kept] if kept else [])))
    keep_results(path, lambda line: line.get("kimg", 0.0) <= kimg)
    for picture in (path / "samples").glob("kimg_*.png"):
        if float(picture.stem.split("_")[1]) > kimg:
            picture.unlink()


def save_config(path: Path, config: dict[str, Any]) -> None:
    path.mkdir(parents=True, exist_ok=True)
    replace_text(path / "config.yaml", yaml.safe_dump(config, sort_keys=False))
