"""The two things that evaluate.py measures: a checkpoint, and a set of images against another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hydra
import torch
from omegaconf import OmegaConf

from callbacks.generation_metrics import published_result, real_images
from callbacks.results import EVALUATION, result_record
from datamodules.base import ImageDataModule
from generative.metrics.evaluation import (
    LABELLED_METRICS,
    UNLABELLED_METRICS,
    LabelledImages,
    check_metrics,
    evaluate_pixels,
    pixel_protocol,
)
from generative.rendering.files import read_images
from launch.checkpoint import load_method
from launch.compose import CONFIGS, group_options
from launch.errors import did_you_mean
from lightning_modules.base import GenerativeModule

EXTRACTORS = ("pixels",)


def check_settings(settings: dict[str, Any]) -> None:
    """ValueError for a setting of evaluate.yaml of the wrong kind, before anything is read."""
    if settings["extractor"] not in EXTRACTORS:
        raise ValueError(
            f"there is no extractor {settings['extractor']!r}{did_you_mean(settings['extractor'], EXTRACTORS)}"
        )
    if isinstance(settings["metrics"], str):
        settings["metrics"] = [settings["metrics"]]
    check_metrics(settings["metrics"] or [])
    for key, least in (("seed", 0), ("num_images", 2)):
        value = settings[key]
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            raise ValueError(f"{key} must be an integer of at least {least}, got {value!r}")


def make_datamodule(name: str) -> ImageDataModule:
    """The data module of ``configs/datamodule/<name>.yaml``, nothing loaded."""
    options = group_options("datamodule")
    if name not in options:
        raise ValueError(f"{name!r} is neither a folder or zip nor a data module{did_you_mean(name, options)}")
    settings = OmegaConf.load(CONFIGS / "datamodule" / f"{name}.yaml")
    made: ImageDataModule = hydra.utils.instantiate(settings, _partial_=True, _convert_="all")(seed=0)
    return made


def evaluate_checkpoint(settings: dict[str, Any]) -> dict[str, Any]:
    """Samples of a checkpoint's averaged generator against its own data module, or the one named ``reference``."""
    check_settings(settings)
    method, datamodule = load_method(Path(settings["checkpoint"]), device=settings["device"])
    if not isinstance(method, GenerativeModule):
        raise ValueError(f"{settings['checkpoint']} holds a {type(method).__name__}, which does not generate images")
    if settings["reference"] is not None:
        if Path(settings["reference"]).exists():
            raise ValueError(
                "a checkpoint is compared with a data module; for a folder, generate images and give images=<folder>"
            )
        datamodule = make_datamodule(settings["reference"])
    labelled = LABELLED_METRICS if method.num_classes > 0 and datamodule.num_classes == method.num_classes else ()
    return published_result(
        method,
        datamodule,
        metrics=settings["metrics"] or [*UNLABELLED_METRICS, *labelled],
        split=settings["split"],
        num_images=settings["num_images"],
        seed=settings["seed"],
        stage=EVALUATION,
        checkpoint=Path(settings["checkpoint"]).name,
    )


def evaluate_images(settings: dict[str, Any]) -> dict[str, Any]:
    """The images of a folder or zip against those of another or of a data module."""
    check_settings(settings)
    if settings["reference"] is None:
        raise ValueError("say what to compare with: reference=<folder, zip or data module>")
    images = LabelledImages(read_images(Path(settings["images"])))
    if Path(settings["reference"]).exists():
        reference, name = LabelledImages(read_images(Path(settings["reference"]))), settings["reference"]
    else:
        datamodule = make_datamodule(settings["reference"])
        reference, name = real_images(datamodule, settings["split"]), f"{settings['reference']}:{settings['split']}"
    metrics = evaluate_pixels(images, reference, metrics=settings["metrics"] or UNLABELLED_METRICS)
    return result_record(
        pixel_protocol(reference.images.shape[1:], name),
        metrics,
        num_images=len(images.images),
        num_reference=len(reference.images),
        images=settings["images"],
        stage=EVALUATION,
        device=torch.device("cpu"),
    )
