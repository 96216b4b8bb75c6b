"""Weights & Biases as a view of a run."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from lightning.pytorch.loggers import WandbLogger

from callbacks.csv_log import CLOCK


def wandb_log(*, run_dir: str, project: str, name: str) -> WandbLogger:
    """A W&B logger with its files in the run folder; offline unless the environment variable WANDB_API_KEY is set.

    All values are drawn over ``progress/kimg``. Methods and callbacks import the package wandb nowhere else.
    """
    folder = Path(run_dir) / "wandb"
    folder.mkdir(parents=True, exist_ok=True)
    logger = WandbLogger(
        project=project,
        name=name,
        save_dir=run_dir,
        id=hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:12],  # a resumed run stays one run
        resume="allow",
        offline=not os.environ.get("WANDB_API_KEY"),
    )
    logger.experiment.define_metric("*", step_metric=CLOCK)
    return logger
