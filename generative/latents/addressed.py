"""Choices and weights as functions of (stream, number): of one number at a time, so that no batch can round them otherwise."""

from __future__ import annotations

import torch
from scipy.special import gammaincinv
from torch import Tensor

from generative.randomness import Stream


def distinct(stream: Stream, number: int, n: int, size: int) -> Tensor:
    """``n`` distinct numbers of 0 .. size - 1, int64 [n], every ordered choice as likely: the start of a shuffle of Fisher-Yates.

    Only what was moved is kept, so that 2 of 60,000 cost 2 steps. (Bias below size / 2^64.)
    """
    assert 1 <= n <= size, (n, size)
    moved: dict[int, int] = {}
    chosen = []
    for place, word in enumerate(stream.bits(number, 1, n)[0].tolist()):
        other = place + word % (size - place)
        chosen.append(moved.get(other, other))
        moved[other] = moved.get(place, place)
    return torch.tensor(chosen)


def normals(stream: Stream, number: int, count: int) -> Tensor:
    """Standard normal numbers, float64 [count]."""
    return stream.normal(number, 1, count)[0].double()


def uniform(stream: Stream, number: int) -> float:
    """A number of the open interval (0, 1)."""
    return float(stream.open_uniform(number, 1, 1))


def dirichlet(stream: Stream, number: int, n: int, *, alpha: float) -> Tensor:
    """Weights of the symmetric Dirichlet law, float64 [n]; alpha 1 is uniform on the simplex.

    Gamma variates divided by their sum, as logarithms: log G(alpha) = log G(alpha + 1) + log(U) / alpha (Marsaglia and Tsang
    2000, section 6), since G(alpha) itself is 0 in floating point where alpha is small.
    """
    first, second = stream.open_uniform(number, 1, 2, n)[0]
    larger = torch.from_numpy(gammaincinv(alpha + 1.0, first.numpy()))
    return torch.softmax(larger.log() + second.log() / alpha, dim=0)
