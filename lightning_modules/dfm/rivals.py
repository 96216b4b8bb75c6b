"""Other functions of the position for the same images, at the same number of parameters: SIREN, and random Fourier features.

SIREN (Sitzmann et al. 2020, sections 3.1 and 3.2) is the network of COIN (Dupont et al. 2021), which keeps it at 16 bits.
Fourier features (Tancik et al. 2020) feed cosines and sines of random frequencies to layers with ReLU. Both are fitted by the
descent that fits Fourier layers, with Adam at rates of their own and our schedule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from generative.randomness import Stream
from lightning_modules.dfm.descent import Budget, Family, Watch
from lightning_modules.dfm.fitting import Fitted, check_images, fit_family, pixels_of
from lightning_modules.dfm.layer import constant
from lightning_modules.dfm.recipe import Recipe

COIN_BITS = 16  # of a parameter
PIXELS_A_STEP = 2048
WIDEST = 4096  # that is looked at for a number of parameters


def num_parameters(sizes: Sequence[int]) -> int:
    """Of linear layers with biases between these numbers of units."""
    return sum((inputs + 1) * outputs for inputs, outputs in pairwise(sizes))


def linear_layers(
    sizes: Sequence[int], bounds: Sequence[float], *, seed: int, numbers: Iterable[int], name: str
) -> list[Tensor]:
    """Weights and biases in turn, [N, inputs, outputs] and [N, 1, outputs], uniform within +-bound of their layer.

    A function of (seed, number of the image).
    """
    stream, total = Stream(seed, name), num_parameters(sizes)
    uniform = torch.cat([2.0 * stream.uniform(number, 1, total) - 1.0 for number in numbers])
    counts = [count for inputs, outputs in pairwise(sizes) for count in (inputs * outputs, outputs)]
    shapes = [shape for inputs, outputs in pairwise(sizes) for shape in ((inputs, outputs), (1, outputs))]
    parts = zip(uniform.split(counts, dim=1), shapes, (b for b in bounds for _ in range(2)), strict=True)
    return [bound * part.unflatten(1, shape) for part, shape, bound in parts]


@constant
def random_frequencies(seed: int, count: int) -> Tensor:
    """Standard normal, for the columns and the rows: float32 [2, count]."""
    return Stream(seed, "random frequencies").normal(0, 1, 2, count)[0]


class Rival(Family, Protocol):
    """A family of functions that knows its start, its number of parameters and its recipe."""

    @property
    def channels(self) -> int: ...

    @property
    def num_parameters(self) -> int: ...

    @property
    def recipe(self) -> Recipe: ...

    def start(self, *, seed: int, numbers: Sequence[int]) -> list[Tensor]: ...


@dataclass(frozen=True)
class Siren:
    """``layers`` hidden layers of ``width`` sines of ``omega`` times a linear map, and a linear layer at the end.

    Positions are in [-1, 1]. Weights start uniform within 1 / inputs in the first layer and within sqrt(6 / inputs) / omega
    in the others. Its good rate falls with the width: 2e-3 at 36 and 5e-4 at 84 units were found, and the power between them
    is taken.
    """

    width: int
    channels: int
    layers: int = 4
    omega: float = 30.0

    @property
    def sizes(self) -> tuple[int, ...]:
        return (2, *(self.width,) * self.layers, self.channels)

    @property
    def num_parameters(self) -> int:
        return num_parameters(self.sizes)

    @property
    def recipe(self) -> Recipe:
        power = math.log(4.0) / math.log(84.0 / 36.0)
        return Recipe("siren", "adam", 2e-3 * (36.0 / self.width) ** power, PIXELS_A_STEP)

    def start(self, *, seed: int, numbers: Sequence[int]) -> list[Tensor]:
        bounds = [math.sqrt(6.0 / self.width) / self.omega] * (self.layers + 1)
        bounds[0] = 0.5
        return linear_layers(self.sizes, bounds, seed=seed, numbers=numbers, name="siren")

    def __call__(self, points: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        x = 2.0 * points - 1.0
        *hidden, last_weight, last_bias = parameters
        for weight, bias in zip(hidden[::2], hidden[1::2], strict=True):
            x = (self.omega * (x @ weight + bias)).sin()
        return x @ last_weight + last_bias


@dataclass(frozen=True)
class FourierFeatures:
    """Cosines and sines of ``frequencies`` random frequencies, ``layers`` hidden layers of ``width`` ReLUs, tanh at the end.

    Frequencies are normal with standard deviation ``spread``, in cycles an image, the same for all images of a seed, and no
    parameters: the seed says them. Weights start by He's rule.
    """

    frequencies: int
    width: int
    channels: int
    seed: int = 0
    layers: int = 2
    spread: float = 10.0

    @property
    def sizes(self) -> tuple[int, ...]:
        return (2 * self.frequencies, *(self.width,) * self.layers, self.channels)

    @property
    def num_parameters(self) -> int:
        return num_parameters(self.sizes)

    @property
    def recipe(self) -> Recipe:
        return Recipe("fourier_features", "adam", 5e-3, PIXELS_A_STEP)

    def start(self, *, seed: int, numbers: Sequence[int]) -> list[Tensor]:
        bounds = [math.sqrt(6.0 / inputs) for inputs in self.sizes[:-1]]
        return linear_layers(self.sizes, bounds, seed=seed, numbers=numbers, name="fourier features")

    def __call__(self, points: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        angles = 2.0 * math.pi * self.spread * points @ random_frequencies(self.seed, self.frequencies).to(points)
        x = torch.cat([angles.cos(), angles.sin()], dim=-1)
        *hidden, last_weight, last_bias = parameters
        for weight, bias in zip(hidden[::2], hidden[1::2], strict=True):
            x = torch.relu(x @ weight + bias)
        return torch.tanh(x @ last_weight + last_bias)


def nearest(parameters: int, of_width: Callable[[int], Rival]) -> Rival:
    """The width whose number of parameters is nearest to this; ValueError where even one unit is far too many."""
    best = min(map(of_width, range(1, WIDEST)), key=lambda rival: abs(rival.num_parameters - parameters))
    if best.num_parameters > 2 * parameters:
        raise ValueError(
            f"the smallest network has {best.num_parameters} parameters, and {parameters} were asked for: ask for more"
        )
    return best


def siren_of(parameters: int, channels: int) -> Rival:
    """A SIREN of four hidden layers with about so many parameters."""
    return nearest(parameters, lambda width: Siren(width, channels))


def fourier_features_of(parameters: int, channels: int, *, seed: int = 0) -> Rival:
    """Random features and two hidden layers, with two frequencies to three units, of about so many parameters."""
    return nearest(parameters, lambda width: FourierFeatures(max(1, round(2 * width / 3)), width, channels, seed))


def coin_bytes(rival: Rival) -> int:
    """What COIN takes to keep a network: its parameters at 16 bits, without header or entropy coding."""
    return math.ceil(rival.num_parameters * COIN_BITS / 8)


def fit_rival(
    images: Tensor,
    rival: Rival,
    budget: Budget,
    *,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
    mask: Tensor | None = None,
    compiled: bool = True,
    watch: Watch | None = None,
) -> Fitted:
    """What :func:`~lightning_modules.dfm.fitting.fit` does for networks of Fourier layers, with the rival's own recipe."""
    check_images(images, rival.channels)
    pixels = pixels_of(images, seed=seed, numbers=numbers or range(len(images)), mask=mask)
    start = [part.to(images.device) for part in rival.start(seed=seed, numbers=pixels.numbers)]
    return fit_family(rival, start, pixels, rival.recipe, budget, compiled=compiled, watch=watch)
