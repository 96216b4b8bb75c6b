"""Figure 4.4: histograms of the norms of latents and of their midpoints, and the mass that both have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from generative.priors.base import Prior
from generative.priors.divergences import Array
from generative.priors.norms import drawn_norms, log_histograms
from generative.randomness import Stream

CELLS = 60


class NormHistograms(NamedTuple):
    """Shares of norms: [CELLS + 2] each, the first below the ``edges`` [CELLS + 1] of the cells and the last beyond them."""

    edges: Array
    prior: Array
    midpoints: Array

    @property
    def overlap(self) -> float:
        """The mass that both have, from 0 to 1; noise makes it too small by about sqrt(CELLS / count) / 2."""
        return float(np.minimum(self.prior, self.midpoints).sum())


def norm_histograms(prior: Prior, dim: int, *, count: int, stream: Stream) -> NormHistograms:
    """The norms of ``count`` latents and as many midpoints of others, in cells of one width of the norm's logarithm.

    Laws with far tails have no other axis in common with the normal law; on this one all midpoints of many dimensions
    that shrink by the root of 2 move by one length.
    """
    edges, shares = log_histograms(drawn_norms(prior, dim, count, stream), cells=CELLS + 2)
    return NormHistograms(edges, shares[0], shares[1])


def save_norm_histograms(title: str, panels: Mapping[int, NormHistograms], path: Path) -> Path:
    """A panel a dimension; the overlap in each."""
    from matplotlib.figure import Figure  # a second that no other task waits for

    figure = Figure(figsize=(3.4 * len(panels), 2.8), layout="constrained")
    axes_of: Sequence = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (dim, histograms) in zip(axes_of, panels.items(), strict=True):
        for name, shares in (("prior", histograms.prior), ("midpoint", histograms.midpoints)):
            axes.stairs(shares[1:-1], histograms.edges, fill=True, alpha=0.5, label=name)
        axes.set_xscale("log")
        axes.minorticks_off()  # their labels overlap
        ticks = np.geomspace(histograms.edges[0], histograms.edges[-1], 5)
        axes.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
        axes.set_title(f"{title}, d = {dim}: overlap {histograms.overlap:.3f}", fontsize=9)
        axes.set_xlabel("norm")
    figure.axes[0].set_ylabel("share of a cell")
    figure.axes[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    return path
