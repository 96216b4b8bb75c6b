"""Tails against divergence: how far out each prior reaches, and how far the norms of its midpoints are from its own.

python -m generative.priors.frontier --output FOLDER [--dim 100] [--count 50000] [--seed 0]

It writes frontier.md, a table of every prior of the house, and frontier.png, where the radial priors are a line. Every law of a
norm that is known is compared without random numbers; all are counted over sampled norms too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from generative.priors.base import IsotropicPrior, Prior
from generative.priors.cauchy import Cauchy
from generative.priors.gamma import Gamma
from generative.priors.nonparametric import NonParametric
from generative.priors.normal import Normal
from generative.priors.norms import NormLaws, norm_laws, sampled_norm_laws
from generative.priors.radial import Radial
from generative.priors.student import Student
from generative.priors.uniform import Uniform
from generative.randomness import Stream

DEGREES = (10, 5, 3, 2, 1)
BOUNDS = (0.95, 0.8, 0.65, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1)
PRODUCTS = "independent coordinates"
LINES = ("Student t, isotropic", "radial")  # families of one parameter: a line in the picture


@dataclass(frozen=True)
class Row:
    """A prior by its ``name`` and ``family``: ``exact`` laws of its norms, None of a product law, and ``sampled`` ones."""

    name: str
    family: str
    exact: NormLaws | None
    sampled: NormLaws

    @property
    def laws(self) -> NormLaws:
        return self.sampled if self.exact is None else self.exact


def priors() -> list[tuple[str, str, Prior]]:
    """Name, family and law of each prior; the non-parametric ones with the chapter's variance, Var / bins = 0.75."""
    products: dict[str, Prior] = {
        "uniform": Uniform(),
        "Cauchy": Cauchy(),
        "non-parametric, exact": NonParametric(objective="exact", xi=0.75),
        "non-parametric, paper": NonParametric(objective="paper", xi=0.75),
        "non-parametric, average": NonParametric(objective="average", xi=0.75),
    }
    return [
        ("normal", "normal", Normal()),
        *((name, PRODUCTS, prior) for name, prior in products.items()),
        ("gamma", "gamma", Gamma()),
        *((f"Student t, nu = {nu}", LINES[0], Student(nu=nu)) for nu in DEGREES),
        *((f"radial, rms/max {bound}", LINES[1], Radial(rms_over_max=bound)) for bound in BOUNDS),
    ]


def measure(dim: int, *, count: int, seed: int) -> list[Row]:
    """A row of each of :func:`priors` in ``dim`` dimensions, with ``count`` sampled norms."""
    if count < 2:
        raise ValueError(f"count must be at least 2 sampled norms, got {count}")
    rows = []
    for name, family, prior in priors():
        exact = norm_laws(prior, dim) if isinstance(prior, IsotropicPrior) else None
        sampled = sampled_norm_laws(prior, dim, count=count, stream=Stream(seed, f"frontier/{name}"))
        rows.append(Row(name, family, exact, sampled))
    return rows


def table(rows: Sequence[Row], dim: int) -> str:
    """In Markdown, a line a prior."""

    def nats(row: Row, measure: str) -> str:
        return "-" if row.exact is None else f"{getattr(row.exact, measure):.4g}"

    lines = [
        f"Norms of latents and of their midpoints in {dim} dimensions. Divergences are in nats; Jensen-Shannon is at most ln 2.",
        "A dash: the law of the norm has no closed form, so that its overlap and Jensen-Shannon are the sampled ones.",
        "",
        "| prior | overlap of norms | Jensen-Shannon | KL(midpoint, prior) | KL(prior, midpoint) | q99.9 / q50 | sampled |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        laws = row.laws
        values = (
            f"{laws.overlap:.3f}",
            f"{laws.jensen_shannon:.4f}",
            nats(row, "outside"),
            nats(row, "kl"),
            f"{laws.tail:.3g}",
            f"{row.sampled.overlap:.3f}",
        )
        lines.append(f"| {row.name} | {' | '.join(values)} |")
    return "\n".join([*lines, "", *solved_table(dim)]) + "\n"


def solved_table(dim: int) -> list[str]:
    """Lines of Markdown: the radial priors on the 240 cells that they were solved on, which tell less apart than finer ones."""
    lines = [
        "The radial priors on their own cells, each 2.4 % of the norm wide, as they were solved:",
        "",
        "| rms/max | KL(midpoint, prior) | overlap of norms | iterations |",
        "|---|---|---|---|",
    ]
    for bound in BOUNDS:
        found = Radial(rms_over_max=bound).solution(dim)
        lines.append(f"| {bound} | {found.costs[-1]:.4f} | {found.laws.overlap:.3f} | {len(found.costs) - 1} |")
    return lines


def save_picture(rows: Sequence[Row], dim: int, path: Path) -> None:
    """Two panels over the tail: the overlap, where high is good, and the Jensen-Shannon divergence, where low is good."""
    from matplotlib.figure import Figure  # a second that the table does not wait for

    figure = Figure(figsize=(12, 5), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, measure in zip(panels, ("overlap", "jensen_shannon"), strict=True):
        for family in dict.fromkeys(row.family for row in rows):
            members = [row for row in rows if row.family == family]
            tails = [row.laws.tail for row in members]
            values = [getattr(row.laws, measure) for row in members]
            axes.plot(tails, values, marker="o", linestyle="-" if family in LINES else "", label=family)
            for row, tail, value in zip(members, tails, values, strict=True):
                label = row.name.removeprefix("radial, rms/max ").removeprefix("Student t, ")
                axes.annotate(label, (tail, value), xytext=(4, 4), textcoords="offset points", fontsize=7)
        axes.set_xscale("log")
        axes.set_xlabel("tail: q99.9 / q50 of the norm")
        axes.set_ylabel({"overlap": "overlap of norms", "jensen_shannon": "Jensen-Shannon divergence, nats"}[measure])
        axes.grid(alpha=0.3)
    panels[1].legend(fontsize=8)
    figure.suptitle(f"Prior against midpoints in {dim} dimensions")
    figure.savefig(path, dpi=100)


def read_arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="a folder, which is made where it is not")
    parser.add_argument("--dim", type=int, default=100, help="of the latents")
    parser.add_argument("--count", type=int, default=50_000, help="sampled norms of each prior and of its midpoints")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    arguments = read_arguments(given)
    try:
        rows = measure(arguments.dim, count=arguments.count, seed=arguments.seed)
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "frontier.md").write_text(table(rows, arguments.dim))
        save_picture(rows, arguments.dim, arguments.output / "frontier.png")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{arguments.output / 'frontier.md'} and frontier.png are written")


if __name__ == "__main__":
    main()
