"""What the law of a coordinate and the law of its interpolated points have to do with each other (section 4.3).

A density is a vector p [n], the masses of n bins of one width: a value is (bin + u) / n with u uniform on [0, 1). A point of
the path z_lambda = (1 - lambda) z1 + lambda z2 of two independent values has a law on the same bins, the masses Q [n]. Two laws
are here: :class:`LinearPath`, exact at every rational lambda, and :class:`EvenSums`, which the chapter optimised.

Everything is float64 and by direct convolution. A Fourier transform has absolute errors larger than the masses of the tails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

Array = NDArray[np.float64]


class LawOnPath(Protocol):
    """The law of an interpolated point as a function of the law of its two ends."""

    def masses(self, density: Array) -> Array:
        """Q [n] of the masses ``density`` [n]."""

    def pull_back(self, density: Array, slopes: Array) -> Array:
        """The gradient [n] by ``density`` of a function whose gradient by Q is ``slopes`` [n]."""


@dataclass(frozen=True)
class EvenSums:
    """The chapter's law of a midpoint: bins i and j whose sum is 2k give bin k, and what is left is renormalised.

    Odd sums are lost, by which half of the mass in each of two bins of opposite parity has divergence 0 at any distance.
    """

    def masses(self, density: Array) -> Array:
        even = np.convolve(density, density)[::2]
        return even / even.sum()

    def pull_back(self, density: Array, slopes: Array) -> Array:
        even = np.convolve(density, density)[::2]
        total = even.sum()
        by_sums = stretched((slopes - slopes @ even / total) / total, 2)
        return 2.0 * np.correlate(by_sums, density, "valid")


@dataclass(frozen=True)
class LinearPath:
    """The exact law of z_lambda at a rational lambda other than 0 and 1, whose law is that of the ends.

    At 1/2 it is Q_k = c_2k + (c_2k-1 + c_2k+1) / 2 with c = p * p: the sum of two uniform numbers has a triangular density. In
    general lambda = a / b, and b z_lambda falls into unit cells by (b - a) i + a j of the bins i and j and by the cell of
    (b - a) u1 + a u2; b cells make a bin. Extrapolated points can fall outside of the bins: then Q sums to less than 1.
    """

    at: Fraction

    def __post_init__(self) -> None:
        assert self.at not in (0, 1)

    @property
    def steps(self) -> tuple[int, int]:
        """b - a and a, the larger first: the two ends have one law, so lambda and 1 - lambda are one path."""
        a, b = self.at.numerator, self.at.denominator
        return max(a, b - a), min(a, b - a)

    def masses(self, density: Array) -> Array:
        large, small = self.steps
        second = density if small > 0 else density[::-1]  # -z has the mirrored law
        sums = np.zeros((large + abs(small)) * (len(density) - 1) + 1)
        for residue in range(min(large, len(density))):
            found = np.convolve(density, stretched(second[residue::large], abs(small)))
            sums[residue * abs(small) :: large][: len(found)] = found
        cells = np.convolve(sums, cell_masses(large, abs(small)))
        return cells[self.inside(len(density))].reshape(len(density), -1).sum(axis=1)

    def pull_back(self, density: Array, slopes: Array) -> Array:
        large, small = self.steps
        second = density if small > 0 else density[::-1]
        by_cells = np.zeros((large + abs(small)) * len(density))
        by_cells[self.inside(len(density))] = np.repeat(slopes, self.at.denominator)
        by_sums = np.correlate(by_cells, cell_masses(large, abs(small)), "valid")
        by_first, by_second = np.zeros_like(density), np.zeros_like(density)
        for residue in range(min(large, len(density))):
            part = stretched(second[residue::large], abs(small))
            seen = by_sums[residue * abs(small) :: large][: len(density) + len(part) - 1]
            by_first += np.correlate(seen, part, "valid")
            by_second[residue::large] = np.correlate(seen, density, "valid")[:: abs(small)]
        return by_first + (by_second if small > 0 else by_second[::-1])

    def inside(self, count: int) -> slice:
        """The unit cells that lie in the ``count`` bins."""
        first = max(-self.steps[1], 0) * count
        return slice(first, first + self.at.denominator * count)


MIDPOINT = LinearPath(Fraction(1, 2))


def stretched(values: Array, factor: int) -> Array:
    """``values`` [m] with ``factor`` - 1 zeros between neighbours: [(m - 1) factor + 1]."""
    apart = np.zeros((len(values) - 1) * factor + 1)
    apart[::factor] = values
    return apart


def cell_masses(large: int, small: int) -> Array:
    """P(floor(large u1 + small u2) = m) for m = 0 .. large + small - 1, u1 and u2 uniform on [0, 1)."""
    ends = np.arange(large + small + 1)
    below = ends**2 - np.maximum(ends - large, 0) ** 2 - np.maximum(ends - small, 0) ** 2
    return np.diff(below) / (2.0 * large * small)


@dataclass(frozen=True)
class Divergence:
    """``value`` of P and Q, both [n], in nats, and its ``slopes`` by P and by Q, for which both must be positive."""

    value: Callable[[Array, Array], float]
    slopes: Callable[[Array, Array], tuple[Array, Array]]


def missed(p: Array, q: Array) -> float:
    """KL(P|Q), the chapter's: how much of the prior midpoints miss; infinite where they miss all of a bin.

    Q may lack the mass of points that lie outside of P's bins.
    """
    return float(rel_entr(p, q).sum())


def outside(p: Array, q: Array) -> float:
    """KL(Q|P): how far midpoints lie outside of the prior; infinite where they leave its support."""
    return float(rel_entr(q, p).sum()) if q.sum() > 1.0 - 1e-9 else float("inf")


def symmetric(p: Array, q: Array) -> float:
    """KL(P|M) + KL(Q|M) with M = (P + Q) / 2, twice the Jensen-Shannon divergence. Q's mass outside of the bins counts."""
    middle = 0.5 * (p + q)
    return float((rel_entr(p, middle) + rel_entr(q, middle)).sum() + np.log(2.0) * max(0.0, 1.0 - q.sum()))


def jensen_shannon(p: Array, q: Array) -> float:
    """Half of :func:`symmetric`: from 0 to ln 2."""
    return 0.5 * symmetric(p, q)


def squared_distance(p: Array, q: Array) -> float:
    """The square of the l2 distance of the masses, no unit."""
    return float(np.square(p - q).sum())


DIVERGENCES = {
    "missed": Divergence(missed, lambda p, q: (np.log(p / q) + 1.0, -p / q)),
    "outside": Divergence(outside, lambda p, q: (-q / p, np.log(q / p) + 1.0)),
    # By Q less ln 2, since mass that enters the bins no longer counts as outside; of a Q that sums to 1 no constant matters.
    "symmetric": Divergence(symmetric, lambda p, q: (np.log(2.0 * p / (p + q)), np.log(q / (p + q)))),
    "l2": Divergence(squared_distance, lambda p, q: (2.0 * (p - q), 2.0 * (q - p))),
}
