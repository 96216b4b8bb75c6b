"""From a resolved configuration to the objects it names."""

from __future__ import annotations

import inspect
import json
from typing import Any

import hydra
import torch
from lightning.pytorch import Trainer
from omegaconf import DictConfig

from datamodules.base import ImageDataModule
from launch.compose import check_constructor_calls, constructor_calls, find_target, plain
from launch.quiet import quiet
from lightning_modules.base import Method

TRUSTED_PACKAGES = ("lightning_modules.", "datamodules.", "generative.", "torch.optim.")


def build(config: dict[str, Any]) -> tuple[ImageDataModule, Method]:
    """The data module and the method of a run; image shape and classes pass from the one to the other.

    Touches neither disk nor network, once :func:`ask_for_classes` has.
    """
    parts = {"datamodule": config["datamodule"], "method": config["method"]}
    check_constructor_calls(parts)
    datamodule = hydra.utils.instantiate(parts["datamodule"], _partial_=True, _convert_="all")(seed=config["seed"])
    given = {"image_shape": datamodule.image_shape, "num_classes": datamodule.num_classes, "seed": config["seed"]}
    if takes_target_classes(parts["method"]):
        given["target_classes"] = datamodule.target_classes
    method = hydra.utils.instantiate(parts["method"], _partial_=True, _convert_="all")(**given)
    method.run_config = config
    return datamodule, method


def ask_for_classes(config: DictConfig) -> None:
    """Replace ``datamodule.num_classes: null`` by the number in the data: a checkpoint knows it without them.

    ValueError where the data are not there.
    """
    if config.datamodule.get("num_classes", 0) is None:
        settings = plain(config)
        check_constructor_calls({"datamodule": settings["datamodule"]})
        datamodule = hydra.utils.instantiate(settings["datamodule"], _partial_=True, _convert_="all")(seed=config.seed)
        config.datamodule.num_classes = datamodule.num_classes


def takes_target_classes(method: dict[str, Any]) -> bool:
    """Whether the constructor that the configuration ``method`` calls asks for the classes of masks or boxes."""
    return "target_classes" in inspect.signature(find_target(method["_target_"], "method")).parameters


def check_trusted(config: dict[str, Any]) -> None:
    """ValueError unless every constructor of ``config`` is a class of ours or an optimiser of torch.

    For configurations from files of unknown origin: ``_target_: os.system`` would run a command, and so would
    a path to it through a module of ours, hence the look at where the object was defined.
    """
    parts = {"datamodule": config["datamodule"], "method": config["method"]}
    if "${" in json.dumps(parts):
        raise ValueError("the configuration is not resolved: it holds an interpolation, ${...}: refused")
    for path, call in constructor_calls(parts):
        name = str(call["_target_"])
        found = find_target(name, path) if name.startswith(TRUSTED_PACKAGES) else None
        if not isinstance(found, type) or not f"{found.__module__}.".startswith(TRUSTED_PACKAGES):
            raise ValueError(f"the configuration at {path} calls {name!r}, which is no class of this project: refused")


def bare_trainer(device: torch.device, **settings: Any) -> Trainer:
    """A trainer on one device that logs and saves nothing: for a measurement that needs a fit or a test."""
    quiet()
    return Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1 if device.type != "cuda" else [device.index or 0],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **settings,
    )
