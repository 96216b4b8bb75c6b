"""The last and the best state of a run on disk, and what is left of its randomness."""

from __future__ import annotations

import math
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from callbacks.generation_metrics import GenerationMetrics
from generative.generators import generator_states, restore_generators
from generative.ranks import from_all_ranks
from lightning_modules.base import Method
from metrics.quality import LOWER_IS_BETTER


def find_metric(name: str, measured: Mapping[str, str]) -> str:
    """The metric that ``name`` means: ``fd`` of ``fd``, ``fd_pixels_1438`` or ``metric/fd_pixels_1438``.

    ``measured``: each metric of the run with its whole name. ValueError, with the nearest name, where there is no such one.
    """
    asked = name.removeprefix("metric/")
    for metric, whole in measured.items():
        if asked in (metric, whole):
            return metric
    if not measured:
        raise ValueError(
            f"callbacks.checkpoints.best is {name!r}, but this run measures nothing while it trains: leave it out "
            "(callbacks.checkpoints.best=null)"
        )
    near = get_close_matches(asked, [*measured, *measured.values()], n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    known = ", ".join(f"{metric} (metric/{whole})" for metric, whole in measured.items())
    raise ValueError(
        f"callbacks.checkpoints.best is {name!r}, which this run does not measure; {hint}Measured are {known}, as "
        "callbacks.metrics.metrics says"
    )


class Checkpoints(Callback):
    """Saves ``checkpoints/last.ckpt`` every ``every_kimg`` and at the end, ``best.ckpt`` when ``best`` improves.

    ``best`` names a metric that is measured during training, in short (``fd``) or as it is logged
    (``metric/fd_pixels_1438``); none, no best. One that is not measured is refused before the first step. Writing is
    atomic, and the last checkpoint but one is kept, where the trainer has
    :class:`launch.checkpoint.AtomicCheckpointIO`. All ranks take part: the states of every rank's generators are saved.
    """

    def __init__(self, *, run_dir: str, every_kimg: float, best: str | None = None) -> None:
        self.folder = Path(run_dir) / "checkpoints"
        self.every_kimg = every_kimg
        self.best = best
        self.best_column: str | None = None  # of the logs, once the run has begun
        self.metrics: GenerationMetrics | None = None  # who measures it
        self.sign = 1.0  # of a value of that column, so that lower is better
        self.best_value = math.inf  # with that sign
        self.best_value_of: str | None = None  # the column that it was measured in, as loaded
        self.saved_images = -1  # the clock at the last save of last.ckpt
        self.generators: list[dict[str, Any]] | None = None  # of the ranks, as loaded

    def on_fit_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        if self.best is None:
            return
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        self.metrics = next((each for each in callbacks if isinstance(each, GenerationMetrics)), None)
        measured = {} if self.metrics is None else self.metrics.whole_names(trainer, method)
        metric = find_metric(self.best, measured)
        self.best_column = f"metric/{measured[metric]}"
        self.sign = 1.0 if metric in LOWER_IS_BETTER else -1.0

    def on_train_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        # The best of another folder, by another metric or of what does not compare with it is no best here.
        is_of_this = (self.folder / "best.ckpt").exists() and self.best_value_of in (None, self.best_column)
        is_compared = self.metrics is not None and str(self.best_column).removeprefix("metric/") in self.metrics.best
        if not is_of_this or not is_compared:
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
        if self.best_column is None or not method.metrics:
            return
        value = self.sign * method.metrics[self.best_column]
        if value < self.best_value:
            self.best_value = value
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
        return {"best_value": self.best_value, "best_value_of": self.best_column}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_value = state_dict["best_value"]
        self.best_value_of = state_dict.get("best_value_of")  # None: of a checkpoint that did not say it
