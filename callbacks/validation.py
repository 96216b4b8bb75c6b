"""Measures on images that are neither trained nor tested on, while training goes on: when a method is as good as it gets."""

from __future__ import annotations

import torch
from lightning.pytorch import Trainer

from callbacks.measured import MeasuringInTraining
from datamodules.base import VALIDATION, ImageDataModule
from lightning_modules.base import Method


class Validation(MeasuringInTraining):
    """Every ``every_kimg`` (0: never) what ``test_step`` measures, on the split ``validation``: ``validation_<measure>``.

    ValueError at the start of a run whose data have no such split, or whose method measures nothing in a test.
    """

    def whole_names(self, trainer: Trainer, method: Method) -> dict[str, str]:
        return {measure: validation_name(measure) for measure in method.directions()} if self.every_kimg else {}

    def on_fit_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        if not self.every_kimg:
            return
        datamodule: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
        if VALIDATION not in datamodule.splits:
            raise ValueError(
                f"callbacks.validation measures on images that are held out, and {datamodule.name} holds out none: give "
                "+datamodule.num_validation=120 where it has one, or callbacks.validation.every_kimg=0"
            )
        if not method.test_tasks():
            raise ValueError(
                f"{type(method).__name__} measures nothing in a test: leave out callbacks.validation.every_kimg"
            )

    def measure(self, trainer: Trainer, method: Method) -> None:
        if not self.every_kimg:
            return
        datamodule: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
        method.eval()
        method.on_test_start()
        with torch.no_grad():
            for number, batch in enumerate(datamodule.evaluation_batches(VALIDATION)):
                method.test_step(trainer.strategy.batch_to_device(batch), number)
            results = method.test_results()
        method.train()
        for values in results.values():
            self.log_measures(trainer, method, values, names={name: validation_name(name) for name in values})


def validation_name(measure: str) -> str:
    return f"validation_{measure}"
