"""The last and the best state of a run on disk, and what is left of its randomness."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from generative.generators import generator_states, restore_generators
from generative.ranks import from_all_ranks
from lightning_modules.base import Method


class Checkpoints(Callback):
    """Saves ``checkpoints/last.ckpt`` every ``every_kimg`` and at the end, ``best.ckpt`` when ``best`` improves.

    ``best`` names a logged metric that is better when lower, such as ``metric/fd_pixels_1438``; none, no best.
    Writing is atomic, and the last checkpoint but one is kept, where the trainer has
    :class:`launch.checkpoint.AtomicCheckpointIO`. All ranks take part: the states of every rank's generators are saved.
    """

    def __init__(self, *, run_dir: str, every_kimg: float, best: str | None = None) -> None:
        self.folder = Path(run_dir) / "checkpoints"
        self.every_kimg = every_kimg
        self.best = best
        self.best_value = math.inf
        self.saved_images = -1  # the clock at the last save of last.ckpt
        self.generators: list[dict[str, Any]] | None = None  # of the ranks, as loaded

    def on_train_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        if not (self.folder / "best.ckpt").exists():  # continued in a new folder: the best of another is no best here
            self.best_value = math.inf
        if self.generators is None:
            return
        if len(self.generators) == trainer.world_size:
            restore_generators(self.generators[trainer.global_rank], method.device)
        elif trainer.is_global_zero:
            print(
                f"continues on {trainer.world_size} ranks (was {len(self.generators)}): the global random generators start "
                "anew; data, latents and augmentation go on as they were"
            )
        self.generators = None

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
        # After the last step it is saved with what is measured at the end: a run killed between would miss that.
        if method.crossed(self.every_kimg) and not trainer.should_stop:
            self.save_last(trainer, method)

    def on_train_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        self.save_best(trainer, method)
        self.save_last(trainer, method)

    def save_last(self, trainer: Trainer, method: Method) -> None:
        self.save(trainer, "last.ckpt")
        self.saved_images = method.images_seen

    def save(self, trainer: Trainer, name: str) -> None:
        for logger in trainer.loggers:
            logger.save()  # the tables are written before the checkpoint that counts their rows
        trainer.save_checkpoint(self.folder / name)

    def on_save_checkpoint(self, trainer: Trainer, method: Method, checkpoint: dict[str, Any]) -> None:  # type: ignore[override]
        checkpoint["generators"] = from_all_ranks(generator_states(method.device))
        checkpoint["dashboards"] = {type(logger).__name__: str(logger.version) for logger in trainer.loggers}

    def on_load_checkpoint(self, trainer: Trainer, method: Method, checkpoint: dict[str, Any]) -> None:  # type: ignore[override]
        self.generators = checkpoint.get("generators")

    def state_dict(self) -> dict[str, Any]:
        return {"best_value": self.best_value}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_value = state_dict["best_value"]
