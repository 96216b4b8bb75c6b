"""What the end of the training adds to the weights, before they are shown, measured and saved for the last time."""

from __future__ import annotations

from lightning.pytorch import Callback, Trainer

from lightning_modules.base import Method


class Conclusion(Callback):
    """Lets a method conclude its training, by every rank, once its budget is met. Stands before all that show and measure.

    A run that goes on to a larger budget concludes again at its new end. ``best.ckpt`` of a state before the end is not
    concluded, nor is one that ``keep_every_kimg`` kept before it.
    """

    def on_train_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        method.conclude(trainer.datamodule)  # type: ignore[attr-defined]
