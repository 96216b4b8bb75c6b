"""Tables of a solved density: its divergences along the path beside those of other laws, and the solver's ablations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from generative.priors.divergences import (
    DIVERGENCES,
    MIDPOINT,
    Array,
    EvenSums,
    LinearPath,
    jensen_shannon,
    missed,
    outside,
)
from generative.priors.solver import (
    DEFAULT_START,
    OBJECTIVES,
    STARTS,
    Problem,
    Solution,
    bump,
    cauchy_start,
    minimise,
    start_masses,
    target_variance,
)
from generative.priors.unimodal import minimise_unimodal
from generative.rendering.tables import markdown

LAMBDAS = tuple(Fraction(a, b) for a, b in ((1, 2), (1, 3), (1, 4), (1, 8), (2, 5), (3, 8), (5, 4), (3, 2)))
TABLE_4_1 = {"uniform": 0.3065, "normal": 0.1544, "non-parametric": 0.0075}  # KL of prior and midpoint, as printed
XIS = (0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0)
NUMBERS_OF_BINS = (64, 256, 1024)


def other_laws(bins: int, target: float) -> dict[str, Array]:
    """Densities [bins] to compare with. The uniform law has a variance of its own, the others have ``target``, in squared bins."""
    return {
        "uniform": np.full(bins, 1.0 / bins),
        "normal": bump(bins, 0.0, float(np.sqrt(target)) / (bins / 2.0)),
        "truncated_cauchy": cauchy_start(bins, target),
    }


def number(value: float) -> str:
    return f"{value:.7f}" if np.isfinite(value) else "infinite"


def path_table(density: Array) -> str:
    """A row a lambda, 0 to 1 and in extrapolation: divergences by the exact law of the path, and what leaves the bins."""

    def row(at: Fraction) -> list[str]:
        found = LinearPath(at).masses(density)
        values = (missed(density, found), outside(density, found), jensen_shannon(density, found))
        return [str(at), *map(number, values), number(max(0.0, 1.0 - found.sum()))]

    header = ("lambda", "KL(P\\|Q)", "KL(Q\\|P)", "Jensen-Shannon", "mass outside of the bins")
    return markdown(header, map(row, LAMBDAS))


def law_table(laws: Mapping[str, Array]) -> str:
    """A row a law: the chapter's divergence of prior and midpoint, what Table 4.1 prints, and the exact divergences."""

    def row(name: str) -> list[str]:
        density = laws[name]
        midpoint = MIDPOINT.masses(density)
        exact = missed(density, midpoint)
        values = (exact, outside(density, midpoint), jensen_shannon(density, midpoint), 100.0 * exact)
        third = missed(density, LinearPath(Fraction(1, 3)).masses(density))
        printed = f"{TABLE_4_1[name]:.4f}" if name in TABLE_4_1 else ""
        by_chapter = missed(density, EvenSums().masses(density))
        return [name, number(by_chapter), printed, *map(number, (*values, third, float(density.max())))]

    header = ("law", "KL(P\\|Q), chapter's Q", "Table 4.1", "KL(P\\|Q)", "KL(Q\\|P)", "Jensen-Shannon")
    return markdown((*header, "KL(P\\|Q), d = 100", "KL(P\\|Q) at 1/3", "peak"), map(row, laws))


def solved(
    bins: int,
    target: float,
    *,
    objective: str = "exact",
    divergence: str = "missed",
    start: str = DEFAULT_START,
    symmetric: bool = True,
    unimodal: bool = False,
) -> Solution:
    """The density of one combination of settings, by their names; a unimodal one is symmetric and has a start of its own."""
    problem = Problem(target, OBJECTIVES[objective], DIVERGENCES[divergence])
    if unimodal:
        return minimise_unimodal(problem, bins)
    return minimise(problem, start_masses(start, bins, target, symmetric=symmetric), symmetric=symmetric)


def ablation_table(bins: int, target: float) -> str:
    """A row of what :func:`ablations` varies, each."""
    rows = (ablation_row(*given) for given in ablations(bins, target))
    header = ("what", "objective", "divergence", "start", "symmetric", "bins", "xi", "iterations", "settled", "cost")
    return markdown((*header, "KL(P\\|Q)", "chapter's KL", "peak", "mass in 2 bins", "asymmetry"), rows)


def ablations(bins: int, target: float) -> Iterator[tuple[str, int, float, dict[str, Any]]]:
    """What is varied, bins, variance in squared bins and settings of :func:`solved`."""
    for objective in OBJECTIVES:
        for divergence in DIVERGENCES:
            if (objective, divergence) != ("extrapolation", "outside"):  # infinite: extrapolated points leave the bins
                yield "divergence", bins, target, {"objective": objective, "divergence": divergence}
    for objective in OBJECTIVES:
        yield "unimodal", bins, target, {"objective": objective, "unimodal": True}
    for xi in XIS:
        yield "xi", bins, target_variance(bins, xi=xi), {}
    for count in NUMBERS_OF_BINS:
        yield "bins", count, target * (count / bins) ** 2, {}
    for objective in ("exact", "paper"):
        for symmetric in (True, False):
            for start in STARTS:
                yield "start", bins, target, {"objective": objective, "start": start, "symmetric": symmetric}


def ablation_row(what: str, bins: int, target: float, given: dict[str, Any]) -> list[str]:
    found = solved(bins, target, **given)
    density = found.density
    names = [given.get("objective", "exact"), given.get("divergence", "missed"), given.get("start", DEFAULT_START)]
    settings = ["yes" if given.get("symmetric", True) else "no", str(bins), f"{target / bins:g}", str(found.iterations)]
    values = [missed(density, law.masses(density)) for law in (MIDPOINT, EvenSums())]
    shape = [density.max(), np.sort(density)[-2:].sum(), 0.5 * np.abs(density - density[::-1]).sum()]
    costs = ["yes" if found.settled else "no", f"{found.costs[-1]:.6g}"]
    return [what, *names, *settings, *costs, *map(number, values), *(f"{value:.4f}" for value in shape)]
