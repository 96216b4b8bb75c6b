"""Small classifiers with weights that nobody trained, and images for them."""

from __future__ import annotations

import torch
from torch import Tensor

from datamodules.arrays import Arrays
from generative.rendering.images import to_uint8
from launch.build import build
from launch.compose import compose, plain
from lightning_modules.classification import Classification
from lightning_modules.dgm.module import DGMClassifier


def noise(count: int, size: int, *, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def data(size: int = 32, count: int = 12) -> Arrays:
    labels = torch.arange(count) % 3
    rows = (to_uint8(noise(count, size)), labels)
    return Arrays(train=rows, test=rows, num_classes=3, batch_size=4, seed=0)


def model(*overrides: str, size: int = 32) -> Classification:
    torch.manual_seed(0)
    config = plain(compose("train", ["experiment=none", "datamodule=cifar10", "run_dir=x", *overrides]))
    built = build(config | {"datamodule": config["datamodule"] | {"resolution": size}})[1].eval()
    assert isinstance(built, Classification)
    return built


def dgm(*overrides: str, size: int = 32) -> DGMClassifier:
    built = model("method=dgm", "method.backbone.channels=8", *overrides, size=size)
    assert isinstance(built, DGMClassifier)
    return built


def resnet(size: int = 32) -> Classification:
    settings = ("architecture=resnet10", "stem=small")
    return model("method=classifier", *(f"method.backbone.{setting}" for setting in settings), size=size)
