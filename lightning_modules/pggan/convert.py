"""PGGAN generators that others published -> ours: the mirror's state dict, and arrays by the official names.

The mirror of multi-code inversion has ``layer<k>.conv.weight`` and ``output<i>.conv.weight``, or, for an enlarging
convolution as one transposed one, ``layer<k>.weight`` [3, 3, in, out]. The official files are pickles, which run code and are
never read here: export their arrays into an .npz where TensorFlow is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from lightning_modules.pggan.growth import Stage
from lightning_modules.pggan.networks import Generator, channels

LOD = "lod"  # levels below the full size that a stored network draws
OFFICIAL_BLOCKS = {"Dense": 0, "Conv": 1, "Conv0": 0, "Conv0_up": 0, "Conv1": 1}  # place in its size


def generator_of_released(released: Mapping[str, Tensor]) -> Generator:
    """The generator that the mirror's state dict describes, with its weights, at the stage that its ``lod`` says.

    The mirror was made for grown networks: at a fractional lod it draws the last complete level. ValueError where a key or
    a shape fits nothing.
    """
    given = dict(released)
    stated = given.pop(LOD, torch.zeros(()))
    if not isinstance(stated, Tensor) or stated.numel() != 1:
        raise ValueError(f"lod is one number, got {stated!r}")
    lod = float(stated)
    ours: dict[str, Tensor] = {}
    for name, value in given.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"{name!r} is no array of weights but {type(value).__name__}")
        new, weights = of_mirror(name, value)
        ours[new] = weights.float()
    generator = generator_of_sizes(ours)
    levels = generator.levels - math.ceil(lod)
    if not 1 <= levels <= generator.levels:
        raise ValueError(f"lod {lod:g} is no level of a network with {generator.levels} sizes")
    generator.stage = Stage(levels)
    return generator


def of_mirror(name: str, value: Tensor) -> tuple[str, Tensor]:
    """Our name and weights of a parameter of the mirror; ValueError for any other."""
    if found := re.fullmatch(r"(layer|output)(\d+)\.(conv\.weight|wscale\.bias)", name):
        kind = "blocks" if found[1] == "layer" else "to_image"
        return f"{kind}.{found[2]}.{found[3].partition('.')[2]}", value
    if found := re.fullmatch(r"layer(\d+)\.weight", name):
        if value.ndim != 4:
            raise ValueError(f"{name!r} has the shape {tuple(value.shape)}: a kernel [3, 3, in, out] was expected")
        return f"blocks.{found[1]}.weight", value.permute(3, 2, 0, 1).flip(2, 3)  # it scatters where ours gathers
    if found := re.fullmatch(r"layer(\d+)\.bias", name):
        return f"blocks.{found[1]}.bias", value
    raise ValueError(f"{name!r} is no parameter of a released PGGAN generator")


def released_of_generator(generator: Generator, *, fused: bool = False) -> dict[str, Tensor]:
    """The mirror's state dict of our generator; ``fused``: its enlarging convolutions as transposed ones."""
    released: dict[str, Tensor] = {LOD: torch.tensor(float(generator.levels - generator.stage.levels))}
    for name, value in generator.state_dict().items():
        kind, number, part = name.split(".")
        enlarges = kind == "blocks" and int(number) >= 2 and int(number) % 2 == 0
        theirs = f"{'layer' if kind == 'blocks' else 'output'}{number}"
        if fused and enlarges and part == "weight":
            released[f"{theirs}.weight"] = value.flip(2, 3).permute(2, 3, 1, 0)
        else:
            released[f"{theirs}.{'conv.weight' if part == 'weight' else 'wscale.bias'}"] = value
    return released


def generator_of_official(arrays: Mapping[str, np.ndarray]) -> Generator:
    """The generator of arrays by the official names, such as ``8x8/Conv0/weight`` and ``ToRGB_lod0/bias``.

    ValueError where a name or a shape fits nothing. The image is the same; features are not those that the official network
    calls so, whose norm stands at the end of a block.
    """
    sides = [int(found[1]) for name in arrays if (found := re.match(r"([1-9]\d*)x\1/", name))]
    if not sides:
        raise ValueError("these arrays hold no block of an official PGGAN generator, such as 4x4/Dense/weight")
    levels = round(math.log2(max(sides))) - 1
    ours: dict[str, Tensor] = {}
    for name, value in arrays.items():
        new, weights = of_official(name, np.asarray(value), levels)
        ours[new] = torch.from_numpy(np.ascontiguousarray(weights)).float()
    return generator_of_sizes(ours)


def of_official(name: str, value: np.ndarray, levels: int) -> tuple[str, np.ndarray]:
    """Our name and weights of an official array; ValueError for any other."""
    if found := re.fullmatch(r"ToRGB_lod(\d+)/(weight|bias)", name):
        new = f"to_image.{levels - 1 - int(found[1])}.{found[2]}"
        return new, value.transpose(3, 2, 0, 1) if found[2] == "weight" and value.ndim == 4 else value
    found = re.fullmatch(r"([1-9]\d*)x\1/(Dense|Conv|Conv0|Conv0_up|Conv1)/(weight|bias)", name)
    if found is None:
        raise ValueError(f"{name!r} is no array of an official PGGAN generator")
    new = f"blocks.{2 * (round(math.log2(int(found[1]))) - 2) + OFFICIAL_BLOCKS[found[2]]}.{found[3]}"
    if found[3] == "bias":
        return new, value
    match found[2], value.ndim:
        case "Dense", 2 if (
            value.shape[1] % 16 == 0
        ):  # [in, 16 out] to the 4 x 4 places of a convolution, which reads them backwards
            return new, value.reshape(value.shape[0], -1, 4, 4).swapaxes(0, 1)[:, :, ::-1, ::-1]
        case "Conv0_up", 4:  # [k, k, out, in] of a transposed convolution
            return new, value.transpose(2, 3, 0, 1)[:, :, ::-1, ::-1]
        case _, 4:  # [k, k, in, out]
            return new, value.transpose(3, 2, 0, 1)
    raise ValueError(f"{name!r} has the shape {value.shape}, which is none of an official PGGAN generator")


def generator_of_sizes(state: dict[str, Tensor]) -> Generator:
    """A generator with these weights, its sizes read off them; ValueError where they fit none."""
    second = [name for name in state if re.fullmatch(r"blocks\.\d*[13579]\.bias", name)]  # of each size
    levels = len(second)
    wanted = [f"blocks.{2 * level + 1}.bias" for level in range(levels)]
    if levels < 2 or {*wanted, "blocks.0.weight", f"to_image.{levels - 1}.weight"} - state.keys():
        raise ValueError(
            f"these are no weights of a generator of 8 x 8 pixels or more: they hold {', '.join(sorted(state))}"
        )
    for name, number in {**dict.fromkeys(wanted, 1), "blocks.0.weight": 4, f"to_image.{levels - 1}.weight": 4}.items():
        if state[name].ndim != number:
            raise ValueError(f"{name} has the shape {tuple(state[name].shape)}, and {number} dimensions were expected")
    widths = [len(state[name]) for name in wanted]
    most = widths[0]
    base = next((w << (level + 2) for level, w in enumerate(widths) if w < most), most << (levels + 1))
    side = 2 ** (levels + 1)
    image_shape = (len(state[f"to_image.{levels - 1}.weight"]), side, side)
    if channels(levels, base=base, most=most) != widths:
        raise ValueError(f"channels {widths} from 4 x 4 pixels up are none of a PGGAN: base / side, at most {most}")
    with torch.device("meta"):
        generator = Generator(
            image_shape=image_shape, latent_dim=state["blocks.0.weight"].shape[1], base=base, most=most
        )
    check_fits(generator, state)
    generator.load_state_dict(state, assign=True)
    return generator


def check_fits(generator: Generator, state: Mapping[str, Tensor]) -> None:
    """ValueError names the first key or shape that is not the generator's."""
    own = generator.state_dict()
    for name in sorted(own.keys() | state.keys()):
        if name not in state:
            raise ValueError(f"the weights lack {name}, which a generator of {generator.levels} sizes has")
        if name not in own:
            raise ValueError(f"{name} is left over: a generator of {generator.levels} sizes has no such weights")
        if state[name].shape != own[name].shape:
            raise ValueError(
                f"{name} has the shape {tuple(state[name].shape)}, and {tuple(own[name].shape)} was expected"
            )
