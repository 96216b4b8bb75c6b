"""The Fourier layer by half angles: half as many features, of norm 1, by products instead of a sine or cosine each.

With S = sum_j x_j and, for every subset A of the m inputs,

    Phi_A(x) = prod_{j in A} sin(pi x_j)  prod_{j not in A} cos(pi x_j),

the layer of ``full`` coefficients a_k, b_k is, for all real x,

    h(x) = 2^(m/2) [ cos(pi S) P^T Phi(x) + sin(pi S) Q^T Phi(x) ],
    P_A - i Q_A = i^|A| 2^(-m/2) sum_k chi_A(k) (a_k - i b_k),    chi_A(k) = prod_{j in A} (2 k_j - 1).

The change of coefficients is orthonormal, a Walsh-Hadamard transform, and sum_A Phi_A(x)^2 = 1. It takes 2m + 2 sines and
cosines a point where :func:`~lightning_modules.dfm.layer.fourier_layer` takes 2^(m+1). Other kernels are taken as the ``full``
coefficients that they stand for.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_modules.dfm.layer import as_full, constant, frequencies


@constant
def signs(width: int) -> Tensor:
    """chi_A(k) over 2^(width/2), orthogonal: float64 [2^width, 2^width], a row for each A and a column for each k."""
    ones = frequencies(width)
    # A factor is -1 for each j that is in A and not in k.
    return (1.0 - 2.0 * ((ones @ (1.0 - ones).T) % 2)) / 2 ** (width / 2)


@constant
def quarter_turns(width: int) -> Tensor:
    """cos and sin of |A| quarter turns, that is the real and imaginary part of i^|A|: float64 [2, 2^width, 1]."""
    cosines, sines = torch.tensor([[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 0.0, -1.0]], dtype=torch.float64)
    sizes = (frequencies(width).sum(dim=1) % 4).long()
    return torch.stack([cosines[sizes], sines[sizes]])[..., None]


def transformed(rows: Tensor, width: int, *, back: bool = False) -> Tensor:
    """The Walsh-Hadamard transform over the second last axis, of 2^width numbers; ``back`` undoes it.

    One matrix product for all networks: a fast transform has fewer operations, and is slower at these sizes.
    """
    matrix = signs(width).to(rows)
    turned = rows.movedim(-2, 0)
    return ((matrix.T if back else matrix) @ turned.flatten(1)).view(turned.shape).movedim(0, -2)


def to_half_angles(coefficients: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """``full`` coefficients [..., 2^(width+1), n] as P and Q [..., 2^width, n] each; the sum of squares stays the same."""
    a, b = (transformed(part, width) for part in coefficients.chunk(2, dim=-2))
    cosines, sines = quarter_turns(width).to(coefficients)
    return cosines * a + sines * b, cosines * b - sines * a


def from_half_angles(p: Tensor, q: Tensor, width: int) -> Tensor:
    """The way back of :func:`to_half_angles`: [..., 2^(width+1), n]."""
    cosines, sines = quarter_turns(width).to(p)
    a, b = cosines * p - sines * q, sines * p + cosines * q
    return torch.cat([transformed(part, width, back=True) for part in (a, b)], dim=-2)


def products(cosines: Tensor, sines: Tensor) -> Tensor:
    """Phi of cosines and sines [..., m, P] of half angles: [..., 2^m, P], row A with j in A where bit j is set.

    Outer product of the features of two halves of the inputs.
    """
    width = cosines.shape[-2]
    if width == 1:
        return torch.cat([cosines, sines], dim=-2)
    low = width // 2
    of_low, of_high = (products(cosines[..., part, :], sines[..., part, :]) for part in (slice(low), slice(low, None)))
    return (of_high[..., :, None, :] * of_low[..., None, :, :]).flatten(-3, -2)


def products_backward(cosines: Tensor, sines: Tensor, by_products: Tensor) -> Tensor:
    """A loss's derivatives by the half angles [..., m, P], of those by Phi [..., 2^m, P]."""
    width = cosines.shape[-2]
    if width == 1:
        return by_products[..., 1:, :] * cosines - by_products[..., :1, :] * sines
    low = width // 2
    halves = [(cosines[..., part, :], sines[..., part, :]) for part in (slice(low), slice(low, None))]
    of_low, of_high = (products(*half) for half in halves)
    table = by_products.unflatten(-2, (of_high.shape[-2], of_low.shape[-2]))
    by_low, by_high = (table * of_high[..., :, None, :]).sum(dim=-3), (table * of_low[..., None, :, :]).sum(dim=-2)
    return torch.cat([products_backward(*half, by) for half, by in zip(halves, (by_low, by_high), strict=True)], dim=-2)


class HalfAngles(torch.autograd.Function):
    """h at the points x [..., m, P] by rows P and Q of each output in turn [..., 2 n, 2^m]: [..., n, P].

    Axes in front may broadcast. Points are the last axis here, so that all sums and products run along whole rows of memory.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, sides: Tensor) -> Tensor:
        angles = math.pi * x
        phi, turn = products(angles.cos(), angles.sin()), angles.sum(dim=-2, keepdim=True)
        both = sides @ phi
        ctx.save_for_backward(x, sides, phi, both)
        of_p, of_q = both.unflatten(-2, (-1, 2)).unbind(-2)
        return 2 ** (x.shape[-2] / 2) * (turn.cos() * of_p + turn.sin() * of_q)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_values: Tensor) -> tuple[Tensor | None, Tensor]:
        x, sides, phi, both = ctx.saved_tensors
        angles = math.pi * x
        turn = angles.sum(dim=-2, keepdim=True)
        scaled = 2 ** (x.shape[-2] / 2) * by_values
        by_both = torch.stack([turn.cos() * scaled, turn.sin() * scaled], dim=-2).flatten(-3, -2)
        by_sides = (by_both @ phi.mT).sum_to_size(sides.shape)
        if not ctx.needs_input_grad[0]:
            return None, by_sides
        of_p, of_q = both.unflatten(-2, (-1, 2)).unbind(-2)
        by_turn = (scaled * (turn.cos() * of_q - turn.sin() * of_p)).sum(dim=-2, keepdim=True)
        by_angles = products_backward(angles.cos(), angles.sin(), sides.mT @ by_both)
        return (math.pi * (by_angles + by_turn)).sum_to_size(x.shape), by_sides


def half_angle_layer(x: Tensor, coefficients: Tensor, kernel: str) -> Tensor:
    """What :func:`~lightning_modules.dfm.layer.fourier_layer` gives: x [..., P, m], coefficients [..., rows, n] -> [..., P, n].

    It can be differentiated once. Several networks may share the points of [P, m].
    """
    width = x.shape[-1]
    sides = torch.stack(to_half_angles(as_full(coefficients, width, kernel), width), dim=-1).flatten(-2).mT
    values: Tensor = HalfAngles.apply(x.mT, sides)
    return values.mT
