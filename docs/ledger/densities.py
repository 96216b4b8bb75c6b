"""What chapter 4 says of densities on bins, computed: Table 4.1, and whether the optimum depends on divergence and start.

python -m docs.ledger.densities    writes docs/results/dcgan/densities.jsonl in half a minute, of which `make claims` makes rows
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.signal import find_peaks

from docs.ledger.results import DOCS, Line, write_results
from generative.priors.divergences import DIVERGENCES, MIDPOINT, Array, EvenSums, kullback_leibler
from generative.priors.solver import (
    OBJECTIVES,
    Problem,
    cauchy_masses,
    cauchy_scale,
    minimise,
    positions,
    target_variance,
)

DENSITIES = "dcgan/densities"  # of docs/results
BINS, XI = 1024, 0.75  # the chapter's
MORE_BINS = 2048  # by which its figure for the uniform density comes out
CUT = 4.2  # standard deviations, near which that for the normal one does
OFF_CENTRE = 700  # of the bins, where a start has nearly all of its mass
LEAST_LOBE = 1e-4
REST = 1e-4  # the mass of that start elsewhere


def normal_masses(bins: int, deviation: float) -> Array:
    """In proportion to the normal density at the centres of the bins; ``deviation`` in bins."""
    found: Array = np.exp(-0.5 * (positions(bins) / deviation) ** 2)
    return found / found.sum()


def peak_at(place: int) -> Array:
    """Nearly all mass in one bin, the rest even."""
    found = np.full(BINS, REST / BINS)
    found[place] += 1.0 - REST
    return found


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
        "paper_kl": kullback_leibler(density, EvenSums().masses(density)),
        "exact_kl": kullback_leibler(density, MIDPOINT.masses(density)),
        "peak": float(density.max()),
        "side_lobes": side_lobes(density),
        "asymmetry": total_variation(density, density[::-1]),
    }


def evaluated() -> Iterator[Line]:
    """Table 4.1's densities, that cut at the edge of the support among them."""
    target = target_variance(BINS, xi=XI)
    for bins in (BINS, MORE_BINS):
        yield {"density": "uniform"} | measured(np.full(bins, 1.0 / bins))
    yield {"density": "normal"} | measured(normal_masses(BINS, target**0.5))
    yield {"density": f"normal, cut at {CUT} deviations"} | measured(normal_masses(BINS, 0.5 * BINS / CUT))
    yield {"density": "truncated Cauchy"} | measured(cauchy_masses(BINS, cauchy_scale(BINS, target)))


def optima() -> Iterator[Line]:
    """Optima of every objective, of every divergence, and from every start without symmetry; ``apart`` from the first of each."""
    target = target_variance(BINS, xi=XI)
    cauchy = cauchy_masses(BINS, cauchy_scale(BINS, target))
    starts = {
        "truncated Cauchy": cauchy,
        "uniform": np.full(BINS, 1.0 / BINS),
        "normal": normal_masses(BINS, target**0.5),
        "a peak in the middle": peak_at(BINS // 2),
        "a peak off the middle": peak_at(OFF_CENTRE),
    }

    def solved(objective: str, divergence: str, start: str, *, symmetric: bool) -> tuple[Line, Array]:
        problem = Problem(target, OBJECTIVES[objective], DIVERGENCES[divergence])
        solution = minimise(problem, starts[start], symmetric=symmetric)
        asked = {"objective": objective, "divergence": divergence, "start": start, "symmetric": symmetric}
        found = measured(solution.density) | {"iterations": solution.iterations}
        return {"density": "optimum"} | asked | found, solution.density

    for objective in OBJECTIVES:
        yield solved(objective, "kl", "truncated Cauchy", symmetric=True)[0] | {"asked": "objective"}
    _, first = solved("exact", "kl", "truncated Cauchy", symmetric=True)
    for divergence in DIVERGENCES:
        line, density = solved("exact", divergence, "truncated Cauchy", symmetric=True)
        yield line | {"asked": "divergence", "apart": total_variation(density, first)}
    _, first = solved("paper", "kl", "truncated Cauchy", symmetric=False)
    for start in starts:
        line, density = solved("paper", "kl", start, symmetric=False)
        yield line | {"asked": "start", "apart": total_variation(density, first)}


def main() -> None:
    path = write_results(DENSITIES, [*evaluated(), *optima()])
    print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
