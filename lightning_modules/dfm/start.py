"""How a network of Fourier layers starts: as printed, and so that it trains. The closed forms behind it.

Of i.i.d. coefficients of variance s^2 an output of a layer of m inputs has variance tau^2 = 2^m s^2 over the draws, and its
mean squared derivative grows by chi = 2 pi^2 m 2^m s^2 a layer, by 1 + chi with the input added. The printed variance of
2e-10 has chi of 1e-5: hidden values stay near 0, where every cosine is 1 and every sine a line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from generative.checks import check_choice
from lightning_modules.dfm.networks import Shape

RECIPES = ("ours", "printed")
PRINTED_VARIANCE = 2e-10  # of compression, section 4.2
FIRST = 0.4  # standard deviation of what the first layer gives, over the image: features of the next are independent
CHI = 0.3  # growth of the mean squared derivative a layer
LAST = 0.3  # standard deviation of what the last layer gives


def scale_at(chi: float, width: int) -> float:
    """The standard deviation s of coefficients by which a layer of ``width`` inputs has this growth ``chi``."""
    return math.sqrt(chi / (2.0 * math.pi**2 * width * 2**width))


def growth(scale: float, width: int) -> float:
    """chi, by which the mean squared derivative grows in a layer of ``width`` inputs and coefficients of this ``scale``."""
    return 2.0 * math.pi**2 * width * 2**width * scale**2


def output_covariance(scale: float, delta: Tensor) -> Tensor:
    """E[h(x) h(x + delta)] over the coefficients of ``full``, for delta [..., m]: [...].

    tau^2 cos(pi sum_j delta_j) prod_j cos(pi delta_j), with tau^2 = 2^m scale^2.
    """
    width = delta.shape[-1]
    return 2**width * scale**2 * (math.pi * delta.sum(dim=-1)).cos() * (math.pi * delta).cos().prod(dim=-1)


def first_scales(shape: Shape, *, first: float = FIRST, chi: float = CHI, last: float = LAST) -> list[float]:
    """The standard deviation of each layer's coefficients that trains; ``odd``, of half the features, takes sqrt(2) of it."""
    factor = math.sqrt(2.0) if shape.kernel == "odd" else 1.0
    hidden = [scale_at(chi, shape.width)] * (shape.depth - 1)
    return [factor * scale for scale in (first / 2.0, *hidden, last / 2.0 ** (shape.width / 2))]


def printed_scales(shape: Shape, *, variance: float = PRINTED_VARIANCE) -> list[float]:
    """One standard deviation for every layer."""
    return [math.sqrt(variance)] * len(shape.matrices)


def scales_of(recipe: str, shape: Shape) -> list[float]:
    """Those of ``recipe``, for compression; ValueError for a recipe that there is not."""
    check_choice("recipe", recipe, RECIPES)
    return first_scales(shape) if recipe == "ours" else printed_scales(shape)


def random_coefficients(
    shape: Shape, scales: Sequence[float], *, generator: torch.Generator, networks: tuple[int, ...] = ()
) -> list[Tensor]:
    """Normal coefficients, a matrix a layer: float32 [*networks, rows, outputs] each."""
    return [
        scale * torch.randn(*networks, *matrix, generator=generator)
        for scale, matrix in zip(scales, shape.matrices, strict=True)
    ]
