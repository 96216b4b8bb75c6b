"""What a method measured of itself on the test split, published as the results of generators are."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Callback, Trainer

from callbacks.loss_log import log
from datamodules.base import ImageDataModule
from lightning_modules.base import Method
from records.results import TEST_STAGE, Origin, test_record
from records.run_files import append_line, read_metrics

LOWER_IS_BETTER = ("cross_entropy",)


def with_best(values: dict[str, float], rows: list[dict[str, float]]) -> dict[str, float]:
    """``metric/<name>`` of ``values``, and ``best/<name>`` of them and of the ``rows`` that the run has logged."""
    found: dict[str, float] = {}
    for name, value in values.items():
        earlier = [row[f"metric/{name}"] for row in rows if f"metric/{name}" in row]
        better = min if name in LOWER_IS_BETTER else max
        found |= {f"metric/{name}": value, f"best/{name}": better([*earlier, value])}
    return found


class TestResults(Callback):
    """Appends ``test_results()`` of a method that has any to ``run_dir/results.jsonl`` at the end of the test stage, and logs them.

    The values are those of the averaged weights on every image of the test split, once each.
    """

    __test__ = False  # not a test, whatever its name looks like

    def __init__(self, *, run_dir: str) -> None:
        self.results = Path(run_dir) / "results.jsonl"

    def on_test_epoch_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        results = method.test_results()  # all ranks: they add up their counts
        if not results:
            return
        datamodule: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
        for task, values in results.items():
            method.metrics |= {f"metric/{name}": value for name, value in values.items()}
            if trainer.is_global_zero:
                record = test_record(method, datamodule, task, values, Origin(stage=TEST_STAGE, checkpoint="last.ckpt"))
                append_line(self.results, record)
                log(trainer, method, with_best(values, read_metrics(self.results.with_name("metrics.csv"))))
        trainer.strategy.barrier("test results")
