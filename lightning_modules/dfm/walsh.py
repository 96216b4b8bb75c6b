"""The coefficients that a fit moves where its steps are the same in every orthonormal basis: those of the half-angle form.

The change from ``full`` coefficients is orthonormal, so Muon's steps are the same in both, and here no step has to make it.
All hidden layers are one tensor, which an optimiser moves at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_modules.dfm.half_angle import HalfAngles, from_half_angles, to_half_angles
from lightning_modules.dfm.networks import Shape, adds_input


def to_walsh(coefficients: Sequence[Tensor], shape: Shape) -> list[Tensor]:
    """``full`` coefficients, [..., rows, outputs] each, as rows P and Q of each output of a layer.

    The first layer [..., width, 8], all hidden ones [..., depth - 1, width, 2^(width+1)], where there are any, and the last
    [..., channels, 2^(width+1)].
    """
    layers = [
        torch.cat(to_half_angles(matrix, inputs), dim=-2).mT
        for matrix, (inputs, _) in zip(coefficients, shape.sizes, strict=True)
    ]
    hidden = [torch.stack(layers[1:-1], dim=-3)] if shape.depth > 1 else []
    return [layers[0], *hidden, layers[-1]]


def from_walsh(parameters: Sequence[Tensor], shape: Shape) -> list[Tensor]:
    """The way back of :func:`to_walsh`."""
    first, *hidden, last = parameters
    layers = [first, *(layer for part in hidden for layer in part.unbind(-3)), last]
    found = []
    for rows, (inputs, _) in zip(layers, shape.sizes, strict=True):
        p, q = rows.mT.chunk(2, dim=-2)
        found.append(from_half_angles(p, q, inputs))
    return found


@dataclass(frozen=True)
class WalshNetworks:
    """The networks of a shape, of kernel ``full``, as a family of functions of what :func:`to_walsh` gives."""

    shape: Shape

    def __call__(self, points: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        first, *hidden, last = parameters
        x: Tensor = HalfAngles.apply(points.mT, sides_of(first))
        for rows in hidden[0].unbind(-3) if hidden else ():
            found = HalfAngles.apply(x, sides_of(rows))
            x = x + found if self.shape.residual else found
        found = HalfAngles.apply(x, sides_of(last))
        return torch.tanh(x + found if adds_input(self.shape, self.shape.depth) else found).mT


def sides_of(rows: Tensor) -> Tensor:
    """Rows P and Q of each output, [..., n, 2^(m+1)], one below the other: [..., 2 n, 2^m]."""
    return rows.unflatten(-1, (2, -1)).flatten(-3, -2)
