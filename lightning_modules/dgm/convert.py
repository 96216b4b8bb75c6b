"""The authors' released state dict -> our network. Sizes are read off the weights."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from lightning_modules.dgm.networks import DGM

# released name -> ours, inside level 1
FIRST = {
    "conv02": "stem",
    "conv11": "bases.coordinates",
    "linear": "classifier",
    "layer01.conv1": "bases.layers.0.convolution",
    "layer01.bn1": "bases.layers.0.norm",
    "layer01.conv2": "bases.layers.1.convolution",
    "layer01.bn2": "bases.layers.1.norm",
}
# and inside a level above
LEVEL = {
    "con0": "projection.convolution",
    "bn0": "projection.norm",
    "conv1g": "bases.mix.convolution",
    "bn1g": "bases.mix.norm",
    "conv2g": "bases.refine.convolution",
    "bn2g": "bases.refine.norm",
    "fc1_1": "affine.hidden.0",
    "ln11": "affine.hidden_norms.0",
    "fc2_1": "affine.hidden.1",
    "ln21": "affine.hidden_norms.1",
    "fc1_2": "affine.channel_scale",
    "fc1_3": "affine.channel_shift",
    "fc1_4": "affine.matrix",
    "fc1_5": "affine.shift",
}
BLOCK = re.compile(r"(?:layer02|layer)\.(\d+)\.(conv|bn)([12])")


def renamed(name: str) -> str | None:
    """Our name of a released parameter; None for the grid, which is stored there and computed here."""
    if name == "gridt":
        return None
    rest, kind = name.rsplit(".", 1)
    found = re.fullmatch(r"lvl(\d+)\.(.+)", rest)
    prefix = f"levels.{int(found[1]) - 2}." if found else ""
    rest = found[2] if found else rest
    if block := BLOCK.fullmatch(rest):
        part = "convolution" if block[2] == "conv" else "norm"
        return f"{prefix}blocks.{block[1]}.layers.{int(block[3]) - 1}.{part}.{kind}"
    ours = (LEVEL if found else FIRST).get(rest)
    if ours is None:
        raise ValueError(f"{name!r} is no parameter of the released DGM ResNet")
    return f"{prefix}{ours}.{kind}"


def network_of_released(released: dict[str, Tensor]) -> DGM:
    """The network that a released state dict describes, with its weights, in evaluation mode.

    Its inputs are images standardised by CIFAR's means and deviations, not images in [-1, 1].
    """
    state = {new: value for name, value in released.items() if (new := renamed(name)) is not None}
    num_levels = 1 + len({name.split(".")[1] for name in state if name.startswith("levels.")})
    prefixes = ["blocks.", *(f"levels.{i}.blocks." for i in range(num_levels - 1))]
    blocks = [len({name[len(p) :].split(".")[0] for name in state if name.startswith(p)}) for p in prefixes]
    num_classes, channels = state["classifier.weight"].shape
    with torch.device("meta"):
        network = DGM(
            image_channels=state["stem.weight"].shape[1],
            num_classes=num_classes,
            channels=channels,
            blocks=blocks,
            variant="released",
        )
    network.load_state_dict(state, assign=True)
    return network.eval()
