"""How good the samples are, while training and at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer

from callbacks.loggers.entries import log_values
from callbacks.measured import MeasuringInTraining
from datamodules.base import ImageDataModule
from lightning_modules.base import Draws, Method
from lightning_modules.labels import check_labels_setting, labels_to_follow
from metrics.evaluation import Instruments, Work, evaluate
from metrics.features import Extractor, default_extractor, make_extractor
from metrics.image_sets import random_part
from metrics.judge import PixelJudge, can_judge
from metrics.protocols import check_judge, whole_names
from metrics.quality import CLASS_METRICS, COMPARISONS, GenerationQuality, check_metrics
from metrics.samples import DrawnImages, check_generated
from metrics.splits import pixel_judge, real_images
from records.results import TEST_STAGE, Drawing, Origin, published_result
from records.run_files import append_line


def check_counts(**counts: int | None) -> None:
    """ValueError for a number of images, by its name, that no statistics can be made of."""
    for name, count in counts.items():
        if count is not None and count < 2:
            raise ValueError(f"{name} must be at least 2, got {count}")


class GenerationMetrics(MeasuringInTraining):
    """Logs ``metric/<name>`` and ``best/<name>`` every ``every_kimg`` and at the end of training, against the training split.

    ``extractor`` (None: by the images' size), its ``weights`` file and ``labels`` are those of evaluate.py. The samples are
    fixed by ``seed``, so values of one run differ by the weights alone. ``num_reference`` real images are chosen by a fixed
    seed, None: all; ``num_images`` samples are drawn, None: as many as there are real images. The test stage measures
    ``test_metrics`` on samples of another seed against all the data, or ``test_num_images`` against
    ``test_num_reference``, and appends the result to ``run_dir/results.jsonl``, as ``evaluate.py checkpoint=...`` does.
    Ranks share the samples and the real images; ``cache`` is a folder for the statistics of the latter. An empty list of
    metrics: nothing is measured.
    """

    def __init__(
        self,
        *,
        run_dir: str,
        every_kimg: float,
        metrics: list[str],
        test_metrics: list[str],
        extractor: str | None = None,
        weights: str | None = None,
        cache: str | None = None,
        num_images: int | None = None,
        num_reference: int | None = None,
        test_num_images: int | None = None,
        test_num_reference: int | None = None,
        labels: str = "data",
        seed: int = 0,
        test_seed: int = 1,
    ) -> None:
        check_labels_setting(labels)
        check_counts(num_images=num_images, num_reference=num_reference)
        check_counts(test_num_images=test_num_images, test_num_reference=test_num_reference)
        check_generated([*metrics, *test_metrics])
        if test_seed == seed:
            raise ValueError(f"test_seed must differ from seed, both are {seed}")
        check_metrics([*metrics, *test_metrics])
        super().__init__(every_kimg=every_kimg)
        self.results = Path(run_dir) / "results.jsonl"
        self.test_metrics = test_metrics
        self.test_seed = test_seed
        self.metrics = metrics
        self.extractor_name = extractor
        self.weights = None if weights is None else Path(weights)
        self.cache = None if cache is None else Path(cache).expanduser()
        self.num_images, self.num_reference = num_images, num_reference
        self.test_num_images, self.test_num_reference = test_num_images, test_num_reference
        self.labels = labels
        self.labels_before: str | None = None  # of the run that this one continues
        self.seed = seed
        self.extractor: Extractor | None = None

    def setup(self, trainer: Trainer, method: Method, stage: str) -> None:  # type: ignore[override]
        if not isinstance(method, Draws) or not [*self.metrics, *self.test_metrics]:
            return
        asked = [name for name in (*self.metrics, *self.test_metrics) if name in CLASS_METRICS]
        if asked and method.num_classes == 0:
            raise ValueError(
                f"{asked[0]} needs labels and this model is unconditional: leave it out of callbacks.metrics.metrics and "
                "callbacks.metrics.test_metrics, as in callbacks.metrics.test_metrics=[fd,precision,recall]"
            )
        if asked and not can_judge(math.prod(method.image_shape)):
            raise ValueError(
                f"{asked[0]} is judged by raw pixels during training, which images of {method.image_shape[1]} pixels are too "
                "large for: leave it out here and measure it with evaluate.py judge=classifier:<checkpoint>"
            )
        extractor = self.extractor_name or default_extractor(method.image_shape)
        check_judge(
            extractor,
            method.trained_against,
            allowed=False,
            remedy="evaluate.py's allow_trained_judge=true after the training",
        )
        if self.extractor is None:
            self.extractor = make_extractor(extractor, image_shape=method.image_shape, weights=self.weights)
        # What the extractor does not give is told before the training.
        for metrics in (self.metrics, self.test_metrics):
            GenerationQuality(self.extractor, metrics=[name for name in metrics if name in COMPARISONS])
        # So are counts that the data do not have.
        datamodule: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
        for split, count in (("train", self.num_reference), ("all", self.test_num_reference)):
            if count is not None:
                random_part(real_images(datamodule, split), count)

    def on_train_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        """Values of before and after a change of the asked classes do not compare: the best starts anew."""
        if method.num_classes > 0 and self.labels_before not in (None, self.labels):
            self.best = {}
            if trainer.is_global_zero:
                print(
                    f"continues with callbacks.metrics.labels = {self.labels!r} (was {self.labels_before!r}): metrics of before "
                    "and after do not compare, and best/... starts anew"
                )

    def count_samples(self, datamodule: ImageDataModule) -> int:
        """How many are measured during training."""
        return self.num_images or self.num_reference or len(datamodule.split("train")[0])

    def names(self, metrics: Iterable[str], *, method: Draws, num_images: int) -> dict[str, str]:
        """Metric -> its whole name, such as ``fd_pixels_1438``, of ``num_images`` samples."""
        assert self.extractor is not None
        return whole_names(
            metrics,
            extractor=self.extractor.name,
            judge=PixelJudge.label,
            image_size=method.image_shape[1],
            num_images=num_images,
            sampling=method.sampling,
        )

    def whole_names(self, trainer: Trainer, method: Method) -> dict[str, str]:
        if not isinstance(method, Draws) or not self.metrics:
            return {}
        datamodule: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
        return self.names(self.metrics, method=method, num_images=self.count_samples(datamodule))

    def instruments(self, method: Method, datamodule: ImageDataModule, *, metrics: list[str]) -> Instruments:
        """By what ``metrics`` are measured; the judge learns from the training split and is tested on the other."""
        assert self.extractor is not None
        judge = pixel_judge(datamodule, metrics)
        return Instruments(
            extractor=self.extractor,
            metrics=metrics,
            judge=judge,
            test=None if judge is None else real_images(datamodule, "test"),
            work=Work(device=torch.device(method.device), cache=self.cache, show_progress=True),
        )

    def on_test_epoch_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        if not isinstance(method, Draws) or not self.test_metrics:
            return
        assert self.extractor is not None
        datamodule: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
        instruments = self.instruments(method, datamodule, metrics=self.test_metrics)
        labels = labels_to_follow(method, datamodule, self.labels)
        record = published_result(
            method,
            random_part(real_images(datamodule, "all"), self.test_num_reference),
            instruments,
            Drawing(seed=self.test_seed, num_images=self.test_num_images, data_labels=labels),
            Origin(stage=TEST_STAGE, checkpoint="last.ckpt"),
        )
        names = self.names(record["metrics"], method=method, num_images=record["num_images"])
        self.measured |= {names[metric]: value for metric, value in record["metrics"].items()}
        if trainer.is_global_zero:
            append_line(self.results, record)
        trainer.strategy.barrier("published metrics")

    def measure(self, trainer: Trainer, method: Method) -> None:
        if not isinstance(method, Draws) or not self.metrics:
            return
        assert self.extractor is not None
        datamodule: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
        real = random_part(real_images(datamodule, "train"), self.num_reference)
        count = self.count_samples(datamodule)
        started = time.perf_counter()
        instruments = self.instruments(method, datamodule, metrics=self.metrics)
        labels = labels_to_follow(method, datamodule, self.labels)
        values = evaluate(DrawnImages(method, count, seed=self.seed, data_labels=labels), real, instruments)
        log_values(trainer, method, {"throughput/metric_seconds": time.perf_counter() - started})
        self.log_measures(trainer, method, values, names=self.names(values, method=method, num_images=count))

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"labels": self.labels}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.labels_before = state_dict.get("labels", "balanced")  # all that there was
