"""Which of the digits' data modules a method trains on in tests: those with masks, boxes or twins where it asks for them."""

from __future__ import annotations

from omegaconf import OmegaConf

from launch.build import takes_target_classes
from launch.compose import CONFIGS
from launch.constructors import find_target
from lightning_modules.base import Detects, Translates


def data_for(*overrides: str) -> str:
    """The override ``datamodule=...`` for the ``method=...`` among ``overrides``, if there is one."""
    chosen = [text.removeprefix("method=") for text in overrides if text.startswith("method=")]
    if not chosen:
        return "datamodule=digits"
    target = OmegaConf.select(OmegaConf.load(CONFIGS / "method" / f"{chosen[-1]}.yaml"), "_target_")
    recipe = find_target(target, "method")
    if issubclass(recipe, Translates):
        return "datamodule=digit_defects"
    if issubclass(recipe, Detects):
        return "datamodule=digit_boxes"
    return "datamodule=digit_masks" if takes_target_classes({"_target_": target}) else "datamodule=digits"
