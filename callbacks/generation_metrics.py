"""How good the samples are, while training and at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from callbacks.loss_log import log
from callbacks.results import TEST_STAGE, append_result, result_record, settings_hash
from datamodules.base import ImageDataModule
from generative.metrics.evaluation import (
    LABELLED_METRICS,
    LabelledImages,
    check_metrics,
    evaluate_pixels,
    metric_name,
    pixel_protocol,
)
from generative.rendering.images import to_uint8
from lightning_modules.base import GenerativeModule, Method

LOWER_IS_BETTER = ("fd", "kid", "kid_error")


def draw(method: GenerativeModule, count: int, *, seed: int) -> LabelledImages:
    """``count`` samples of the method as uint8, with the labels they were asked to have."""
    images = torch.cat([to_uint8(batch).cpu() for batch in method.sample_batches(count, seed=seed)])
    labels = method.balanced_labels(0, count)
    return LabelledImages(images, None if labels is None else labels.cpu())


def real_images(datamodule: ImageDataModule, split: str) -> LabelledImages:
    """A split as uint8, by the same rounding that samples go through."""
    images, labels = datamodule.split(split)
    return LabelledImages(images if images.dtype == torch.uint8 else to_uint8(images), labels)


def measure(
    method: GenerativeModule,
    datamodule: ImageDataModule,
    *,
    metrics: list[str],
    split: str,
    num_images: int | None,
    seed: int,
) -> tuple[dict[str, float], int, int]:
    """Metrics of fresh samples of seed ``seed`` against ``split``; the numbers of samples and of real images.

    ``num_images`` None: as many samples as there are real images.
    """
    real = real_images(datamodule, split)
    count = len(real.images) if num_images is None else num_images
    fake = draw(method, count, seed=seed)
    judges = {}
    if set(metrics) & set(LABELLED_METRICS):
        judges = {"judge_train": real_images(datamodule, "train"), "judge_test": real_images(datamodule, "test")}
    return evaluate_pixels(fake, real, metrics=metrics, **judges), count, len(real.images)


def published_result(
    method: GenerativeModule,
    datamodule: ImageDataModule,
    *,
    metrics: list[str],
    split: str = "all",
    num_images: int | None = None,
    seed: int,
    stage: str,
    checkpoint: str,
) -> dict[str, Any]:
    """The result record of a generator against a split of its data module: what evaluate.py prints and train.py ends with."""
    values, count, num_real = measure(
        method, datamodule, metrics=metrics, split=split, num_images=num_images, seed=seed
    )
    names = {metric_name(metric, "pixels", count): value for metric, value in values.items()}
    method.metrics |= {f"metric/{name}": value for name, value in names.items()}
    return result_record(
        pixel_protocol(method.image_shape, f"{type(datamodule).__name__.lower()}:{split}"),
        values,
        num_images=count,
        num_reference=num_real,
        names=sorted(names),
        experiment=method.run_config["experiment_name"],
        kimg=method.images_seen / 1000,
        budget_kimg=method.run_config["max_kimg"],
        train_seed=method.seed,
        sample_seed=seed,
        settings=settings_hash(method.run_config),
        stage=stage,
        checkpoint=checkpoint,
        device=method.device,
    )


class GenerationMetrics(Callback):
    """Logs ``metric/<name>`` and ``best/<name>`` every ``every_kimg`` and at the end of training, against the training split.

    ``num_images`` None draws as many samples as the split has. The samples are fixed by ``seed``, so values of one
    run differ by the weights alone. The test stage measures ``test_metrics`` on samples of another seed against all
    the data and appends the result to ``run_dir/results.jsonl``, as ``evaluate.py checkpoint=...`` does.
    """

    def __init__(
        self,
        *,
        run_dir: str,
        every_kimg: float,
        metrics: list[str],
        test_metrics: list[str],
        num_images: int | None = None,
        seed: int = 0,
        test_seed: int = 1,
    ) -> None:
        if test_seed == seed:
            raise ValueError(f"test_seed must differ from seed, both are {seed}")
        check_metrics([*metrics, *test_metrics])
        self.results = Path(run_dir) / "results.jsonl"
        self.test_metrics = test_metrics
        self.test_seed = test_seed
        self.every_kimg = every_kimg
        self.metrics = metrics
        self.num_images = num_images
        self.seed = seed
        self.best: dict[str, float] = {}
        self.measured_at = -1

    def setup(self, trainer: Trainer, method: Method, stage: str) -> None:  # type: ignore[override]
        asked = [name for name in (*self.metrics, *self.test_metrics) if name in LABELLED_METRICS]
        if asked and method.num_classes == 0:
            raise ValueError(
                f"{asked[0]} needs labels and this model is unconditional: leave it out of callbacks.metrics.metrics and "
                "callbacks.metrics.test_metrics, as in callbacks.metrics.test_metrics=[fd,precision,recall]"
            )

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        if method.crossed(self.every_kimg):
            self.measure(trainer, method)

    def on_train_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        if self.measured_at != method.images_seen:
            self.measure(trainer, method)

    def on_test_epoch_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        if trainer.is_global_zero and isinstance(method, GenerativeModule):
            datamodule: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
            append_result(
                self.results,
                published_result(
                    method,
                    datamodule,
                    metrics=self.test_metrics,
                    seed=self.test_seed,
                    stage=TEST_STAGE,
                    checkpoint="last.ckpt",
                ),
            )
        trainer.strategy.barrier("published metrics")

    def measure(self, trainer: Trainer, method: Method) -> None:
        self.measured_at = method.images_seen
        if not isinstance(method, GenerativeModule):
            return
        if trainer.is_global_zero:
            datamodule: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
            values, count, _ = measure(
                method, datamodule, metrics=self.metrics, split="train", num_images=self.num_images, seed=self.seed
            )
            row: dict[str, float] = {}
            for metric, value in values.items():
                name = metric_name(metric, "pixels", count)
                better = min if metric in LOWER_IS_BETTER else max
                self.best[name] = better(value, self.best.get(name, value))
                row |= {f"metric/{name}": value, f"best/{name}": self.best[name]}
            method.metrics |= row
            log(trainer, method, row)
        trainer.strategy.barrier("generation metrics")

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "measured_at": self.measured_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.measured_at = state_dict["best"], state_dict["measured_at"]
