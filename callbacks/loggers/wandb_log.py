"""Weights & Biases as a view of a run, while it trains or later, from its folder.

python -m callbacks.loggers.wandb_log runs/a runs/b             push finished, unfinished or offline runs
python -m callbacks.loggers.wandb_log runs/a --offline          write what would be pushed, for `wandb sync`
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Before the imports, which take seconds.
    print("callbacks.loggers.wandb_log: starting", file=sys.stderr, flush=True)

import argparse
import os
import pickle
import secrets
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from PIL import Image

from records.run_files import CLOCK, grid_facts, read_lines, read_metrics

if TYPE_CHECKING:
    from wandb import Run

PROJECT = "polymorph"
FINISH_SECONDS = 300  # that the end of a run waits for its uploads


def saved_id(checkpoints: Path) -> str | None:
    """The id that the newest readable checkpoint of a folder keeps; None where there is none."""
    for path in sorted(checkpoints.glob("*.ckpt"), key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
            continue
        return checkpoint.get("dashboards", {}).get(WandbLog.__name__)
    return None


def run_id(run_dir: Path) -> str:
    """The run's name on W&B: made once, kept in ``run_dir/wandb_id`` and in its checkpoints, so it moves with them."""
    path = run_dir / "wandb_id"
    if not path.exists():
        run_dir.mkdir(parents=True, exist_ok=True)
        path.write_text((saved_id(run_dir / "checkpoints") or secrets.token_hex(6)) + "\n")
    return path.read_text().strip()


def start_run(run_dir: Path, *, project: str, group: str, mode: str, **settings: Any) -> Run:
    """Start the run, or go on with the one of its id; all of W&B's files lie in ``run_dir/wandb``."""
    folder = run_dir.absolute() / "wandb"
    folder.mkdir(parents=True, exist_ok=True)  # W&B would take a temporary folder instead
    for variable in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR"):  # home folders have quotas
        os.environ.setdefault(variable, str(folder / "cache"))
    import wandb

    run = wandb.init(
        project=project,
        group=group,
        name=run_dir.absolute().name,
        id=run_id(run_dir),
        dir=str(run_dir.absolute()),
        resume="allow",
        reinit="create_new",  # a run before this one in the process is another one
        mode=mode,  # type: ignore[arg-type]
        settings=wandb.Settings(finish_timeout=FINISH_SECONDS, **settings),
    )
    run.define_metric("*", step_metric=CLOCK)
    return run


class WandbLog(Logger):
    """Offline unless WANDB_API_KEY is set; WANDB_MODE decides where it is set.

    W&B's own step is the number of images seen: values of one clock are one row of its history, drawn over
    ``progress/kimg``. A resumed run goes on under its id, and rows that it logs again (between its last checkpoint and
    where it stopped) are left out by the server. A dashboard never ends or holds up a training: without network or
    with a bad key the run goes on offline, and without W&B where that fails too; it can be pushed later.
    """

    def __init__(self, *, run_dir: str, project: str, group: str, init_timeout_seconds: float = 60.0) -> None:
        super().__init__()
        self.run_dir = Path(run_dir)
        self.project, self.group = project, group
        self.init_timeout_seconds = init_timeout_seconds
        self.run: Run | None = None
        self.has_failed = False

    @property
    def name(self) -> str:
        return self.project

    @property
    def version(self) -> str:
        return self.run.id if self.run is not None else ""

    @property
    def experiment(self) -> Run | None:
        """The W&B run, started when first asked for; None on ranks but the first, and where W&B failed."""
        if self.run is None and not self.has_failed and rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            self.start()
        return self.run

    def start(self) -> None:
        mode = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
        try:
            self.run = start_run(
                self.run_dir,
                project=self.project,
                group=self.group,
                mode=mode,
                init_timeout=self.init_timeout_seconds,
                login_timeout=self.init_timeout_seconds,
            )
        except Exception as error:  # of many kinds, and none is worth a training
            if mode == "offline":
                self.fail(error)
                return
            reason = str(error).splitlines()[0]
            print(f"W&B cannot be reached ({reason}): this run goes on offline, {self.remedy()}", file=sys.stderr)
            self.start_offline()

    def start_offline(self) -> None:
        import wandb

        try:
            wandb.teardown(exit_code=1)  # its service would hold the id
            self.run = start_run(self.run_dir, project=self.project, group=self.group, mode="offline")
        except Exception as error:
            self.fail(error)

    def remedy(self) -> str:
        return f"push it later with `python -m callbacks.loggers.wandb_log {self.run_dir}`"

    def fail(self, error: Exception) -> None:
        self.run, self.has_failed = None, True
        print(
            f"W&B failed ({error or type(error).__name__}): this run goes on without, {self.remedy()}", file=sys.stderr
        )

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The whole configuration, nested."""
        if self.experiment is not None:
            self.experiment.config.update(params, allow_val_change=True)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Values, and ``progress/kimg`` with them, at ``step`` images."""
        if self.experiment is None:
            return
        try:
            self.experiment.log(metrics, step=step)
        except Exception as error:  # its service was killed, its disk is full
            self.fail(error)

    @rank_zero_only
    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
        """Pictures of PIL at ``step`` images; ``kwargs`` are lists, such as ``caption``."""
        import wandb

        facts = [{name: values[i] for name, values in kwargs.items()} for i in range(len(images))]
        pictures = [wandb.Image(image, **fact) for image, fact in zip(images, facts, strict=True)]
        self.log_metrics({CLOCK: (step or 0) / 1000, key: pictures}, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Comes after the training and after the test stage: W&B itself ends the run with the process."""
        if self.run is None:
            return
        results = read_lines(self.run_dir / "results.jsonl")
        try:
            if results:
                self.run.summary.update({"results": results})
            if status != "success":
                self.run.finish(exit_code=1)
                self.run, self.has_failed = None, True
        except Exception as error:
            self.fail(error)


def push(run_dir: Path, *, project: str | None, mode: str) -> str:
    """Rebuild the W&B run of a folder from its files; returns its address, or the folder of an offline run.

    Rows up to the last one that the server has stay as they are there; later ones are appended.
    """
    if not (run_dir / "config.yaml").is_file():
        raise ValueError(f"{run_dir} is no run folder: it has no config.yaml")
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    project = project or config["logger"].get("wandb", {}).get("project", PROJECT)
    log = WandbLog(run_dir=str(run_dir), project=project, group=config["experiment_name"])
    log.run = run = start_run(
        run_dir, project=project, group=log.group, mode=mode, console="off", x_disable_stats=True, silent=True
    )
    log.log_hyperparams(config)
    steps: dict[int, tuple[dict[str, float], list[Path]]] = {}
    for row in read_metrics(run_dir / "metrics.csv"):
        steps.setdefault(round(1000 * row[CLOCK]), ({}, []))[0].update(row)
    for path in sorted((run_dir / "samples").glob("kimg_*.png")):
        steps.setdefault(round(1000 * grid_facts(path)[0]), ({}, []))[1].append(path)
    for step in sorted(step for step in steps if step >= run.starting_step):
        row, pictures = steps[step]
        log.log_metrics(row, step)
        for path in pictures:
            kimg, size = grid_facts(path)
            with Image.open(path) as picture:
                log.log_image(f"samples/{size}", [picture], step, caption=[f"{kimg:g} kimg"])
    log.finalize("success")
    if log.run is None:
        raise OSError(f"{run_dir} was pushed in part only: the same command goes on")
    address, folder = run.url, Path(run.dir).parent
    run.finish()
    return address or str(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=Path, nargs="+")
    parser.add_argument("--offline", action="store_true", help="only write; `wandb sync` pushes what is written")
    parser.add_argument("--project", help=f"default: the run's own, or {PROJECT}")
    given = parser.parse_args()
    for run_dir in given.run_dir:
        try:
            print(push(run_dir, project=given.project, mode="offline" if given.offline else "online"))
        except Exception as error:  # W&B's are of many kinds
            if os.environ.get("POLYMORPH_TRACEBACK") == "1":
                raise
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            sys.exit(2)


if __name__ == "__main__":
    main()
