"""Data modules by their names, and folders that were prepared as such."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hydra
from omegaconf import OmegaConf

from datamodules.base import ImageDataModule
from datamodules.prepared_set import read_description
from launch.compose import CONFIGS, group_options
from launch.errors import did_you_mean


def make_datamodule(name: str, changed: dict[str, Any] | None = None) -> ImageDataModule:
    """The data module of ``configs/datamodule/<name>.yaml`` with some settings ``changed``, nothing loaded."""
    options = group_options("datamodule")
    if name not in options:
        raise ValueError(f"{name!r} is neither a file, a folder nor a data module{did_you_mean(name, options)}")
    settings = OmegaConf.load(CONFIGS / "datamodule" / f"{name}.yaml")
    made: ImageDataModule = hydra.utils.instantiate(settings, _partial_=True, _convert_="all")(
        seed=0, **(changed or {})
    )
    return made


def datamodule_of(name: str, *, side: int | None = None) -> tuple[ImageDataModule | None, str | None]:
    """The data module that ``name`` means, and the split after its colon: None where it is a file or a folder of images.

    A folder that ``datamodules.prepare`` made is a set too, at ``side`` pixels where it has them, else at its largest.
    """
    is_path = Path(name).expanduser().exists()
    start, _, own_split = (name, "", "") if is_path else name.partition(":")
    folder = Path(start).expanduser()
    facts = read_description(folder) if folder.is_dir() else None
    if facts is not None:
        resolution = side if side in facts["resolutions"] else max(facts["resolutions"])
        settings = {"data_dir": str(folder), "resolution": resolution, "channels": facts["channels"]}
        found = make_datamodule("images", settings)
        found.name = str(folder)
        return found, own_split or None
    return (None, None) if is_path else (make_datamodule(start), own_split or None)
