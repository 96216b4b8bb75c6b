"""The last and the best state of a run on disk."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from lightning_modules.base import Method


class Checkpoints(Callback):
    """Saves ``checkpoints/last.ckpt`` every ``every_kimg`` and at the end, ``best.ckpt`` when ``best`` improves.

    ``best`` names a logged metric that is better when lower, such as ``metric/fd_pixels_1438``; none, no best.
    Writing is atomic where the trainer has :class:`launch.checkpoint.AtomicCheckpointIO`.
    """

    def __init__(self, *, run_dir: str, every_kimg: float, best: str | None = None) -> None:
        self.folder = Path(run_dir) / "checkpoints"
        self.every_kimg = every_kimg
        self.best = best
        self.best_value = math.inf

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        value = method.metrics.get(self.best, math.inf) if self.best else math.inf
        if value < self.best_value:
            self.best_value = value
            self.save(trainer, "best.ckpt")
        if method.crossed(self.every_kimg):
            self.save(trainer, "last.ckpt")

    def on_train_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        self.save(trainer, "last.ckpt")

    def save(self, trainer: Trainer, name: str) -> None:
        for logger in trainer.loggers:
            logger.save()  # the tables reach the disk before the checkpoint that counts their rows
        trainer.save_checkpoint(self.folder / name)

    def state_dict(self) -> dict[str, Any]:
        return {"best_value": self.best_value}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_value = state_dict["best_value"]
