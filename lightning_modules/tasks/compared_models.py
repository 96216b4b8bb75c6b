"""A classifier beside others: under which names, what each decides, and where each looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from generative.rendering.colours import enlarged
from lightning_modules.base import Classifies, HasMaps

Model = TypeVar("Model", bound=Classifies)


def named_models(method: Model, baselines: Sequence[Model] | None) -> Mapping[str, Model]:
    """The method and what it is compared with, under the names of their experiments, numbered where they repeat.

    ValueError unless all take the same images and name the same number of classes.
    """
    models: dict[str, Model] = {}
    for model in [method, *(baselines or [])]:
        if (model.image_shape, model.num_classes) != (method.image_shape, method.num_classes):
            raise ValueError(
                f"a baseline takes images {model.image_shape} of {model.num_classes} classes, and the checkpoint "
                f"{method.image_shape} of {method.num_classes}: compare models of the same data"
            )
        plain = str(model.run_config.get("experiment_name") or type(model).__name__).rpartition("/")[2]
        repeated = sum(name == plain or name.startswith(f"{plain} (") for name in models)
        models[f"{plain} ({repeated + 1})" if repeated else plain] = model
    return models


def training_of(model: Classifies) -> dict[str, Any]:
    """What tells a model of the same experiment from another: its seed and the images that it has seen."""
    return {"trained_seed": model.seed, "images_seen": model.images_seen}


@torch.no_grad()
def decisions(model: Classifies, images: Tensor) -> Tensor:
    """The class that the model names of each image [B, C, H, W]: [B] on the CPU."""
    return model.classify(model.features(images.to(model.device))).argmax(dim=1).cpu()


@torch.no_grad()
def shares_of_levels(model: HasMaps, images: Tensor, classes: Tensor) -> list[Tensor]:
    """The maps of images [B, C, H, W], for a class of each [B], at their size: [B, H, W] in [0, 1], on the CPU."""
    maps = model.heatmaps(images.to(model.device), classes.to(model.device))
    return [enlarged(values, images.shape[2:]).cpu() for values in maps]


def last_shares(model: HasMaps, images: Tensor, classes: Tensor) -> Tensor:
    """:func:`shares_of_levels` at the last level alone."""
    return shares_of_levels(model, images, classes)[-1]
