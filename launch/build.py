"""From a resolved configuration to the objects it names."""

from __future__ import annotations

import json
from typing import Any

import hydra
import torch
from lightning.pytorch import Trainer
from omegaconf import DictConfig

from datamodules.base import ImageDataModule
from generative.plain_data import check_plain
from launch.compose import plain
from launch.constructors import check_call, check_constructor_calls, check_type, constructor_arguments, find_target
from launch.quiet import quiet
from lightning_modules.base import Method

LEFT_TO_DATA = ("num_classes", "channels")  # settings of a data module that null leaves to the prepared set
# What is read of a run's configuration beside the settings of its parts.
RUN_SETTINGS = {
    "method": dict[str, Any],
    "datamodule": dict[str, Any],
    "seed": int,
    "max_kimg": float,
    "experiment_name": str | None,
}


def build(config: dict[str, Any]) -> tuple[ImageDataModule, Method]:
    """The data module and the method of a run; image shape and classes pass from the one to the other.

    Touches neither disk nor network, once :func:`ask_the_data` has.
    """
    parts = {"datamodule": config["datamodule"], "method": config["method"]}
    check_constructor_calls(parts)
    datamodule = constructed(parts["datamodule"], seed=config["seed"])
    given = {"image_shape": datamodule.image_shape, "num_classes": datamodule.num_classes, "seed": config["seed"]}
    if takes_target_classes(parts["method"]):
        given["target_classes"] = datamodule.target_classes
    for key in given.keys() & parts["method"].keys():
        owner = "seed=" if key == "seed" else "the data module"
        raise ValueError(f"method.{key} has no effect, since {owner} says what it is: leave it out")
    method = constructed(parts["method"], **given)
    method.run_config = config
    return datamodule, method


def constructed(call: dict[str, Any], **given: Any) -> Any:
    """What the ``call`` of a configuration constructs from its own settings and those ``given`` beside them."""
    return hydra.utils.instantiate(call, _partial_=True, _convert_="all")(**given)


def ask_the_data(config: DictConfig) -> None:
    """Replace ``datamodule.num_classes: null`` and ``channels: null`` by those of the data: a checkpoint knows them without.

    ValueError where the data are not there.
    """
    left = [key for key in LEFT_TO_DATA if config.datamodule.get(key, 0) is None]
    if left:
        settings = plain(config)
        check_constructor_calls({"datamodule": settings["datamodule"]})
        datamodule = constructed(settings["datamodule"], seed=config.seed)
        for key in left:
            config.datamodule[key] = getattr(datamodule, key)


def takes_target_classes(method: dict[str, Any]) -> bool:
    """Whether the constructor that the configuration ``method`` calls asks for the classes of masks or boxes."""
    return "target_classes" in constructor_arguments(find_target(method["_target_"], "method"))


def check_run_settings(config: Any) -> None:
    """ValueError unless ``config`` is plain data and has what every run's configuration has."""
    check_plain(config, "the configuration")
    if not isinstance(config, dict):
        raise ValueError(f"the configuration is a {type(config).__name__}: it is of no run of this project")
    for key, hint in RUN_SETTINGS.items():
        if key not in config:
            raise ValueError(f"the configuration has no {key}: it is of no run of this project")
        check_type(key, config[key], hint)


def check_trusted(config: dict[str, Any]) -> None:
    """ValueError unless ``config`` constructs a data module and a method of ours, from plain values and our own parts.

    For configurations from files of unknown origin: ``_target_: os.system`` would run a command, and so would
    a path to it through a module of ours, hence the look at where the object was defined. A call stands only where
    the constructor around it takes such an object, and names a class of that kind.
    """
    check_run_settings(config)
    parts: dict[str, type] = {"datamodule": ImageDataModule, "method": Method}
    if "${" in json.dumps([config[part] for part in parts]):
        raise ValueError("the configuration is not resolved: it holds an interpolation, ${...}: refused")
    for part, kind in parts.items():
        if "_target_" not in config[part]:
            raise ValueError(f"the configuration at {part} says not what to construct: it has no _target_")
        check_call(config[part], part, kind)


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
