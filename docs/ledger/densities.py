"""What chapter 4 says of densities on bins, computed: Table 4.1, and whether the optimum depends on divergence and start.

python -m docs.ledger.densities    writes docs/results/dcgan/densities.jsonl in half a minute, of which `make claims` makes rows
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.signal import find_peaks

from docs.ledger.results import DOCS, Line, write_results
from generative.priors.divergences import DIVERGENCES, MIDPOINT, Array, EvenSums, missed
from generative.priors.solution_tables import solved
from generative.priors.solver import DEFAULT_START, OBJECTIVES, STARTS, bump, cauchy_start, target_variance

DENSITIES = "dcgan/densities"  # of docs/results
BINS, XI = 1024, 0.75  # the chapter's
MORE_BINS = 2048  # by which its figure for the uniform density comes out
CUT = 4.2  # standard deviations, near which that for the normal one does
LEAST_LOBE = 1e-4


def side_lobes(density: Array) -> int:
    """How many peaks of mass ``LEAST_LOBE`` or more, 1.5 times as high as what lies between, are on the right of the largest."""
    right = np.append(density[int(density.argmax()) :], 0.0)  # a peak in the last bin counts
    logs = np.log(np.maximum(right, np.finfo(np.float64).tiny))
    peaks, _ = find_peaks(logs, height=np.log(LEAST_LOBE), prominence=np.log(1.5))
    return len(peaks)


def total_variation(p: Array, q: Array) -> float:
    return 0.5 * float(np.abs(p - q).sum())


def measured(density: Array) -> Line:
    """The divergences of a density from its midpoints, by the chapter's law of them and by the exact one, and its shape."""
    return {
        "bins": len(density),
        "paper_kl": missed(density, EvenSums().masses(density)),
        "exact_kl": missed(density, MIDPOINT.masses(density)),
        "peak": float(density.max()),
        "side_lobes": side_lobes(density),
        "asymmetry": total_variation(density, density[::-1]),
    }


def evaluated() -> Iterator[Line]:
    """Table 4.1's densities, that cut at the edge of the support among them."""
    target = target_variance(BINS, xi=XI)
    for bins in (BINS, MORE_BINS):
        yield {"density": "uniform"} | measured(np.full(bins, 1.0 / bins))
    yield {"density": "normal"} | measured(bump(BINS, 0.0, target**0.5 / (BINS / 2)))
    yield {"density": f"normal, cut at {CUT} deviations"} | measured(bump(BINS, 0.0, 1.0 / CUT))
    yield {"density": "truncated Cauchy"} | measured(cauchy_start(BINS, target))


def optimum(objective: str, divergence: str, start: str, *, symmetric: bool) -> tuple[Line, Array]:
    """An optimum in numbers, and its density."""
    asked: dict[str, Any] = {"objective": objective, "divergence": divergence, "start": start, "symmetric": symmetric}
    solution = solved(BINS, target_variance(BINS, xi=XI), **asked)
    found = measured(solution.density) | {"iterations": solution.iterations}
    return {"density": "optimum"} | asked | found, solution.density


def optima() -> Iterator[Line]:
    """Optima of each objective, of each divergence, and from each start without symmetry; ``apart`` from the first of its kind."""
    for objective in OBJECTIVES:
        yield optimum(objective, "missed", DEFAULT_START, symmetric=True)[0] | {"asked": "objective"}
    _, first = optimum("exact", "missed", DEFAULT_START, symmetric=True)
    for divergence in DIVERGENCES:
        line, density = optimum("exact", divergence, DEFAULT_START, symmetric=True)
        yield line | {"asked": "divergence", "apart": total_variation(density, first)}
    _, first = optimum("paper", "missed", DEFAULT_START, symmetric=False)
    for start in STARTS:
        line, density = optimum("paper", "missed", start, symmetric=False)
        yield line | {"asked": "start", "apart": total_variation(density, first)}


def main() -> None:
    path = write_results(DENSITIES, [*evaluated(), *optima()])
    print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
