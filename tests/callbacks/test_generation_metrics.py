"""Labels of samples, what judges are tested on, which way is better: laws of the numbers that a generator is given."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import callbacks.generation_metrics as module
from datamodules.digits import Digits
from lightning_modules.base import Draws
from metrics.evaluation import Instruments, evaluate
from metrics.features import Pixels
from metrics.image_sets import ImagesInMemory
from metrics.judge import PixelJudge
from metrics.measures import COMPANIONS, GENERATION, RECONSTRUCTION
from metrics.quality import METRICS, RECONSTRUCTION_METRICS
from metrics.samples import DrawnImages
from records.run_files import read_metrics

NUM_CLASSES = 5
LEVELS = torch.arange(NUM_CLASSES, dtype=torch.uint8) * 60  # the grey of each class
# Written out by hand: which of two values of a metric is the better one.
LOWER = {"fd", "sfd", "kid", "kid_error", "is_spread", "mae", "feature_distance"}
HIGHER = {
    *("precision", "recall", "density", "coverage", "authenticity", "is"),
    *("accuracy", "judge_accuracy", "tstr_accuracy", "psnr", "ssim"),
}


class DrawsItsLabel(Draws):
    """An image is as bright as its class says."""

    def __init__(self) -> None:
        super().__init__(image_shape=(1, 8, 8), num_classes=NUM_CLASSES, seed=0)

    def sample(
        self, first: int, count: int, *, seed: int, labels: Tensor | None = None, image_size: int | None = None
    ) -> Tensor:
        labels = self.balanced_labels(first, count) if labels is None else self.check_labels(labels)
        assert labels is not None
        assert len(labels) == count
        return (LEVELS[labels] / 127.5 - 1)[:, None, None, None].expand(count, 1, 8, 8)


def test_each_image_shows_the_class_that_its_label_names() -> None:
    drawn = DrawnImages(DrawsItsLabel(), 23, seed=4)
    labels = drawn.labels()
    assert labels is not None
    assert len(labels.unique()) == NUM_CLASSES, "else a shift of the labels would not be seen"
    for first, count in ((0, 23), (0, 7), (7, 7), (22, 1)):  # whatever the batches
        shown = drawn.images(first, count)
        assert torch.equal(shown[:, 0, 0, 0], LEVELS[labels[first : first + count]])


def test_a_generator_that_draws_its_label_is_always_right() -> None:
    labels = torch.arange(40) % NUM_CLASSES
    real = ImagesInMemory("real", LEVELS[labels][:, None, None, None].expand(40, 1, 8, 8).contiguous(), labels)
    assert real.known_labels is not None
    judge = PixelJudge(real.tensor, real.known_labels, data=real.name)
    drawn = DrawnImages(DrawsItsLabel(), 23, seed=4)
    asked = ["accuracy", "tstr_accuracy"]
    instruments = Instruments(extractor=Pixels((1, 8, 8)), metrics=asked, judge=judge, test=real)
    values = evaluate(drawn, real, instruments)
    assert values == {"accuracy": 1.0, "judge_accuracy": 1.0, "tstr_accuracy": 1.0}


def test_the_judge_learns_from_training_images_and_is_tested_on_the_others(
    small_run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test images under wrong labels: a judge that knows the digits is right about none of them."""
    load = Digits.load

    def wrong_in_test(self: Digits, split: str) -> tuple[Tensor, Tensor]:
        images, labels = load(self, split)
        return images, (labels + 1) % 10 if split == "test" else labels

    monkeypatch.setattr(Digits, "load", wrong_in_test)
    folder, _ = small_run(
        "max_kimg=0.032",
        "callbacks.metrics.metrics=[accuracy]",
        "callbacks.metrics.test_metrics=[accuracy]",
    )
    rows = read_metrics(folder / "metrics.csv")
    (during,) = (value for row in rows for name, value in row.items() if name.startswith("metric/judge_accuracy"))
    (line,) = (folder / "results.jsonl").read_text().splitlines()
    assert during < 0.05
    assert json.loads(line)["metrics"]["judge_accuracy"] < 0.05


def test_the_best_value_is_the_highest_of_what_is_good_and_the_lowest_of_what_is_bad(
    small_run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {*METRICS, *COMPANIONS} == LOWER | HIGHER, "a new metric says here which way is better"
    assert {*METRICS} == {*GENERATION, *RECONSTRUCTION}, "what has a direction is computed, and the other way round"
    planted = iter((0.5, 0.75, 0.25))

    def measured(*_: Any, **__: Any) -> dict[str, float]:
        value = next(planted)
        return {name: value for name in (*METRICS, *COMPANIONS) if name not in RECONSTRUCTION_METRICS}

    monkeypatch.setattr(module, "evaluate", measured)
    folder, _ = small_run(
        "max_kimg=0.048", "callbacks.metrics.every_kimg=0.016", "callbacks.metrics.test_metrics=[precision]"
    )
    rows = [row for row in read_metrics(folder / "metrics.csv") if any(name.startswith("metric/") for name in row)]
    best = {name: [row[name] for row in rows] for name in rows[0] if name.startswith("best/")}
    expected = {"lower": [0.5, 0.5, 0.25], "higher": [0.5, 0.75, 0.75]}
    for name in (*LOWER, *HIGHER):
        if name not in RECONSTRUCTION_METRICS:
            assert best.pop(f"best/{name}_pixels_1438") == expected["lower" if name in LOWER else "higher"], name
    assert not best
