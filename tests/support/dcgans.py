"""Small DCGANs with weights that nobody trained."""

from __future__ import annotations

import torch

from launch.build import build
from launch.compose import compose, plain
from lightning_modules.dcgan.module import DCGAN


def untrained_dcgan(*overrides: str) -> DCGAN:
    """One of digits with batch norm, whose images differ from each other by many levels."""
    torch.manual_seed(0)
    small = ("method.generator.normalization=batch", "method.generator.width=4", "method.critic.width=4")
    config = plain(
        compose("train", ["experiment=none", "run_dir=x", "method=dcgan", "datamodule=digits", *small, *overrides])
    )
    built = build(config)[1].eval()
    assert isinstance(built, DCGAN)
    for weight in built.averaged_generator.parameters():
        weight.data *= 8  # the first weights are so small that all pixels round to one level
    return built
