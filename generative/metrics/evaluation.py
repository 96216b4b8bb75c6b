"""Generated images against real ones under a named protocol: the numbers and what they mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from generative.metrics.functional import frechet_distance_of_features, kernel_distance, manifolds
from generative.metrics.judge import fit_pixel_judge, judged_accuracy
from generative.rendering.images import from_uint8

NUM_NEIGHBOURS = 3
UNLABELLED_METRICS = ("fd", "precision", "recall")
FURTHER_METRICS = ("kid", "density", "coverage")  # measured when asked for
LABELLED_METRICS = ("accuracy", "tstr_accuracy")
COMPANIONS = ("judge_accuracy", "kid_error")  # stated beside the number that they qualify


@dataclass(frozen=True)
class LabelledImages:
    """uint8 images [N, C, H, W] and, where known, their labels [N]."""

    images: Tensor
    labels: Tensor | None = None


def short_count(number: int) -> str:
    """50000 -> 50k, 1797 -> 1797: how a metric's name states its number of images."""
    return f"{number // 1000}k" if number % 1000 == 0 and number > 0 else str(number)


def metric_name(metric: str, extractor: str, num_images: int) -> str:
    """The protocol in a name, such as ``fd_pixels_1797``."""
    return f"{metric}_{extractor}_{short_count(num_images)}"


def check_metrics(names: Sequence[str]) -> None:
    """ValueError for a name that is no metric."""
    known = (*UNLABELLED_METRICS, *FURTHER_METRICS, *LABELLED_METRICS)
    for name in names:
        if name not in known:
            raise ValueError(f"unknown metric {name!r}: choose from {', '.join(known)}")


def evaluate_pixels(
    fake: LabelledImages,
    real: LabelledImages,
    *,
    metrics: Sequence[str],
    judge_train: LabelledImages | None = None,
    judge_test: LabelledImages | None = None,
) -> dict[str, float]:
    """``metrics`` on raw pixels in [-1, 1] after rounding to uint8.

    ``fd``: Frechet distance. ``precision``, ``recall``, ``density``, ``coverage``: k = 3. ``kid``: kernel distance of
    the pixels with ``kid_error``, its standard error over subsets. ``accuracy``: a pixel classifier fitted on
    ``judge_train`` names the class that was asked for; ``judge_accuracy``, its own accuracy on ``judge_test``, is
    stated beside it. ``tstr_accuracy``: the same kind of classifier trained on the fakes, tested on ``judge_test``.
    """
    check_metrics(metrics)
    if fake.images.shape[1:] != real.images.shape[1:]:
        sizes = [" x ".join(map(str, part.images.shape[1:])) for part in (fake, real)]
        raise ValueError(
            f"the images are {sizes[0]} and the reference {sizes[1]}: bring them to one size and number of channels first"
        )
    if len(fake.images) < 2 or len(real.images) < 2:
        raise ValueError("an evaluation needs at least 2 images on each side")

    fake_pixels, real_pixels = (from_uint8(part.images).flatten(1) for part in (fake, real))
    values: dict[str, float] = {}
    if "fd" in metrics:
        values["fd"] = float(frechet_distance_of_features(fake_pixels, real_pixels))
    if {"precision", "recall", "density", "coverage"} & set(metrics):
        shares = manifolds(real_pixels.double(), fake_pixels.double(), num_neighbours=NUM_NEIGHBOURS)
        values |= asdict(shares)
    if "kid" in metrics:
        values["kid"], error = kernel_distance(real_pixels, fake_pixels)
        if math.isfinite(error):  # a single subset has no spread
            values["kid_error"] = error
    if set(metrics) & set(LABELLED_METRICS):
        if fake.labels is None or judge_train is None or judge_test is None:
            raise ValueError("accuracy and tstr_accuracy need labels on both sides: leave them out of metrics=[...]")
        assert judge_train.labels is not None
        assert judge_test.labels is not None
        if "accuracy" in metrics:
            judge = fit_pixel_judge(judge_train.images, judge_train.labels)
            values["accuracy"] = judged_accuracy(judge, fake.images, fake.labels)
            values["judge_accuracy"] = judged_accuracy(judge, judge_test.images, judge_test.labels)
        if "tstr_accuracy" in metrics:
            student = fit_pixel_judge(fake.images, fake.labels)
            values["tstr_accuracy"] = judged_accuracy(student, judge_test.images, judge_test.labels)
    return {name: value for name, value in values.items() if name in metrics or name in COMPANIONS}


@dataclass(frozen=True)
class Protocol:
    """All that a number depends on beside the images; two results compare only where this is equal."""

    extractor: str
    resize: str
    quantization: str
    image_shape: list[int]
    reference: str
    num_neighbours: int
    judge: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def pixel_protocol(image_shape: Sequence[int], reference: str) -> Protocol:
    return Protocol(
        extractor="pixels",
        resize="none",
        quantization="uint8, rounded",
        image_shape=list(image_shape),
        reference=reference,
        num_neighbours=NUM_NEIGHBOURS,
        judge="support vector machine, radial kernel, raw pixels",
    )
