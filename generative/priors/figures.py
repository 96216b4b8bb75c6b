"""Figures 4.1 to 4.3: the cost over iterations, and densities with those of their midpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from generative.priors.divergences import MIDPOINT, Array


def save_densities(laws: Mapping[str, Array], path: Path) -> Path:
    """A column a law (Figures 4.2 and 4.3): the prior and its exact midpoint, below by logarithm, over half of the support."""
    figure = Figure(figsize=(4.2 * len(laws), 5.6), layout="constrained")
    for column, (name, density) in zip(figure.subplots(2, len(laws), squeeze=False).T, laws.items(), strict=True):
        centres = (2.0 * np.arange(len(density)) + 1.0) / len(density) - 1.0
        for axes, scale in zip(column, ("linear", "log"), strict=True):
            axes.plot(centres, density * len(density) / 2.0, color="tab:blue", label="prior")
            axes.plot(centres, MIDPOINT.masses(density) * len(density) / 2.0, color="tab:red", label="midpoint")
            axes.set_yscale(scale)
            axes.set_xlabel("value / half of the support")
        column[0].set_title(name)
        shown = np.abs(centres[np.cumsum(density) > 1e-3][0])  # all but a thousandth of the mass on the left
        column[0].set_xlim(-shown, shown)
        column[1].set_ylim(1e-6, density.max() * len(density))
    figure.axes[0].set_ylabel("density")
    figure.axes[0].legend()
    figure.savefig(path, dpi=100)
    return path


def save_costs(costs: Sequence[float], path: Path) -> Path:
    """The divergence after each iteration of the solver (Figure 4.1)."""
    figure = Figure(figsize=(4.8, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(len(costs)), costs)
    axes.set_yscale("log")
    axes.set_xlabel("iteration")
    axes.set_ylabel("cost")
    figure.savefig(path, dpi=100)
    return path
