"""What a method measured of itself on the test split, published as the results of generators are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from callbacks.generation_metrics import real_images
from callbacks.measured import Measuring, direction_of
from datamodules.base import ImageDataModule
from lightning_modules.base import Method
from records.environment import environment
from records.results import TEST_STAGE, settings_hash
from records.run_files import append_line, read_metrics


def test_record(
    method: Method, datamodule: ImageDataModule, task: str, values: dict[str, float], *, stage: str, checkpoint: str
) -> dict[str, Any]:
    """The result record of what a method measured of itself on the test split of its data module."""
    return {
        "protocol": {
            "task": task,
            "data": f"{datamodule.name}:test",
            "data_hash": real_images(datamodule, "test").fingerprint(),
            "image_shape": list(method.image_shape),
            "weights": "averaged",
        },
        "num_images": len(datamodule.split("test")[1]),
        "metrics": values,
        "experiment": method.run_config["experiment_name"],
        "kimg": method.images_seen / 1000,
        "budget_kimg": method.run_config["max_kimg"],
        "train_seed": method.seed,
        "settings_hash": settings_hash(method.run_config),
        "stage": stage,
        "checkpoint": checkpoint,
        "environment": environment(method.device.type),
    }


class TestResults(Measuring):
    """Appends ``test_results()`` of a method that has any to ``run_dir/results.jsonl`` at the end of the test stage, and logs them.

    The values are those of the averaged weights on every image of the test split, once each; the best of each is that of
    all the test stages that the run has logged.
    """

    __test__ = False  # not a test, whatever its name looks like

    def __init__(self, *, run_dir: str) -> None:
        super().__init__()
        self.results = Path(run_dir) / "results.jsonl"

    def on_test_epoch_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        results = method.test_results()  # all ranks: they add up their counts
        if not results:
            return
        datamodule: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
        for task, values in results.items():
            if trainer.is_global_zero:
                self.take_up(method, values)
            self.log_measures(trainer, method, values, names={measure: measure for measure in values})
            if trainer.is_global_zero:
                record = test_record(method, datamodule, task, values, stage=TEST_STAGE, checkpoint="last.ckpt")
                append_line(self.results, record)
        trainer.strategy.barrier("test results")

    def take_up(self, method: Method, values: dict[str, float]) -> None:
        """Begin with the best of what the run has logged of ``values``: no checkpoint counts a test stage."""
        for row in read_metrics(self.results.with_name("metrics.csv")):
            for measure in values:
                if f"metric/{measure}" in row:
                    self.move_best(measure, row[f"metric/{measure}"], direction_of(measure, method))
