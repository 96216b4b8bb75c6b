"""How many images the metrics of a training and of its test stage look at, by which extractor."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace

import pytest

import metrics.image_sets as image_sets
from callbacks.generation_metrics import GenerationMetrics
from datamodules.digits import Digits
from generative.rendering.images import fingerprint
from lightning_modules.base import Draws
from metrics.splits import real_images
from records.run_files import read_metrics


def test_counts_of_the_training_and_of_its_test(small_run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """An extractor that states where its features come from makes each evaluation ask for the images' hash."""
    taken = []
    monkeypatch.setattr(image_sets, "fingerprint", lambda images: taken.append(len(images)) or fingerprint(images))
    folder, _ = small_run(
        "max_kimg=0.032", "callbacks.metrics.every_kimg=0.016", "callbacks.metrics.extractor=efficientnet_lite0",
        "callbacks.metrics.num_images=6", "callbacks.metrics.num_reference=5",
        "callbacks.metrics.test_num_images=8", "callbacks.metrics.test_num_reference=7",
        "callbacks.metrics.metrics=[kid]", "callbacks.metrics.test_metrics=[fd]",
        "callbacks.metrics.cache=null",
    )  # fmt: skip
    rows = [row for row in read_metrics(folder / "metrics.csv") if "metric/kid_efficientnet_lite0_8px_6" in row]
    assert len(rows) == 2
    (line,) = (folder / "results.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert (record["num_images"], record["num_reference"]) == (8, 7)
    assert record["names"] == ["fd_efficientnet_lite0_8px_8"]
    assert record["protocol"]["reference"] == "digits:all (7 of 1797)"
    assert sorted(taken) == [1438, 1797], "once for each set, whatever the number of evaluations"


def test_a_count_that_the_data_do_not_have_is_told_at_the_start(small_run: Callable) -> None:
    for setting, split in (("num_reference", "train has 1438"), ("test_num_reference", "all has 1797")):
        with pytest.raises(ValueError, match=f"digits:{split} images: 9999 of them cannot be chosen"):
            small_run(f"callbacks.metrics.{setting}=9999", "max_kimg=0.016")
    with pytest.raises(ValueError, match="test_num_images must be at least 2, got 1"):
        GenerationMetrics(run_dir="run", every_kimg=1, metrics=["fd"], test_metrics=["fd"], test_num_images=1)


@pytest.mark.parametrize(("side", "name"), [(32, "pixels"), (64, "efficientnet_lite0")])
def test_large_images_are_measured_by_a_network(side: int, name: str) -> None:
    class Large(Draws):
        pass

    Large.__abstractmethods__ = frozenset()
    measuring = GenerationMetrics(run_dir="run", every_kimg=1, metrics=["fd"], test_metrics=["fd"])
    measuring.setup(SimpleNamespace(datamodule=None), Large(image_shape=(3, side, side), num_classes=0, seed=0), "fit")  # type: ignore[arg-type]
    assert measuring.extractor is not None
    assert measuring.extractor.name == name


def test_sets_of_a_data_module_are_made_once() -> None:
    one, other = (Digits(batch_size=4, seed=0) for _ in range(2))
    assert real_images(one, "train") is real_images(one, "train")
    assert real_images(one, "train") is not real_images(other, "train")
    assert len(real_images(one, "all")) == 1797
    assert real_images(one, "all").fingerprint() == "8c3a8546887f", "as published results state"
