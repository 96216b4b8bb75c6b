"""Networks of Fourier layers: from the position of a pixel to its colour, as a function of a list of coefficients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from generative.checks import check_at_least, check_choice
from lightning_modules.dfm.layer import KERNELS, fourier_layer, num_features

Layer = Callable[[Tensor, Tensor, str], Tensor]


@dataclass(frozen=True)
class Shape:
    """What a network of Fourier layers looks like: ``depth`` + 1 layers, 2 -> width, width -> width, ..., width -> channels.

    A layer whose input and output have as many numbers adds its input (``residual``); the first never does, so that the
    network has period 1 in the position. tanh ends it.
    """

    width: int
    depth: int
    channels: int
    kernel: str = "full"
    residual: bool = True

    def __post_init__(self) -> None:
        check_at_least(1, width=self.width, depth=self.depth, channels=self.channels)
        check_choice("kernel", self.kernel, KERNELS)

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """The numbers into and out of each layer."""
        widths = (2, *(self.width,) * self.depth, self.channels)
        return tuple(pairwise(widths))

    @property
    def matrices(self) -> tuple[tuple[int, int], ...]:
        """The shape of each layer's matrix of coefficients: features by outputs."""
        return tuple((num_features(inputs, self.kernel), outputs) for inputs, outputs in self.sizes)

    @property
    def num_coefficients(self) -> int:
        return sum(rows * columns for rows, columns in self.matrices)

    def split(self, numbers: Tensor) -> list[Tensor]:
        """All coefficients in one vector [..., num_coefficients] as a matrix a layer, each row by row."""
        counts = [rows * columns for rows, columns in self.matrices]
        parts = numbers.split(counts, dim=-1)
        return [part.unflatten(-1, matrix) for part, matrix in zip(parts, self.matrices, strict=True)]


def join(coefficients: Sequence[Tensor]) -> Tensor:
    """The way back of :meth:`Shape.split`."""
    return torch.cat([matrix.flatten(-2) for matrix in coefficients], dim=-1)


def adds_input(shape: Shape, place: int) -> bool:
    """Whether the layer at ``place`` adds its input to its output."""
    inputs, outputs = shape.sizes[place]
    return shape.residual and place > 0 and inputs == outputs


def hidden_states(
    points: Tensor, coefficients: Sequence[Tensor], shape: Shape, layer: Layer = fourier_layer
) -> list[Tensor]:
    """The output of every layer, before tanh, at ``points`` [..., P, 2] in periods: [..., P, width or channels] each."""
    states, x = [], points
    for place, matrix in enumerate(coefficients):
        found = layer(x, matrix, shape.kernel)
        x = x + found if adds_input(shape, place) else found
        states.append(x)
    return states


def colours(points: Tensor, coefficients: Sequence[Tensor], shape: Shape, layer: Layer = fourier_layer) -> Tensor:
    """The network's values at ``points`` [..., P, 2], (column / W, row / H): [..., P, channels] in (-1, 1)."""
    return torch.tanh(hidden_states(points, coefficients, shape, layer)[-1])


def pixel_positions(height: int, width: int, *, shift: float = 0.0) -> Tensor:
    """(column / W, row / H) of every pixel, row by row: float64 [height * width, 2], moved by ``shift`` of a pixel.

    Not column / (W - 1): a network has period 1, so the last pixel of a row would be the first again. With ``cas`` a shift
    of 1/4 keeps all pixels apart where 4 divides the sides.
    """
    columns = (torch.arange(width, dtype=torch.float64) + shift) / width
    rows = (torch.arange(height, dtype=torch.float64) + shift) / height
    return torch.stack([columns.repeat(height), rows.repeat_interleave(width)], dim=1)
