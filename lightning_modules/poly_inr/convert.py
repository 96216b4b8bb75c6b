"""The authors' released Poly-INR state dict -> our generator. Sizes are read off the weights."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from lightning_modules.poly_inr.networks import Generator

# released name -> ours, of the parts that are not numbered by level
FIXED = {
    "mapping.embed.": "mapping.embedding.",
    "mapping.embed_proj.": "mapping.embedding_projection.",
    "mapping.w_avg": "mapping.average",
    "synthesis.to_rgb.": "synthesis.to_image.",
}
# released number of a linear layer of a level -> our head
HEADS = {"1": "scale", "2": "bias", "3": "grid_matrix", "4": "grid_shift"}


def renamed(name: str) -> str | None:
    """Our name of a released parameter; None for the coordinate grid, which is stored there and computed here."""
    for theirs, ours in FIXED.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    if found := re.fullmatch(r"mapping\.fc(\d+)\.(weight|bias)", name):
        return f"mapping.layers.{found[1]}.{found[2]}"
    # Level 0 stands in the synthesis network itself, level i in its child fb<i>.
    if found := re.fullmatch(r"synthesis\.(?:fb(\d+)\.)?fc0_([1-4])\.(weight|bias)", name):
        return f"heads.heads.{found[1] or 0}.{HEADS[found[2]]}.{found[3]}"
    if found := re.fullmatch(r"synthesis\.fb(\d+)\.fc0_5\.(weight|bias)", name):
        return f"heads.styles.{int(found[1]) - 1}.{found[2]}"
    if found := re.fullmatch(r"synthesis\.(?:fc0_0|fb(\d+)\.fb0\.fc1)\.(weight|bias)", name):
        return f"synthesis.levels.{found[1] or 0}.{found[2]}"
    if re.search(r"coord|grid", name):
        return None
    raise ValueError(f"{name!r} is no parameter of the released Poly-INR generator")


def convert_released(released: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict for :class:`Generator`. An embedding that an unconditional mapping never reads is left out."""
    conditional = released["mapping.w_avg"].ndim == 2
    ours: dict[str, Tensor] = {}
    for name, value in released.items():
        new = renamed(name)
        if new is None or (not conditional and new.startswith("mapping.embedding")):
            continue
        ours[new] = value
    ours["mapping.average"] = ours["mapping.average"].reshape(-1, ours["mapping.average"].shape[-1])
    # A 1 x 1 convolution there, the same linear layer here.
    ours["synthesis.to_image.weight"] = ours["synthesis.to_image.weight"].flatten(1)
    return ours


def generator_of_released(released: dict[str, Tensor]) -> Generator:
    """The generator that a released state dict describes, with its weights."""
    state = convert_released(released)
    conditional = "mapping.embedding.weight" in state
    inputs = state["mapping.layers.0.weight"].shape[1]
    with torch.device("meta"):
        generator = Generator(
            image_channels=state["synthesis.to_image.weight"].shape[0],
            num_classes=state["mapping.embedding.weight"].shape[0] if conditional else 0,
            parameterization="released",
            num_levels=sum(name.startswith("synthesis.levels.") and name.endswith(".weight") for name in state),
            width=state["synthesis.to_image.weight"].shape[1],
            latent_dim=inputs // 2 if conditional else inputs,
            w_dim=state["mapping.layers.0.weight"].shape[0],
            embedding_dim=state["mapping.embedding.weight"].shape[1] if conditional else 320,
        )
    generator.load_state_dict(state, assign=True)
    return generator
