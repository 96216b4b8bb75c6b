"""Samplers of laws with the mean and the covariance of a class: what a combination of members has to beat.

Noise of the class's covariance is a combination of all its centred members with normal numbers, sum g_i (z_i - mu_c) /
sqrt(N_c). That is exact whether members outnumber the dimensions (5,000 with D = 2,048) or not (144 with D = 256), where a
Cholesky factor would not exist. An eigendecomposition of 2,048 dimensions takes as long as thousands of draws, and the signs
and the order of its vectors depend on the library.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from generative.latents.addressed import distinct, normals
from generative.latents.bank import Bank
from generative.latents.samplers import Row, Sampler
from generative.randomness import Stream


class ClassMean(Sampler):
    """mu_c for every number: the limit of averages of more and more members."""

    def of_class(self, label: int, stream: Stream) -> Callable[[int], Row]:
        mean = self.bank.mean(label)
        return lambda number: Row(mean)


class Gaussian(Sampler):
    """The normal law with the mean and the covariance (divisor N_c) of the class."""

    def of_class(self, label: int, stream: Stream) -> Callable[[int], Row]:
        mean, noise = self.bank.mean(label), class_noise(self.bank.centred(label), stream)
        return lambda number: Row(mean + noise(number))


class KernelDensity(Sampler):
    """mu_c + sqrt(1 - h^2) (z_i - mu_c) + h e, with a member z_i at random and normal e of the class's covariance.

    The kernel has the ``width`` h in [0, 1]. Members are drawn towards the mean so that the covariance stays the class's
    (Silverman 1986, section 6.4): 0 is a training latent, 1 the normal law. The weight of the member is sqrt(1 - h^2).
    """

    def __init__(self, bank: Bank, width: float) -> None:
        super().__init__(bank)
        if not 0.0 <= width <= 1.0:
            raise ValueError(f"width must be a share of the class's deviation, from 0 to 1, got {width}")
        self.width = width

    def of_class(self, label: int, stream: Stream) -> Callable[[int], Row]:
        members, mean = self.bank.members(label), self.bank.mean(label)
        noise, choices = class_noise(self.bank.centred(label), stream), stream.branch("members")
        kept = math.sqrt(1.0 - self.width**2)

        def row(number: int) -> Row:
            source = members[distinct(choices, number, 1, len(members))]
            latent = mean + kept * (self.bank.rows(source)[0] - mean) + self.width * noise(number)
            return Row(latent, source, torch.tensor([kept], dtype=torch.float64))

        return row


def class_noise(centred: Tensor, stream: Stream) -> Callable[[int], Tensor]:
    """What draws the noise [D] of a number, of the covariance of ``centred`` [N, D] (divisor N)."""
    stream, root = stream.branch("noise"), math.sqrt(len(centred))
    return lambda number: normals(stream, number, len(centred)) @ centred / root
