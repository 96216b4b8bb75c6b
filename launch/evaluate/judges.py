"""Classifiers that were trained here, as judges and extractors: `classifier:<checkpoint>`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from callbacks.budget import ImageBudget, NonFiniteGuard
from datamodules.base import ImageDataModule
from generative.ranks import rank_and_world_size
from launch.build import bare_trainer, build
from launch.checkpoint import load_method
from launch.errors import did_you_mean
from lightning_modules.base import Classifies
from metrics.features import Extractor, FromClassifier, default_extractor, make_extractor
from metrics.image_sets import KeptImageSet
from metrics.splits import real_images

PREFIX = "classifier:"


class ClassifierJudge:
    """The class of the largest logit of ``extractor``; students repeat the training that its checkpoint describes."""

    def __init__(self, extractor: FromClassifier, config: dict[str, Any]) -> None:
        self.extractor, self.config = extractor, config
        self.label = extractor.name
        self.num_classes = extractor.provides["logits"]
        self.name = f"classifier of hash {extractor.weights}"

    def predict(self, images: Tensor) -> Tensor:
        logits: Tensor = self.extractor(images)["logits"]
        return logits.argmax(dim=1).cpu()

    def student(self, images: Tensor, labels: Tensor) -> ClassifierJudge:
        """The same network, recipe and budget on ``images`` and ``labels`` instead of the real training split."""
        if rank_and_world_size()[1] > 1:
            raise ValueError(
                "tstr_accuracy trains a network, which several ranks cannot do here yet: evaluate it with one"
            )
        device = next(self.extractor.parameters()).device
        callbacks = [NonFiniteGuard(), ImageBudget(max_kimg=self.config["max_kimg"])]
        trainer = bare_trainer(device, callbacks=callbacks, max_epochs=-1)
        with torch.random.fork_rng(), torch.inference_mode(False), torch.enable_grad():
            torch.manual_seed(self.config["seed"])
            datamodule, method = build(self.config)
            datamodule.arrays["train"] = (images.cpu(), labels.cpu())
            trainer.fit(method, datamodule)
        assert isinstance(method, Classifies)
        return ClassifierJudge(FromClassifier(method.to(device)), self.config)


@dataclass(frozen=True)
class KnownClassifier:
    """A classifier that was trained here and the data that it was trained on."""

    judge: ClassifierJudge
    datamodule: ImageDataModule

    def test_images(self) -> KeptImageSet:
        """Labelled images that it never saw."""
        return real_images(self.datamodule, "test")


def load_classifier(path: Path, *, device: str) -> KnownClassifier:
    """The classifier of a checkpoint; ValueError where it holds none."""
    method, datamodule = load_method(path, device=device)
    if not isinstance(method, Classifies):
        raise ValueError(f"{path} holds a {type(method).__name__}, which is no classifier")
    return KnownClassifier(ClassifierJudge(FromClassifier(method), method.run_config), datamodule)


def extractor_of(
    name: str | None, *, image_shape: tuple[int, int, int], weights: str | None, device: str
) -> tuple[Extractor, KnownClassifier | None]:
    """The extractor ``name`` (None: by the images' size), and the classifier that it is made of, if any."""
    name = name or default_extractor(image_shape)
    if name.startswith(PREFIX):
        if weights is not None:
            raise ValueError(f"{name} names its weights itself: leave out weights=")
        known = load_classifier(Path(name.removeprefix(PREFIX)), device=device)
        return known.judge.extractor, known
    return make_extractor(name, image_shape=image_shape, weights=None if weights is None else Path(weights)), None


def check_name(kind: str, name: Any, known: tuple[str, ...]) -> None:
    """ValueError for a name of an extractor or a judge that is none."""
    if not isinstance(name, str) or not (name in known or name.startswith(PREFIX)):
        near = did_you_mean(str(name), list(known))
        raise ValueError(f"there is no {kind} {name!r}{near}: choose {', '.join(known)} or {PREFIX}<checkpoint>")
