"""What is measured is logged by its direction, or not at all; who asks for it gets what was measured last."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch

from callbacks.generation_metrics import GenerationMetrics
from callbacks.loggers.csv_log import CsvLog
from callbacks.measured import Measuring, all_measured
from callbacks.test_results import TestResults
from lightning_modules.base import Method
from metrics.measures import Measures
from records.run_files import read_lines, read_metrics


class Heard(Method):
    """Its own measures beside no capability: how loud it is, how clear, and one that it says nothing about."""

    measures: ClassVar[Measures] = {"noise": "lower", "clearness": "higher"}

    def __init__(self) -> None:
        super().__init__(image_shape=(1, 8, 8), num_classes=0, seed=0)
        self.found: dict[str, float] = {}
        self.run_config: dict[str, Any] = {"experiment_name": "none", "max_kimg": 1, "method": {}, "datamodule": {}}

    def test_results(self) -> dict[str, dict[str, float]]:
        return {"hearing": self.found}


def trainer_with(*loggers: CsvLog, callbacks: tuple[Measuring, ...] = ()) -> Any:
    return SimpleNamespace(
        loggers=list(loggers),
        callbacks=list(callbacks),
        is_global_zero=True,
        strategy=SimpleNamespace(barrier=lambda name: None),
        datamodule=Few(),
    )


class Few:
    """As much of a data module as a record states."""

    name, num_classes = "few", 0

    def split(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(3, 1, 8, 8, dtype=torch.uint8), torch.zeros(3, dtype=torch.long)

    def known_fingerprint(self, split: str) -> str:
        return "0123456789ab"


def test_the_best_of_each_is_kept_in_the_direction_that_the_method_names(tmp_path: Path) -> None:
    log, measuring, method = CsvLog(run_dir=str(tmp_path)), Measuring(), Heard()
    names = {"noise": "noise_of_3", "clearness": "clearness_of_3"}
    trainer = trainer_with(log, callbacks=(measuring,))
    for images, value in ((1000, 0.5), (2000, 0.75), (3000, 0.25)):
        method.images_seen = images
        measuring.log_measures(trainer, method, {"noise": value, "clearness": value}, names=names)
    log.save()
    rows = read_metrics(log.path)
    assert [row["metric/noise_of_3"] for row in rows] == [0.5, 0.75, 0.25]
    assert [row["best/noise_of_3"] for row in rows] == [0.5, 0.5, 0.25]
    assert [row["best/clearness_of_3"] for row in rows] == [0.5, 0.75, 0.75]
    assert all_measured(trainer) == {"metric/noise_of_3": 0.25, "metric/clearness_of_3": 0.25}, "the last, not the best"


def test_a_measure_without_a_direction_is_not_logged(tmp_path: Path) -> None:
    log, measuring = CsvLog(run_dir=str(tmp_path)), Measuring()
    names = {"noise": "noise", "warmth": "warmth"}
    with pytest.raises(
        ValueError, match=r"Heard names no direction for the measure 'warmth'.*measures = \{'warmth': \"lower\"\}"
    ):
        measuring.log_measures(trainer_with(log), Heard(), {"noise": 1.0, "warmth": 1.0}, names=names)
    log.save()
    assert not log.path.exists(), "nor is what stands beside it"
    assert not measuring.measured


def test_the_best_of_a_test_stage_counts_those_that_the_run_has_logged(tmp_path: Path) -> None:
    """A run that went on to a larger budget is tested again: the table knows the earlier value, no checkpoint does."""
    for kimg, noise, clearness in ((1.0, 0.25, 0.75), (2.0, 0.5, 0.5)):
        log, method = CsvLog(run_dir=str(tmp_path)), Heard()
        method.images_seen, method.found = round(1000 * kimg), {"noise": noise, "clearness": clearness}
        TestResults(run_dir=str(tmp_path)).on_test_epoch_end(trainer_with(log), method)
        log.finalize("success")
    assert read_metrics(tmp_path / "metrics.csv")[-1] == {
        "progress/kimg": 2.0,
        "metric/noise": 0.5,
        "best/noise": 0.25,
        "metric/clearness": 0.5,
        "best/clearness": 0.75,
    }
    assert [line["metrics"]["noise"] for line in read_lines(tmp_path / "results.jsonl")] == [0.25, 0.5]


def test_a_test_stage_that_measures_without_a_direction_leaves_no_result(tmp_path: Path) -> None:
    method = Heard()
    method.found = {"warmth": 1.0}
    with pytest.raises(ValueError, match="no direction for the measure 'warmth'"):
        TestResults(run_dir=str(tmp_path)).on_test_epoch_end(trainer_with(CsvLog(run_dir=str(tmp_path))), method)
    assert not (tmp_path / "results.jsonl").exists()


def test_state_of_a_checkpoint_from_before_the_labels_were_stated_is_taken_up() -> None:
    metrics = GenerationMetrics(run_dir="run", every_kimg=1, metrics=["fd"], test_metrics=["fd"])
    metrics.load_state_dict({"best": {"fd_pixels_1438": 0.5}, "measured_at": 320})
    assert metrics.best == {"fd_pixels_1438": 0.5}
    assert (metrics.measured_at, metrics.labels_before) == (320, "balanced")
    assert metrics.state_dict() == {"best": {"fd_pixels_1438": 0.5}, "measured_at": 320, "labels": "data"}
