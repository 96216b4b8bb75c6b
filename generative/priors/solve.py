"""Solve for a non-parametric prior and show what it is worth.

python -m generative.priors.solve --objective exact --bins 1024 --output FOLDER [--xi 0.75 | --relative-deviation 0.0541]

The folder gets density.npz, which `prior=density_file` reads, density.png (Figure 4.2), costs.png (Figure 4.1) and
divergences.md (Table 4.1, and every lambda). `--compare uniform normal FILE` draws Figure 4.3 into comparison.png, of laws by
their names and of files with a density. `--ablations` writes ablations.md, in half a minute.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from generative.priors.density_file import read_density
from generative.priors.divergences import DIVERGENCES, MIDPOINT, Array, EvenSums, missed
from generative.priors.figures import save_costs, save_densities
from generative.priors.solution_tables import ablation_table, law_table, other_laws, path_table, solved
from generative.priors.solver import DEFAULT_START, OBJECTIVES, STARTS, Solution, target_variance, variance


def read_arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="a folder, made where there is none")
    parser.add_argument("--objective", default="exact", choices=sorted(OBJECTIVES), help="whose law of the path counts")
    parser.add_argument("--bins", type=int, default=1024, help="an even number")
    bound = parser.add_mutually_exclusive_group()
    bound.add_argument("--xi", type=float, help="Var / bins, Var in squared bins; 0.75 where neither is given")
    bound.add_argument("--relative-deviation", type=float, help="standard deviation over half of the support")
    parser.add_argument(
        "--divergence", default="missed", choices=sorted(DIVERGENCES), help="missed is KL(P|Q), outside is KL(Q|P)"
    )
    parser.add_argument("--start", default=DEFAULT_START, choices=sorted(STARTS))
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--asymmetric", action="store_true", help="do not impose that the density is symmetric")
    shape.add_argument("--unimodal", action="store_true", help="impose that it falls from the middle outward")
    parser.add_argument(
        "--compare", nargs="+", default=[], metavar="LAW", help="uniform, normal, truncated_cauchy, files"
    )
    parser.add_argument("--ablations", action="store_true", help="divergences, xi, starts, bins, and symmetry")
    return parser.parse_args(given)


def main(arguments: Sequence[str] | None = None) -> None:
    given = read_arguments(arguments)
    try:
        for path in solve(given):
            print(path)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def solve(given: argparse.Namespace) -> list[Path]:
    """Write what was asked for; the paths of all files."""
    xi = 0.75 if given.xi is None and given.relative_deviation is None else given.xi
    target = target_variance(given.bins, xi=xi, relative_deviation=given.relative_deviation)
    others = other_laws(given.bins, target)
    compared = {name: others[name] if name in others else read_density(Path(name)) for name in given.compare}
    found = solved(
        given.bins,
        target,
        objective=given.objective,
        divergence=given.divergence,
        start=given.start,
        symmetric=not given.asymmetric,
        unimodal=given.unimodal,
    )
    output: Path = given.output
    output.mkdir(parents=True, exist_ok=True)
    ours = {"non-parametric": found.density}
    written = [save_solution(found, output / "density.npz"), save_densities(ours, output / "density.png")]
    written += [save_costs(found.costs, output / "costs.png"), output / "divergences.md"]
    written[-1].write_text(page(found, others | compared | ours, given=given, target=target))
    if compared:
        written.append(save_densities(compared | ours, output / "comparison.png"))
    if given.ablations:
        written.append(output / "ablations.md")
        written[-1].write_text(ablation_table(given.bins, target))
    return written


def save_solution(found: Solution, path: Path) -> Path:
    """``density`` [bins], its exact ``midpoint`` [bins], ``costs`` by iteration, and the facts as numbers."""
    density = found.density
    np.savez(
        path,
        density=density,
        midpoint=MIDPOINT.masses(density),
        costs=np.array(found.costs),
        exact_kl=missed(density, MIDPOINT.masses(density)),
        paper_kl=missed(density, EvenSums().masses(density)),
        variance_over_n=variance(density) / len(density),
        peak=density.max(),
        evaluations=found.evaluations,
        settled=found.settled,
    )
    return path


def page(found: Solution, laws: dict[str, Array], *, given: argparse.Namespace, target: float) -> str:
    """divergences.md."""
    deviation = np.sqrt(target) / (given.bins / 2.0)
    shape = "no symmetry imposed" if given.asymmetric else "unimodal" if given.unimodal else "symmetric"
    lines = [
        f"objective {given.objective}, divergence {given.divergence}, start {given.start}, "
        f"{shape}, {given.bins} bins, xi {target / given.bins:g}, "
        f"sigma / half of the support {deviation:.7f}: {found.iterations} iterations, cost {found.costs[-1]:.10f}"
        f"{'' if found.settled else ', which had not settled'}.",
        "",
        "Prior and midpoint in nats a coordinate; d independent coordinates have d times as much:",
        "",
        law_table(laws),
        "The non-parametric law at points of the path:",
        "",
        path_table(found.density),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
