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
from itertools import cycle
from pathlib import Path

from generative.priors.base import IsotropicPrior, Prior
from generative.priors.cauchy import Cauchy
from generative.priors.gamma import Gamma
from generative.priors.nonparametric import NonParametric
from generative.priors.normal import Normal
from generative.priors.norms import NormLaws, norm_laws, sampled_norm_laws
from generative.priors.radial import Radial
from generative.priors.student import Student
from generative.priors.truncated_cauchy import TruncatedCauchy
from generative.priors.uniform import Uniform
from generative.priors.unimodal import Unimodal
from generative.randomness import Stream
from generative.rendering.tables import markdown

DEGREES = (10, 5, 3, 2, 1)
BOUNDS = (0.95, 0.8, 0.65, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1)
STUDENT, RADIAL = "Student t, nu = ", "radial, rms/max "  # families of one parameter: lines in the picture
MARKERS = "sv^<>DPX*"


@dataclass(frozen=True)
class Row:
    """A prior by its ``name``: the ``exact`` laws of its norms, None of a product law, and ``sampled`` ones."""

    name: str
    exact: NormLaws | None
    sampled: NormLaws

    @property
    def laws(self) -> NormLaws:
        return self.sampled if self.exact is None else self.exact


def priors() -> dict[str, Prior]:
    """Each prior by its name; those on bins with the chapter's variance, Var / bins = 0.75."""
    return {
        "normal": Normal(),
        "uniform": Uniform(),
        "Cauchy": Cauchy(),
        "truncated Cauchy": TruncatedCauchy(xi=0.75),
        "non-parametric, exact": NonParametric(objective="exact", xi=0.75),
        "non-parametric, paper": NonParametric(objective="paper", xi=0.75),
        "non-parametric, average": NonParametric(objective="average", xi=0.75),
        "non-parametric, unimodal": Unimodal(xi=0.75),
        "gamma": Gamma(),
        **{f"{STUDENT}{nu}": Student(nu=nu) for nu in DEGREES},
        **{f"{RADIAL}{bound}": Radial(rms_over_max=bound) for bound in BOUNDS},
    }


def measure(dim: int, *, count: int, seed: int) -> list[Row]:
    """A row of each of :func:`priors` in ``dim`` dimensions, with ``count`` sampled norms."""
    if count < 2:
        raise ValueError(f"count must be at least 2 sampled norms, got {count}")
    rows = []
    for name, prior in priors().items():
        exact = norm_laws(prior, dim) if isinstance(prior, IsotropicPrior) else None
        sampled = sampled_norm_laws(prior, dim, count=count, stream=Stream(seed, f"frontier/{name}"))
        rows.append(Row(name, exact, sampled))
    return rows


def table(rows: Sequence[Row], dim: int) -> str:
    """In Markdown, a line a prior."""

    def nats(row: Row, measure: str) -> str:
        return "-" if row.exact is None else f"{getattr(row.exact, measure):.4g}"

    def cells(row: Row) -> list[str]:
        laws = row.laws
        exact = (nats(row, measure) for measure in ("outside", "missed"))
        known = (f"{laws.overlap:.3f}", f"{laws.jensen_shannon:.4f}", *exact, f"{laws.tail:.3g}")
        return [row.name, *known, f"{row.sampled.overlap:.3f}"]

    header = ("prior", "overlap of norms", "Jensen-Shannon", "KL(midpoint, prior)", "KL(prior, midpoint)")
    lines = [
        f"Norms of latents and of their midpoints in {dim} dimensions. Divergences are in nats; Jensen-Shannon is at most ln 2.",
        "A dash: the law of the norm has no closed form, so that its overlap and Jensen-Shannon are the sampled ones.",
        "",
        markdown((*header, "q99.9 / q50", "sampled"), map(cells, rows)),
        "The radial priors on their own cells, each 2.4 % of the norm wide, as they were solved:",
        "",
        solved_table(dim),
    ]
    return "\n".join(lines)


def solved_table(dim: int) -> str:
    """In Markdown: the radial priors on the 240 cells that they were solved on, which tell less apart than finer ones."""

    def cells(bound: float) -> list[str]:
        found = Radial(rms_over_max=bound).solution(dim)
        return [str(bound), f"{found.costs[-1]:.4f}", f"{found.laws.overlap:.3f}", str(len(found.costs) - 1)]

    return markdown(("rms/max", "KL(midpoint, prior)", "overlap of norms", "iterations"), map(cells, BOUNDS))


def save_picture(rows: Sequence[Row], dim: int, path: Path) -> None:
    """Two panels over the tail: the overlap, where high is good, and the Jensen-Shannon divergence, where low is good."""
    from matplotlib.figure import Figure  # a second that the table does not wait for

    figure = Figure(figsize=(12, 5), layout="constrained")
    panels = dict(zip(("overlap", "jensen_shannon"), figure.subplots(1, 2), strict=True))
    for measure, axes in panels.items():
        for family in (RADIAL, STUDENT):
            members = [(row.name.removeprefix(family), row.laws) for row in rows if row.name.startswith(family)]
            points = [(laws.tail, getattr(laws, measure)) for _, laws in members]
            axes.plot(*zip(*points, strict=True), marker="o", label=family.strip(" ="))
            for (parameter, _), point in zip(members, points, strict=True):
                axes.annotate(parameter, point, xytext=(4, 4), textcoords="offset points", fontsize=7)
        others = [row for row in rows if not row.name.startswith((RADIAL, STUDENT))]
        for row, marker in zip(others, cycle(MARKERS), strict=False):
            axes.plot(row.laws.tail, getattr(row.laws, measure), marker=marker, linestyle="", label=row.name)
        axes.set_xscale("log")
        axes.set_xlabel("tail: q99.9 / q50 of the norm")
        axes.grid(alpha=0.3)
    panels["overlap"].set_ylabel("overlap of norms")
    panels["jensen_shannon"].set_ylabel("Jensen-Shannon divergence, nats")
    panels["jensen_shannon"].legend(fontsize=8)
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
