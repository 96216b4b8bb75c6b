"""docs/results/priors.md: what each prior's images, midpoints, means and extrapolations score, beside the chapter's table.

python -m docs.ledger.priors [--collect RUN ...]

--collect takes in what `make priors` had measured of each run folder. The page and its chart are made of these lines and
of the printed tables in docs/claims/tables/priors.yaml; no number of it is typed.
"""

from __future__ import annotations

import argparse
import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from docs.ledger.checked import built, read_yaml
from docs.ledger.ends import ENDS, REAL
from docs.ledger.midpoints import collect_midpoints
from docs.ledger.modes import BEATS, GATE, STRAIGHT, VERDICTS, Arm, Comparison, Mode, compared, modes
from docs.ledger.orders import LEAST_SEEDS, LEVEL
from docs.ledger.results import DOCS, RESULTS, Line, interval, read_results
from launch.errors import one_line_errors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = RESULTS / "priors.md"
CHART = RESULTS / "dcgan" / "priors_over_time.png"
STRIP = RESULTS / "dcgan" / "priors_strip_origin.png"  # `task=strip`
STRIP_WORDS = (
    "From a latent z through the origin to -z, drawn by the networks of seed 0 of each prior (as in Figure 4.5):"
)
PRINTED = DOCS / "claims" / "tables" / "priors.yaml"
OURS_BESIDE = "4.4"  # the chapter's table of images of the same size, CIFAR-10
SETS = {  # of images, as lines name them and as the page does
    "midpoint": "midpoint",
    "mean_4": "mean of 4",
    "mean_8": "mean of 8",
    "extrapolation_1.25": "5/4",
    "extrapolation_1.5": "3/2",
}


@dataclass(frozen=True, kw_only=True)
class PrintedTable:
    """A table of the chapter: IS at the prior and at midpoints, FID at the prior and at midpoints, by prior."""

    set: str
    latent_dim: int
    priors: dict[str, tuple[float, ...]]

    def factor(self, prior: str) -> float:
        """FID at midpoints over FID at the prior."""
        _, _, at_prior, at_midpoint = self.priors[prior]
        return at_midpoint / at_prior


@dataclass(frozen=True, kw_only=True)
class Printed:
    divergences: dict[str, float]
    scores: dict[str, PrintedTable]


def stated(values: Sequence[float], digits: int = 2) -> str:
    """Mean and 95 % interval over seeds; of one seed its value, of none a dash."""
    if not values:
        return "-"
    mean, half = interval(values)
    return f"{mean:.{digits}f}" if len(values) == 1 else f"{mean:.{digits}f} ± {half:.{digits}f}"


def seeds(values: Sequence[float]) -> str:
    return "one seed" if len(values) == 1 else str(len(values))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def scores(mode: Mode, printed: PrintedTable) -> Iterator[list[str]]:
    """Rows of the chapter's table: ours at the prior and at midpoints, and the printed figures where it has that prior."""
    for arm in mode.arms():
        beside = ["-"] * 3
        if arm.path == STRAIGHT and arm.prior in printed.priors:
            is_prior, is_midpoint, fid_prior, fid_midpoint = printed.priors[arm.prior]
            beside = [
                f"{fid_prior:g}, {fid_midpoint:g}",
                f"{printed.factor(arm.prior):.2f}",
                f"{is_prior:g}, {is_midpoint:g}",
            ]
        yield [
            str(arm),
            seeds(mode.values(arm, "fd", "prior")),
            *(stated(mode.values(arm, "fd", what)) for what in ("prior", "midpoint")),
            stated(mode.values(arm, "fd_over_prior", "midpoint")),
            *beside[:2],
            *(stated(mode.values(arm, "is", what)) for what in ("prior", "midpoint")),
            beside[2],
        ]


SCORES = ("prior", "seeds", "FD prior", "FD midpoint", "factor", "FID printed", "its factor")
MORE_SCORES = ("IS prior", "IS midpoint", "IS printed")
BESIDE = (("precision", "precision"), ("recall", "recall"))


def what_else(mode: Mode) -> Iterator[list[str]]:
    """Rows of what a midpoint's Frechet distance can hide: precision, recall, and the distance to its ends."""
    for arm in mode.arms():
        pairs = [stated(mode.values(arm, key, what)) for key, _ in BESIDE for what in ("prior", "midpoint")]
        yield [str(arm), *pairs, stated(mode.values(arm, "end_distance", "midpoint"))]


def combinations(mode: Mode) -> Iterator[list[str]]:
    """Rows of every prior and path: Frechet distances of midpoints, of means of more codes, and beyond the ends."""
    paths = {line["path"] for line in mode.lines if line["what"] != "prior"}
    for arm in sorted((arm for path in paths for arm in mode.arms_on(path)), key=str):
        yield [str(arm), *(stated(mode.values(arm, "fd", what)) for what in SETS)]


def over_time(mode: Mode) -> Iterator[list[str]]:
    """Rows of each arm: Frechet distance at the prior and at midpoints, over the images seen."""
    for arm in mode.arms():
        cells = []
        for kimg in mode.kimgs():
            ends = [mode.values(arm, "fd", what, kimg) for what in ("prior", "midpoint")]
            cells.append(" → ".join(f"{sum(found) / len(found):.1f}" for found in ends) if all(ends) else "-")
        yield [str(arm), *cells]


def comparison_rows(comparisons: Sequence[Comparison]) -> Iterator[list[str]]:
    for one in comparisons:
        ratio, p = "-", "-"
        if not math.isnan(one.p):
            mean, low, high = one.order.difference()
            ratio, p = f"{mean:.3g} ({low:.3g} to {high:.3g})", f"{one.p:.2g}"
        yield [str(one.mode), str(one.arm), ratio, p, one.verdict]


def paragraph(text: str) -> list[str]:
    return ["", textwrap.fill(text, 120, break_on_hyphens=False)]


def headline(comparisons: Sequence[Comparison]) -> str:
    """Whether any prior beats the control, over all modes."""
    found = {verdict: [one for one in comparisons if one.verdict == verdict] for verdict in VERDICTS}
    beats, worse, undecided, few, not_run = (len(found[verdict]) for verdict in VERDICTS)
    if few == len(comparisons):
        return f"**Open.** No prior and the control have {LEAST_SEEDS} seeds each; what follows is of fewer."
    names = "; ".join(f"{one.arm} with {one.mode}" for one in found[VERDICTS[0]])
    word = "Yes" if beats else "No" if worse == len(comparisons) else "Not shown"
    return (
        f"**{word}.** Of {len(comparisons)} comparisons of a prior's midpoints on straight lines with the "
        f"control's, {beats} beat it{f' ({names})' if names else ''}, {worse} are worse, {undecided} undecided, {few} open"
        f"{f', {not_run} not run' if not_run else ''}."
    )


def changes(mode: Mode, printed: PrintedTable) -> Iterator[str]:
    """What becomes of the Frechet distance from the prior to midpoints, at the end and early in training."""
    for arm in mode.arms():
        factors = mode.values(arm, "fd_over_prior", "midpoint")
        if arm.path != STRAIGHT or arm.prior not in ("normal", "nonparametric") or not factors:
            continue
        ends = " → ".join(stated(mode.values(arm, "fd", what), 1) for what in ("prior", "midpoint"))
        before = ""
        for first in mode.kimgs()[:1]:
            early = mode.values(arm, "fd_over_prior", "midpoint", first)
            before = f", {stated(early)} after {first:g} thousand images" if early else ""
        yield (
            f"From the prior to midpoints on straight lines the FD of {arm} goes {ends}, a factor of {stated(factors)} "
            f"({seeds(factors)}{before}; printed {printed.factor(arm.prior):.2f})."
        )


def price(mode: Mode, winners: Sequence[Arm]) -> Iterator[str]:
    """What priors whose midpoints beat the control's have beside them, since mass at the origin can buy that alone."""
    for arm in (*winners, *(arm for arm in mode.arms() if winners and arm.is_control)):
        yield (
            f"Beside its midpoints {arm} has an FD of {stated(mode.values(arm, 'fd', 'prior'), 1)} at the prior itself and a "
            f"midpoint recall of {stated(mode.values(arm, 'recall', 'midpoint'))}."
        )


def answer(mode: Mode, comparisons: Sequence[Comparison], printed: PrintedTable) -> str:
    """The page's question for one mode in words, every number of them from its lines."""
    sentences = [f"**{str(mode)[0].upper()}{str(mode)[1:]}.**"]
    for verdict in VERDICTS:
        names = [str(one.arm) for one in comparisons if one.mode == mode and one.verdict == verdict]
        if names:
            sentences.append(f"{verdict[0].upper()}{verdict[1:]}: {', '.join(names)}.")
    sentences += price(mode, [one.arm for one in comparisons if one.mode == mode and one.verdict == BEATS])
    sentences += changes(mode, printed)
    for what, called in (("mean_8", "means of 8 codes"), ("extrapolation_1.5", "points at 3/2 of the way")):
        found = {arm: values for arm in mode.arms() if (values := mode.values(arm, "fd", what))}
        straight = [arm for arm in found if arm.path == STRAIGHT]
        if straight:
            best = min(straight, key=lambda arm: interval(found[arm])[0])
            control = next((f"; the control has {stated(found[arm], 1)}" for arm in found if arm.is_control), "")
            sentences.append(
                f"Of {called} on straight lines {best} has the lowest mean FD, {stated(found[best], 1)} "
                f"({seeds(found[best])}){control}."
            )
    return " ".join(sentences)


INTRODUCTION = (
    "Chapter 4 asks which law of latents lets a GAN interpolate along straight lines. Here the same network is trained with "
    "each of them. Images of the prior, of midpoints, of means of 4 and 8 codes and of points beyond the ends are scored "
    "alike. The free control is the normal prior whose combinations are divided by the root of the sum of squared weights: "
    "that path has the prior's law and costs nothing. A new prior has to beat it.",
    "FD is the Frechet distance in a judge's features and IS the exponential of the mean KL of its classes. Printed figures "
    "are Table 4.4's, of CIFAR-10 and Inception, so compare orders and factors, not figures. `factor` is FD at midpoints "
    "over FD at the prior. The distance to the nearer end is in units of that of two images of the prior: one far below 1 "
    "says that midpoints repeat their ends. Intervals are Student's t over training seeds (95 %).",
)
MEASURED = (
    "Measured by `make priors RUNS=... JUDGE=...`: {count:,} images against {num_reference:,} real ones in the features of "
    "{extractor}; trained on {hardware}. The priors' settings: {priors}."
)


def measured(lines: Sequence[Line]) -> str:
    first = lines[0]
    places = sorted({line["environment"].get("gpu", line["environment"]["processor"]) for line in lines})
    priors = sorted({f"{line['prior']} ({line['prior_settings'] or 'none'})" for line in lines})
    return MEASURED.format_map(first | {"hardware": "; ".join(places), "priors": ", ".join(priors)})


def gate(all_modes: Sequence[Mode]) -> list[str]:
    """What a generator must have learned before it is compared, in words; nothing where its ends were not measured."""
    gates = [f"{mode.gate:.0f} ({mode})" for mode in all_modes if mode.gate is not None]
    other = [line for line in read_results(ENDS) if line["end"] == REAL]
    if not gates or not other:
        return []
    failing = [f"{arm} ({mode})" for mode in all_modes for arm in mode.arms() if not mode.passes(arm)]
    return paragraph(
        f"Entry gate: each seed's images of the prior must have an FD below {GATE:g} times that of the same networks "
        f"before training: below {', '.join(gates)}. {other[0]['count']:,} other real images, of the test split, have "
        f"{other[0]['fd']:.1f}. Not passed by: {', '.join(failing) or 'none'}. (`python -m docs.ledger.ends`)"
    )


def mode_section(mode: Mode, printed: PrintedTable) -> list[str]:
    seen = ", ".join(f"{kimg:g}" for kimg in sorted({line["kimg"] for line in mode.lines}))
    lines = ["", f"## {str(mode)[0].upper()}{str(mode)[1:]}", "", f"After {seen} thousand images.", ""]
    lines += table((*SCORES, *MORE_SCORES), list(scores(mode, printed)))
    columns = [f"{name} {what}" for _, name in BESIDE for what in ("prior", "midpoint")]
    lines += ["", *table(("prior", *columns, "midpoint to its nearer end"), list(what_else(mode)))]
    lines += ["", "FD of combinations, by path:", "", *table(("prior", *SETS.values()), list(combinations(mode)))]
    if mode.states:
        lines += ["", "FD at the prior → at midpoints, after so many thousand images (means over seeds):", ""]
        lines += table(("prior", *(f"{kimg:g}" for kimg in mode.kimgs())), list(over_time(mode)))
    return lines


def printed_section(printed: Printed) -> list[str]:
    lines = ["", "## The chapter's tables", "", "FID at the prior → at midpoints, and their factor, as printed:", ""]
    priors = list(printed.divergences)
    priors += [prior for prior in printed.scores[OURS_BESIDE].priors if prior not in priors]
    rows = []
    for number, scored in printed.scores.items():
        cells = [
            f"{scored.priors[prior][2]:g} → {scored.priors[prior][3]:g} ({scored.factor(prior):.2f})"
            for prior in priors
        ]
        rows.append([f"{number}: {scored.set}, {scored.latent_dim}", *cells])
    return [*lines, *table(("table", *priors), rows)]


def page() -> str:
    """The text of docs/results/priors.md."""
    printed = built(Printed, read_yaml(PRINTED), place=PRINTED.name)
    all_modes = modes()
    lines = ["# Latent priors: does any beat the free control?"]
    for words in INTRODUCTION:
        lines += paragraph(words)
    if not all_modes:
        lines += paragraph("Nothing was measured yet: `make priors RUNS=... JUDGE=...`.")
    else:
        comparisons = compared(all_modes)
        lines += ["", "## Answer", *paragraph(headline(comparisons))]
        for mode in all_modes:
            lines += paragraph(answer(mode, comparisons, printed.scores[OURS_BESIDE]))
        tests = sum(not math.isnan(one.p) for one in comparisons)
        lines += paragraph(
            f"FD of midpoints over the control's, with its 95 % interval (Welch on logarithms). p is that among the {tests} "
            f"comparisons of three seeds or more (Holm); below {LEVEL:g} an order is stated."
        )
        lines += ["", *table(("mode", "prior", "times the control", "p", "found"), list(comparison_rows(comparisons)))]
        lines += gate(all_modes)
        lines += paragraph(measured([line for mode in all_modes for line in mode.lines]))
        if any(mode.states for mode in all_modes):
            lines += ["", f"![FD over the images seen](dcgan/{CHART.name})"]
        if STRIP.exists():
            lines += [*paragraph(STRIP_WORDS), "", f"![from z to -z, a strip for each prior](dcgan/{STRIP.name})"]
        for mode in all_modes:
            lines += mode_section(mode, printed.scores[OURS_BESIDE])
    return "\n".join([*lines, *printed_section(printed)]) + "\n"


def chart(all_modes: Sequence[Mode]) -> Figure:
    """A panel a mode: FD over the images seen, of midpoints as lines, of the prior itself dotted, on a logarithmic scale."""
    from matplotlib.figure import Figure  # a second that the page alone does not take

    names = dict.fromkeys(str(arm) for mode in all_modes for arm in mode.arms())
    colours = {name: f"C{number}" for number, name in enumerate(names)}
    figure = Figure(figsize=(4.4 * len(all_modes), 3.6), layout="constrained")
    for axes, mode in zip(figure.subplots(1, len(all_modes), squeeze=False)[0], all_modes, strict=True):
        for arm in mode.arms():
            for what, style in (("midpoint", "-"), ("prior", ":")):
                points = [(k, interval(found)[0]) for k in mode.kimgs() if (found := mode.values(arm, "fd", what, k))]
                label = str(arm) if what == "midpoint" else None
                if points:  # kept states are measured on fewer paths, and not of every run
                    axes.plot(*zip(*points, strict=True), style, color=colours[str(arm)], label=label)
        axes.set_yscale("log")
        axes.set_xlabel("thousand images seen")
        axes.set_title(str(mode).partition(" (")[0], fontsize=9)
    figure.axes[0].set_ylabel("FD: midpoints (line), prior (dotted)")
    figure.axes[0].legend(fontsize=6)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", nargs="+", type=Path, default=[], metavar="RUN")
    arguments = parser.parse_args()
    with one_line_errors():
        for run in arguments.collect:
            print(run, *collect_midpoints(run))
        PAGE.write_text(page())
        print(PAGE.relative_to(DOCS.parent))
        drawn = [mode for mode in modes() if mode.states]
        if drawn:
            chart(drawn).savefig(CHART, dpi=100)
            print(CHART.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
