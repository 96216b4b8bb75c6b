"""What a method measured of itself on the test split, published as the results of generators are."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Trainer

from callbacks.measured import Measuring, direction_of
from datamodules.base import ImageDataModule
from lightning_modules.base import Method
from records.results import TEST_STAGE, Origin, test_record
from records.run_files import append_line, read_metrics


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
                record = test_record(method, datamodule, task, values, Origin(stage=TEST_STAGE, checkpoint="last.ckpt"))
                append_line(self.results, record)
        trainer.strategy.barrier("test results")

    def take_up(self, method: Method, values: dict[str, float]) -> None:
        """Begin with the best of what the run has logged of ``values``: no checkpoint counts a test stage."""
        for row in read_metrics(self.results.with_name("metrics.csv")):
            for measure in values:
                if f"metric/{measure}" in row:
                    self.move_best(measure, row[f"metric/{measure}"], direction_of(measure, method))
