"""How good the samples are, while training and at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from callbacks.loggers.entries import log_values
from callbacks.measured import MeasuringInTraining
from datamodules.base import ImageDataModule
from generative.rendering.images import to_uint8
from lightning_modules.base import Draws, Method
from lightning_modules.labels import check_finite, check_labels_setting, in_turn, labels_to_follow
from metrics.evaluation import Work, evaluate
from metrics.features import Extractor, default_extractor, make_extractor
from metrics.image_sets import ImageSet, ImagesInMemory, random_part
from metrics.judge import Judge, PixelJudge, can_judge
from metrics.protocols import check_judge, whole_names
from metrics.quality import (
    CLASS_METRICS,
    COMPARISONS,
    RECONSTRUCTION_METRICS,
    GenerationQuality,
    Settings,
    check_metrics,
)
from metrics.statistics import Summary
from records.results import TEST_STAGE, measured_result, settings_hash
from records.run_files import append_line

# The sets of images of data modules by split, as long as a data module is in use.
MADE: WeakKeyDictionary[ImageDataModule, dict[str, ImagesInMemory]] = WeakKeyDictionary()


class DrawnImages:
    """The images 0 .. count - 1 of evaluation seed ``seed``, drawn under the averaged weights when asked for.

    Their classes are in the shares of ``data_labels`` [N], or balanced.
    """

    def __init__(self, method: Draws, count: int, *, seed: int, data_labels: Tensor | None = None) -> None:
        self.method, self.count, self.seed = method, count, seed
        self.cycle = method.label_cycle(data_labels, seed=seed)
        self.name = f"samples of {type(method).__name__}"
        self.shape = method.image_shape

    def __len__(self) -> int:
        return self.count

    def images(self, first: int, count: int) -> Tensor:
        drawn = self.method.sample(first, count, seed=self.seed, labels=in_turn(self.cycle, first, count))
        check_finite(drawn, first=first)
        return to_uint8(drawn)

    def labels(self) -> Tensor | None:
        labels = in_turn(self.cycle, 0, self.count)
        return None if labels is None else labels.cpu()

    def fingerprint(self) -> str:
        return ""


def real_images(datamodule: ImageDataModule, split: str) -> ImagesInMemory:
    """A split as uint8, by the same rounding that samples go through; made once for a data module, as is its fingerprint."""
    made = MADE.setdefault(datamodule, {})
    if split not in made:
        images, labels = datamodule.split(split)
        mark = datamodule.known_fingerprint(split)
        known = labels if datamodule.num_classes else None
        made[split] = ImagesInMemory(f"{datamodule.name}:{split}", images, known, mark=mark)
    return made[split]


def pixel_judge(datamodule: ImageDataModule, metrics: Sequence[str]) -> Judge | None:
    """The judge of raw pixels, fitted on the training split, where ``metrics`` ask for one."""
    if not set(metrics) & set(CLASS_METRICS):
        return None
    train = real_images(datamodule, "train")
    assert train.known_labels is not None
    return PixelJudge(train.tensor, train.known_labels, data=train.name)


def check_generated(metrics: Sequence[str]) -> None:
    """ValueError for metrics of pairs: samples have no originals."""
    pairs = [name for name in metrics if name in RECONSTRUCTION_METRICS]
    if pairs:
        raise ValueError(f"{', '.join(pairs)} compare images with their originals, and fresh samples have none")


def published_result(
    method: Draws,
    real: ImageSet | Summary,
    *,
    extractor: Extractor,
    metrics: Sequence[str],
    settings: Settings,
    num_images: int | None = None,
    seed: int,
    data_labels: Tensor | None,
    judge: Judge | None,
    test: ImageSet | None,
    allow_trained_judge: bool = False,
    work: Work,
    stage: str,
    checkpoint: str,
) -> dict[str, Any]:
    """The result record of a generator against real images: what evaluate.py prints and train.py ends with.

    ``num_images`` None: as many samples as there are real images. ``data_labels``: the training labels whose
    shares the classes of the samples have; None: balanced. ``test``: labelled images that ``judge`` is tested on.
    """
    check_generated(metrics)
    trained = check_judge(extractor.name, method.trained_against, allowed=allow_trained_judge)
    if judge is not None:
        trained |= check_judge(judge.label, method.trained_against, allowed=allow_trained_judge)
    count = num_images or (real.num_images if isinstance(real, Summary) else len(real))
    if count == 0:
        raise ValueError("the reference does not say of how many images it was made: give num_images=<number>")
    if method.num_classes == 0:
        labels, classes = "none", ""
    elif data_labels is None:
        labels, classes = "balanced", f", class k mod {method.num_classes} for image k"
    else:
        labels, classes = "data", ", class of training image p(k mod N) for image k, p a permutation by the seed"
    record, _ = measured_result(
        DrawnImages(method, count, seed=seed, data_labels=data_labels),
        real,
        extractor=extractor,
        metrics=metrics,
        settings=settings,
        judge=judge,
        test=test,
        work=work,
        samples=f"averaged weights{classes}",
        labels=labels,
        trained_against_judge=trained,
        experiment=method.run_config["experiment_name"],
        kimg=method.images_seen / 1000,
        budget_kimg=method.run_config["max_kimg"],
        train_seed=method.seed,
        sample_seed=seed,
        settings_hash=settings_hash(method.run_config),
        stage=stage,
        checkpoint=checkpoint,
    )
    return record


class GenerationMetrics(MeasuringInTraining):
    """Logs ``metric/<name>`` and ``best/<name>`` every ``every_kimg`` and at the end of training, against the training split.

    ``extractor`` (None: by the images' size), its ``weights`` file and ``labels`` are those of evaluate.py. The samples are
    fixed by ``seed``, so values of one run differ by the weights alone. ``num_reference`` real images are chosen by a fixed
    seed, None: all; ``num_images`` samples are drawn, None: as many as there are real images. The test stage measures
    ``test_metrics`` on samples of another seed against all the data, or ``test_num_images`` against
    ``test_num_reference``, and appends the result to ``run_dir/results.jsonl``, as ``evaluate.py checkpoint=...`` does.
    Ranks share the samples and the real images; ``cache`` is a folder for the statistics of the latter.
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
        counts = {
            "num_images": num_images,
            "num_reference": num_reference,
            "test_num_images": test_num_images,
            "test_num_reference": test_num_reference,
        }
        for name, count in counts.items():
            if count is not None and count < 2:
                raise ValueError(f"{name} must be at least 2, got {count}")
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
        if not isinstance(method, Draws):
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
        for metrics in (
            self.metrics,
            self.test_metrics,
        ):  # what the extractor does not give is told before the training
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

    def names(self, metrics: Iterable[str], *, method: Method, num_images: int) -> dict[str, str]:
        """Metric -> its whole name, such as ``fd_pixels_1438``, of ``num_images`` samples."""
        assert self.extractor is not None
        return whole_names(
            metrics,
            extractor=self.extractor.name,
            judge=PixelJudge.label,
            image_size=method.image_shape[1],
            num_images=num_images,
        )

    def whole_names(self, trainer: Trainer, method: Method) -> dict[str, str]:
        if not isinstance(method, Draws):
            return {}
        datamodule: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
        return self.names(self.metrics, method=method, num_images=self.count_samples(datamodule))

    def work(self, method: Method) -> Work:
        return Work(device=torch.device(method.device), cache=self.cache, show_progress=True)

    def on_test_epoch_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        if not isinstance(method, Draws):
            return
        assert self.extractor is not None
        datamodule: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
        judge = pixel_judge(datamodule, self.test_metrics)
        record = published_result(
            method,
            random_part(real_images(datamodule, "all"), self.test_num_reference),
            extractor=self.extractor,
            metrics=self.test_metrics,
            settings=Settings(),
            num_images=self.test_num_images,
            seed=self.test_seed,
            data_labels=labels_to_follow(method, datamodule, self.labels),
            judge=judge,
            test=None if judge is None else real_images(datamodule, "test"),
            work=self.work(method),
            stage=TEST_STAGE,
            checkpoint="last.ckpt",
        )
        names = self.names(record["metrics"], method=method, num_images=record["num_images"])
        self.measured |= {names[metric]: value for metric, value in record["metrics"].items()}
        if trainer.is_global_zero:
            append_line(self.results, record)
        trainer.strategy.barrier("published metrics")

    def measure(self, trainer: Trainer, method: Method) -> None:
        if not isinstance(method, Draws):
            return
        assert self.extractor is not None
        datamodule: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
        real = random_part(real_images(datamodule, "train"), self.num_reference)
        count = self.count_samples(datamodule)
        started = time.perf_counter()
        judge = pixel_judge(datamodule, self.metrics)
        values = evaluate(
            DrawnImages(method, count, seed=self.seed, data_labels=labels_to_follow(method, datamodule, self.labels)),
            real,
            extractor=self.extractor,
            metrics=self.metrics,
            judge=judge,
            test=None if judge is None else real_images(datamodule, "test"),
            work=self.work(method),
        )
        log_values(trainer, method, {"throughput/metric_seconds": time.perf_counter() - started})
        self.log_measures(trainer, method, values, names=self.names(values, method=method, num_images=count))

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"labels": self.labels}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.labels_before = state_dict.get("labels", "balanced")  # all that there was
