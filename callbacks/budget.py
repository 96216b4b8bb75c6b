"""When a run ends: after its images, or at the first value that is not a number."""

from __future__ import annotations

import math
from typing import Any

from lightning.pytorch import Callback, Trainer

from lightning_modules.base import Method


class ImageBudget(Callback):
    """Stops after ``max_kimg`` thousand images, counted over all ranks and all resumptions."""

    def __init__(self, *, max_kimg: float) -> None:
        if max_kimg <= 0:
            raise ValueError(f"max_kimg must be positive, got {max_kimg}")
        self.max_images = round(max_kimg * 1000)

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        trainer.should_stop = trainer.should_stop or method.images_seen >= self.max_images


class NonFiniteError(ValueError):
    """A loss, penalty or score is NaN or infinite: the weights are lost, the last checkpoint is not."""


class NonFiniteGuard(Callback):
    """Ends the run on all ranks at the first recorded value that is NaN or infinite, before anything is saved.

    Stands first among the callbacks, so that neither a checkpoint nor an average is written from bad weights.
    """

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        bad = {name: float(value) for name, value in method.losses.items() if not math.isfinite(float(value))}
        if trainer.world_size > 1 and trainer.strategy.reduce_boolean_decision(not bad, all=True) is False:
            bad = bad or {"a loss on another rank": math.nan}
        if bad:
            names = ", ".join(f"{name} = {value}" for name, value in bad.items())
            step = round(method.images_seen / (method.images_seen - method.images_seen_before))
            raise NonFiniteError(
                f"{names} at step {step} ({method.images_seen / 1000:g} kimg): lower the learning rates or raise the "
                "penalty, then start again; with resume=auto the last checkpoint goes on"
            )
