"""Who judges ReGene's images: pixels, or a classifier that was trained here, but never the one whose latents are combined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from generative.randomness import permutation
from lightning_modules.base import Classifies, ImageData
from lightning_modules.regene.module import ReGene
from metrics.evaluation import Instruments, Work
from metrics.features import Extractor, FromClassifier, Pixels
from metrics.image_sets import ImagesInMemory
from metrics.judge import Judge, PixelJudge, can_judge
from metrics.protocols import was_met

TAUGHT = 2000  # samples that a student learns from, at most


@dataclass(frozen=True)
class NetworkJudge:
    """A classifier that was trained here; its students are machines on raw pixels, of at most :data:`TAUGHT` samples."""

    extractor: FromClassifier

    @property
    def name(self) -> str:
        return f"classifier of hash {self.extractor.weights}"

    @property
    def label(self) -> str:
        return self.extractor.name

    @property
    def num_classes(self) -> int:
        return self.extractor.provides["logits"]

    def predict(self, images: Tensor) -> Tensor:
        logits: Tensor = self.extractor(images)["logits"]
        return logits.argmax(dim=1).cpu()

    def student(self, images: Tensor, labels: Tensor) -> PixelJudge:
        """Of the first samples; of as many at random where these lack a class, as in sets that are sorted by class."""
        chosen = torch.arange(len(images))
        if len(labels[:TAUGHT].unique()) < len(labels.unique()):
            chosen = torch.from_numpy(permutation(0, 0, len(images), name="taught"))
        chosen = chosen[:TAUGHT]
        return PixelJudge(images[chosen.to(images.device)], labels[chosen], data="the samples")


def judging_network(method: ReGene, judge: list[Classifies] | None) -> FromClassifier | None:
    """What the setting ``judge`` names, None where it is left out.

    ValueError unless it is one classifier, for images of the method's shape, and not the method's own.
    """
    if judge is None:
        return None
    if len(judge) != 1:
        raise ValueError(f"judge takes one checkpoint of a classifier, got {len(judge)}: name one")
    if judge[0].image_shape != method.image_shape:
        raise ValueError(
            f"judge names images {judge[0].image_shape}, and these are {method.image_shape}: give a classifier of their size"
        )
    if judge[0].num_classes != method.num_classes:
        raise ValueError(
            f"judge knows {judge[0].num_classes} classes, and these images have {method.num_classes}: "
            "give a classifier of this data"
        )
    network = FromClassifier(judge[0])
    if was_met(network, method.trained_against):
        raise ValueError("judge is the classifier whose latents are combined: give one that was trained apart from it")
    return network


def chosen_extractor(method: ReGene, network: FromClassifier | None, *, by_features: bool) -> Extractor:
    """Raw pixels or, ``by_features``, the judge's ``network``; ValueError for features without a judge."""
    if not by_features:
        return Pixels(method.image_shape)
    if network is None:
        raise ValueError("by_features=true measures in a judge's features: give judge=[<checkpoint of a classifier>]")
    return network


def chosen_judge(datamodule: ImageData, network: FromClassifier | None) -> Judge:
    """The ``network`` or, without one, a machine that learns from the raw pixels of the training images.

    ValueError where these are too many for it.
    """
    if network is not None:
        return NetworkJudge(network)
    images, labels = datamodule.split("train")
    training = ImagesInMemory(f"{datamodule.name}:train", images, labels)
    if not can_judge(math.prod(training.shape), len(training)):
        raise ValueError(
            f"{len(training)} images of {math.prod(training.shape)} values are too many for a judge of raw pixels: give "
            "judge=[<checkpoint of a classifier>]"
        )
    return PixelJudge(training.images(0, len(training)), labels, data=training.name)  # bytes, as it is shown later


def chosen_instruments(
    method: ReGene,
    datamodule: ImageData,
    judge: list[Classifies] | None,
    *,
    by_features: bool,
    metrics: Sequence[str],
) -> Instruments:
    """What measures ``metrics``; ValueError for a judge that cannot be, and for features without one."""
    network = judging_network(method, judge)
    extractor = chosen_extractor(method, network, by_features=by_features)
    test = ImagesInMemory(f"{datamodule.name}:test", *datamodule.split("test"))
    work = Work(device=method.device)
    return Instruments(
        extractor=extractor, metrics=metrics, judge=chosen_judge(datamodule, network), test=test, work=work
    )
