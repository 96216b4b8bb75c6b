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

    def on_train_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        if not (self.folder / "best.ckpt").exists():  # continued in a new folder: the best of another is no best here
            self.best_value = math.inf

    def save_best(self, trainer: Trainer, method: Method) -> None:
        if self.best is None or not method.metrics:
            return
        if self.best not in method.metrics:
            raise ValueError(
                f"callbacks.checkpoints.best is {self.best!r}, but measured are {', '.join(sorted(method.metrics))}"
            )
        if method.metrics[self.best] < self.best_value:
            self.best_value = method.metrics[self.best]
            self.save(trainer, "best.ckpt")

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        self.save_best(trainer, method)
        if method.crossed(self.every_kimg):
            self.save(trainer, "last.ckpt")

    def on_train_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        self.save_best(trainer, method)
        self.save(trainer, "last.ckpt")

    def save(self, trainer: Trainer, name: str) -> None:
        for logger in trainer.loggers:
            logger.save()  # the tables are written before the checkpoint that counts their rows
        trainer.save_checkpoint(self.folder / name)

    def on_save_checkpoint(self, trainer: Trainer, method: Method, checkpoint: dict[str, Any]) -> None:  # type: ignore[override]
        checkpoint["dashboards"] = {type(logger).__name__: str(logger.version) for logger in trainer.loggers}

    def state_dict(self) -> dict[str, Any]:
        return {"best_value": self.best_value}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_value = state_dict["best_value"]
