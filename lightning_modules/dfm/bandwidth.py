"""How fine each layer of a network sees: the rms frequency of its hidden values over the image, and what it starts at.

A layer's own frequencies are 0 and 1, and a composition multiplies: the mean squared derivative grows by 1 + chi a layer that
adds its input. So bandwidth grows geometrically with depth, where the thesis (section 4.2.1) says that two layers of
frequency f can have up to f^2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_modules.dfm.layer import frequencies
from lightning_modules.dfm.networks import Shape, adds_input, hidden_states
from lightning_modules.dfm.start import CHI, FIRST, growth

LEAST_CHI = 0.03  # of an image that is smoother than what the first layer alone makes of it


def rms_frequencies(points: Tensor, coefficients: Sequence[Tensor], shape: Shape) -> list[float]:
    """Of each hidden layer, in cycles an image, of networks [..., rows, outputs] at ``points`` [P, 2]: one number a layer.

    sqrt(E |gradient|^2 / (4 pi^2 variance)), with the exact derivatives by the position, means over points, the variance of
    each value over the points, and means over values and networks of both before the quotient.
    """

    def hidden(at: Tensor) -> tuple[Tensor, ...]:
        return tuple(hidden_states(at, coefficients, shape)[:-1])

    squares = [0.0] * shape.depth
    states: tuple[Tensor, ...] = ()
    for axis in torch.eye(2).to(points):
        states, slopes = torch.func.jvp(hidden, (points,), (axis.expand_as(points),))[:2]
        squares = [total + float(slope.square().mean()) for total, slope in zip(squares, slopes, strict=True)]
    variances = [float(state.var(dim=-2, correction=0).mean()) for state in states]
    return [math.sqrt(square / variance) / (2.0 * math.pi) for square, variance in zip(squares, variances, strict=True)]


def rms_frequencies_at_start(shape: Shape, scales: Sequence[float]) -> list[float]:
    """The closed form of :func:`rms_frequencies` for normal coefficients of these ``scales``, over draws.

    The first layer has mean squared gradient 4 pi^2 s^2 sum_k |k|^2 and variance s^2 a frequency but 0. A further one multiplies
    the first by 1 + chi and adds its tau^2 to the second, as if its input spread over a whole period; without its input added
    it has chi and tau^2 alone. An upper bound of the variance, so a little low.
    """
    first = frequencies(2, shape.kernel)
    lengths = first.square().sum(dim=1)
    square, variance = scales[0] ** 2 * float(lengths.sum()), scales[0] ** 2 * float((lengths > 0).sum())
    share = len(frequencies(shape.width, shape.kernel)) / 2**shape.width  # of all frequencies
    found = [math.sqrt(square / variance)]
    for place in range(1, shape.depth):
        kept = float(adds_input(shape, place))
        square *= kept + share * growth(scales[place], shape.width)
        variance = kept * variance + share * 2**shape.width * scales[place] ** 2
        found.append(math.sqrt(square / variance))
    return found


def rms_frequency_of_colours(shape: Shape, *, first: float, chi: float) -> float:
    """The closed form of what the last layer starts at before tanh, in cycles an image.

    The mean squared derivative of a hidden value by one axis is 2 pi^2 ``first``^2 / 4 in the first layer, and grows by 1 + chi
    a layer after it, by chi without the input added. The last layer multiplies it by 2 pi^2 m 2^m s^2 and has variance 2^m s^2,
    whatever its s, as if its input spread over a whole period:

        f^2 = 2 pi^2 m first^2 (1 + chi)^(depth - 1).
    """
    return first * math.sqrt(2.0 * shape.width * (shape.residual + chi) ** (shape.depth - 1)) * math.pi


def chi_of_frequency(frequency: float, shape: Shape, *, first: float = FIRST) -> float:
    """chi by which :func:`rms_frequency_of_colours` is ``frequency``, in cycles an image, or :data:`LEAST_CHI` where that is more.

    A network without hidden layers after its first has no chi to choose, and takes :data:`~lightning_modules.dfm.start.CHI`.
    """
    if shape.depth == 1:
        return CHI
    without = frequency / rms_frequency_of_colours(shape, first=first, chi=1.0 - shape.residual)
    return max(LEAST_CHI, without ** (2.0 / (shape.depth - 1)) - shape.residual)


def rms_frequencies_of_images(images: Tensor, mask: Tensor | None = None) -> list[float]:
    """Of images [N, C, H, W], in cycles an image: one number each, 0 of an image of one colour.

    As :func:`rms_frequencies`, with differences of neighbouring pixels for derivatives, and not across the edges. Only pixels
    count where ``mask`` [H, W] is true, and differences between two of them.
    """
    colours, height, width = images.double(), *images.shape[-2:]
    known = torch.ones(height, width, dtype=torch.bool, device=images.device) if mask is None else mask
    squares = colours.new_zeros(len(colours))
    for size, before, after in (
        (width, (..., slice(None, -1)), (..., slice(1, None))),
        (height, (..., slice(None, -1), slice(None)), (..., slice(1, None), slice(None))),
    ):
        slopes = (size * (colours[after] - colours[before]))[..., known[before] & known[after]]
        if slopes.numel():
            squares += slopes.square().flatten(1).mean(dim=1)
    variances = colours[..., known].var(dim=-1, correction=0).mean(dim=1)
    found = (squares / variances).sqrt() / (2.0 * math.pi)
    return found.nan_to_num(posinf=0.0).tolist()
