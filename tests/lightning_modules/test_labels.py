"""Which classes an evaluation asks a generator for: those of the data by default, every class as often by choice."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from callbacks.generation_metrics import GenerationMetrics
from datamodules.arrays import Arrays
from lightning_modules.base import Draws
from lightning_modules.labels import labels_to_follow
from metrics.evaluation import Instruments
from metrics.features import Pixels
from metrics.protocols import check_comparable
from metrics.samples import DrawnImages
from metrics.splits import real_images
from records.results import Drawing, Origin, published_result

SHARES = {0: 70, 2: 20, 5: 10}  # of six classes: the data have none of 1, 3 and 4
TRAIN = torch.cat([torch.full((count,), label) for label, count in SHARES.items()])


class PaintsItsLabel(Draws):
    """Every pixel of an image is its class, on the scale of uint8 levels 10 apart."""

    def __init__(self, num_classes: int = 6) -> None:
        super().__init__(image_shape=(1, 2, 2), num_classes=num_classes, seed=0)
        self.run_config: dict[str, Any] = {"experiment_name": "none", "max_kimg": 1, "method": {}, "datamodule": {}}

    def sample(
        self, first: int, count: int, *, seed: int, labels: Tensor | None = None, image_size: int | None = None
    ) -> Tensor:
        labels = self.balanced_labels(first, count) if labels is None else self.check_labels(labels)
        shown = torch.arange(first, first + count) if labels is None else labels
        return (shown * 10 / 127.5 - 1)[:, None, None, None].expand(count, *self.image_shape)


def painted(labels: Tensor) -> Tensor:
    return (labels * 10).to(torch.uint8)[:, None, None, None].expand(len(labels), 1, 2, 2).contiguous()


def data() -> Arrays:
    part = (painted(TRAIN), TRAIN)
    return Arrays(train=part, test=part, num_classes=6, batch_size=10, seed=0)


def counts(labels: Tensor) -> dict[int, int]:
    values, times = labels.unique(return_counts=True)
    return dict(zip(values.tolist(), times.tolist(), strict=True))


def test_samples_have_exactly_the_shares_of_the_data() -> None:
    drawn = DrawnImages(PaintsItsLabel(), 100, seed=3, data_labels=TRAIN)
    labels = drawn.labels()
    assert labels is not None
    assert counts(labels) == SHARES
    assert (labels != TRAIN).any(), "not in the order of the data"
    assert torch.equal(drawn.images(0, 100), painted(labels)), "what is asked for is what is drawn"
    other = DrawnImages(PaintsItsLabel(), 100, seed=4, data_labels=TRAIN).labels()
    assert not torch.equal(labels, other), "another seed, another order"
    twice = DrawnImages(PaintsItsLabel(), 250, seed=3, data_labels=TRAIN).labels()
    assert torch.equal(twice[:100], labels)
    assert torch.equal(twice[100:200], labels)
    assert torch.equal(twice[200:], labels[:50]), "the label of an image is a function of its number and the seed"


def test_an_image_is_the_same_in_any_batch_and_so_on_any_rank() -> None:
    for data_labels in (TRAIN, None):
        drawn = DrawnImages(PaintsItsLabel(), 101, seed=3, data_labels=data_labels)
        in_parts = torch.cat([drawn.images(first, min(8, 101 - first)) for first in range(0, 101, 8)])
        assert torch.equal(in_parts, drawn.images(0, 101))


def test_balanced_is_class_k_mod_n_and_without_classes_there_is_nothing_to_ask() -> None:
    labels = DrawnImages(PaintsItsLabel(), 20, seed=3).labels()
    assert labels is not None
    assert labels.tolist() == [k % 6 for k in range(20)]
    unconditional = DrawnImages(PaintsItsLabel(num_classes=0), 5, seed=3, data_labels=TRAIN)
    assert unconditional.labels() is None
    assert unconditional.images(2, 3)[:, 0, 0, 0].tolist() == [20, 30, 40]
    assert labels_to_follow(PaintsItsLabel(num_classes=0), data(), "data") is None
    assert labels_to_follow(PaintsItsLabel(), data(), "balanced") is None
    assert torch.equal(labels_to_follow(PaintsItsLabel(), data(), "data"), TRAIN)
    with pytest.raises(ValueError, match="class 5 is out of range: this model has classes 0 to 4"):
        DrawnImages(PaintsItsLabel(num_classes=5), 10, seed=3, data_labels=TRAIN)


def result(choice: str, *, num_classes: int = 6) -> dict[str, Any]:
    method, datamodule = PaintsItsLabel(num_classes), data()
    return published_result(
        method,
        real_images(datamodule, "train"),
        Instruments(extractor=Pixels((1, 2, 2)), metrics=["fd"]),
        Drawing(seed=1, data_labels=labels_to_follow(method, datamodule, choice)),
        Origin(stage="test", checkpoint="last.ckpt"),
    )


def test_a_perfect_generator_of_uneven_classes_is_perfect_under_their_shares_alone() -> None:
    followed, balanced = result("data"), result("balanced")
    assert followed["metrics"]["fd"] == pytest.approx(0, abs=1e-6)
    assert balanced["metrics"]["fd"] > 0.05, "the data have other shares"


def test_the_protocol_says_which_and_a_mix_is_refused() -> None:
    followed, balanced = result("data"), result("balanced")
    assert followed["protocol"]["labels"] == "data"
    assert followed["protocol"]["samples"].startswith(
        "averaged weights, class of training image p(k mod N) for image k"
    )
    assert balanced["protocol"]["labels"] == "balanced"
    assert balanced["protocol"]["samples"] == "averaged weights, class k mod 6 for image k"
    assert result("data", num_classes=0)["protocol"]["labels"] == "none"
    with pytest.raises(ValueError, match="labels: 'data' against 'balanced'"):
        check_comparable([followed, balanced], ["a", "b"])


def test_missing_training_data_name_the_way_out(tmp_path: Path) -> None:
    class Missing(Arrays):
        def load(self, split: str) -> tuple[Tensor, Tensor]:
            raise ValueError("there is nothing in data/missing")

    missing = Missing(train=(painted(TRAIN), TRAIN), num_classes=6, batch_size=10, seed=0)
    missing.arrays.clear()
    with pytest.raises(ValueError, match="nothing in data/missing; labels=balanced does without them"):
        labels_to_follow(PaintsItsLabel(), missing, "data")
    with pytest.raises(ValueError, match="labels must be data or balanced, got 'even'"):
        labels_to_follow(PaintsItsLabel(), missing, "even")


def test_a_run_that_goes_on_under_other_labels_says_so_and_starts_its_best_anew(
    capsys: pytest.CaptureFixture[str],
) -> None:
    trainer: Any = SimpleNamespace(is_global_zero=True)

    def continued(before: dict[str, str], *, labels: str, num_classes: int = 6) -> tuple[dict[str, float], str]:
        callback = GenerationMetrics(run_dir="run", every_kimg=1, metrics=["fd"], test_metrics=["fd"], labels=labels)
        callback.load_state_dict({"best": {"fd": 1.0}, "measured_at": 5} | before)
        callback.on_train_start(trainer, PaintsItsLabel(num_classes))
        return callback.best, capsys.readouterr().out

    best, said = continued({}, labels="data")
    assert best == {}
    assert "continues with callbacks.metrics.labels = 'data' (was 'balanced')" in said
    assert continued({}, labels="balanced") == ({"fd": 1.0}, "")
    assert continued({"labels": "data"}, labels="data") == ({"fd": 1.0}, "")
    assert continued({}, labels="data", num_classes=0) == ({"fd": 1.0}, "")
