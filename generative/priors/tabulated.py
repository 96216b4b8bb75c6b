"""Priors whose coordinates have a density given by a table: piecewise constant on bins of one width."""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from generative.priors.base import ProductPrior
from generative.priors.divergences import Array


class Table(NamedTuple):
    """``first`` is the lower edge of the first bin, ``width`` that of each; ``masses`` and ``below`` [n] are float64."""

    first: float
    width: float
    masses: Tensor
    below: Tensor  # the mass below each bin


class Tabulated(ProductPrior):
    """A coordinate falls into a bin by its mass and is uniform inside of it (section 4.3.2, remark on continuous samples).

    ``jitter`` false leaves it at the centre of its bin: an ablation, since half of the midpoints then lie between centres.

    Its mean is 0. Its scale is set by ``deviation``, the standard deviation of a coordinate, 1 by default, or by ``half_width``,
    half of the width of all bins together.
    """

    def __init__(self, *, deviation: float | None = None, half_width: float | None = None, jitter: bool = True) -> None:
        if deviation is not None and half_width is not None:
            raise ValueError(
                f"deviation {deviation} and half_width {half_width} both set the scale: make one of them null"
            )
        for name, given in (("deviation", deviation), ("half_width", half_width)):
            if given is not None and not 0 < given < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {given}")
        self.deviation = 1.0 if deviation is None else deviation
        self.half_width = half_width
        self.jitter = jitter

    @property
    @abstractmethod
    def density(self) -> Array:
        """Masses of the bins, float64 [n], of sum 1."""

    @cached_property
    def table(self) -> Table:
        masses = self.density / self.density.sum()
        edges = np.arange(len(masses))  # the lower ones, in bins
        mean = masses @ (edges + 0.5)
        of_place = 1.0 / 12.0 if self.jitter else 0.0  # the variance of a number uniform on a bin
        spread = math.sqrt(masses @ (edges + 0.5 - mean) ** 2 + of_place)
        width = self.deviation / spread if self.half_width is None else 2.0 * self.half_width / len(masses)
        above = np.cumsum(masses)
        below = np.concatenate([[0.0], above[:-1]]) / above[-1]
        return Table(-mean * width, width, torch.from_numpy(masses), torch.from_numpy(below))

    def cdf(self, values: Tensor) -> Tensor:
        table = self.table
        place = ((values - table.first) / table.width).clamp(0.0, len(table.masses))
        bins = place.floor().long().clamp(max=len(table.masses) - 1)
        return table.below[bins] + table.masses[bins] * (place - bins)

    def log_pdf(self, values: Tensor) -> Tensor:
        """ValueError without jitter: a law on points has no density."""
        if not self.jitter:
            raise ValueError("coordinates at the centres of bins have no density: set jitter=true")
        table = self.table
        place = (values - table.first) / table.width
        inside = (place >= 0) & (place < len(table.masses))
        masses = table.masses[place.clamp(0, len(table.masses) - 1).long()]
        return torch.where(inside, masses, 0.0).log() - math.log(table.width)

    def quantile(self, probabilities: Tensor) -> Tensor:
        table = self.table
        # A bin without mass begins where the next one begins: `right` passes it by, unless there is none with mass behind it.
        last = int(table.masses.nonzero()[-1])
        bins = (torch.searchsorted(table.below, probabilities, right=True) - 1).clamp(max=last)
        inside = ((probabilities - table.below[bins]) / table.masses[bins]).clamp(0.0, 1.0) if self.jitter else 0.5
        return table.first + table.width * (bins + inside)
