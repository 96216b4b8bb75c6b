"""Which of the digits' data modules a method trains on in tests: those with masks or twins where it asks for them."""

from __future__ import annotations

import hydra
from omegaconf import OmegaConf

from launch.build import takes_target_classes
from launch.compose import CONFIGS
from lightning_modules.base import Translates


def data_for(*overrides: str) -> str:
    """The override ``datamodule=...`` for the ``method=...`` among ``overrides``, if there is one."""
    chosen = [text.removeprefix("method=") for text in overrides if text.startswith("method=")]
    if not chosen:
        return "datamodule=digits"
    target = OmegaConf.select(OmegaConf.load(CONFIGS / "method" / f"{chosen[-1]}.yaml"), "_target_")
    if issubclass(hydra.utils.get_class(target), Translates):
        return "datamodule=digit_defects"
    return "datamodule=digit_masks" if takes_target_classes({"_target_": target}) else "datamodule=digits"
