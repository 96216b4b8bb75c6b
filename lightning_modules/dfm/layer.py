"""The Fourier layer: sums of cosines and sines of whole frequencies, with the coefficients as its weights (thesis, chapter 4).

    h(x) = sum_k a_k cos(2 pi k . x) + b_k sin(2 pi k . x),    k in {0, 1}^m,

for x in R^m. A layer has a matrix of coefficients [rows, n], a row for each feature and a column for each of n outputs. Any
number of axes in front of it hold as many networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, wraps
from typing import ParamSpec

import torch
from torch import Tensor

from generative.checks import check_choice

KERNELS = ("full", "odd", "cas")


Given = ParamSpec("Given")


def constant(table: Callable[Given, Tensor]) -> Callable[Given, Tensor]:
    """``table`` computed once for what it is given, and a constant to torch.compile, which would trace through a cache."""
    once: Callable[..., Tensor] = cache(table)

    @torch.compiler.assume_constant_result
    @wraps(table)
    def known(*given: Given.args, **settings: Given.kwargs) -> Tensor:
        return once(*given, **settings)

    return known


@constant
def frequencies(width: int, kernel: str = "full") -> Tensor:
    """The vectors k, float64 [2^width, width]: row r has k_j = bit j of r. ``odd``: those only with an odd number of ones."""
    every = torch.arange(2**width)
    if kernel == "odd":
        every = every[(every[:, None] >> torch.arange(width) & 1).sum(dim=1) % 2 == 1]
    return (every[:, None] >> torch.arange(width) & 1).double()


def num_features(width: int, kernel: str) -> int:
    """Rows of a layer's matrix: 2^(m+1) of ``full``, 2^m of ``odd`` and of ``cas``. ValueError for another kernel."""
    check_choice("kernel", kernel, KERNELS)
    return 2 ** (width + 1) if kernel == "full" else 2**width


def features(x: Tensor, kernel: str) -> Tensor:
    """Points [..., P, m] -> features [..., P, rows].

    ``full``: the cosines of all k, then their sines. ``odd``: the same of the k with an odd number of ones. ``cas``: cosine
    plus sine of each k, one number for both. It is blind at whole pixels: cas(t) = cas(1/4 - t), so on the lines where a
    coordinate is 0 or 1/2 two points share all their features.
    """
    angles = 2.0 * math.pi * x @ frequencies(x.shape[-1], kernel).to(x).T
    if kernel == "cas":
        return angles.cos() + angles.sin()
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def fourier_layer(x: Tensor, coefficients: Tensor, kernel: str) -> Tensor:
    """h at the points x [..., P, m] by ``coefficients`` [..., rows, n]: [..., P, n]."""
    return features(x, kernel) @ coefficients


@constant
def odd_rows(width: int) -> Tensor:
    """Rows of ``full`` with an odd number of ones in k, of the cosines and then of the sines: int64 [2^width]."""
    return (frequencies(width).sum(dim=1) % 2 == 1).repeat(2).nonzero()[:, 0]


def as_full(coefficients: Tensor, width: int, kernel: str) -> Tensor:
    """The coefficients [..., rows, n] of any kernel as those of ``full``, of the same function: [..., 2^(m+1), n]."""
    if kernel == "full":
        return coefficients
    if kernel == "cas":
        return torch.cat([coefficients, coefficients], dim=-2)
    full = coefficients.new_zeros(*coefficients.shape[:-2], 2 ** (width + 1), coefficients.shape[-1])
    return full.index_copy(-2, odd_rows(width).to(coefficients.device), coefficients)
