"""How large a defect must be to be found: the curve of drawn probes beside that of the real defects of the test split.

python -m docs.ledger.detection_curves --data data/deeppcb [--num-real 20] [--seeds 0 1 2] [--false-calls 0.05]

For each seed the arm `rendered` of `python -m docs.ledger.gain` is trained. It calls a patch a defect above the score that the
share --false-calls of the faultless test patches reach. A defect's size is the root of its pixels. Probes are drawn by the
recipe that the classifier learned from, on other places: can they stand for real ones that nobody has? Lines go to
docs/results/defects/detection_curves.jsonl; `python -m docs.ledger.gain` makes a section of them.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from datamodules.patches.windows import Windows, changed
from docs.ledger.gain_arms import ASKED, Bench, predicted
from docs.ledger.gain_scores import threshold_at
from docs.ledger.inpainting_page import bullet, paragraph
from docs.ledger.results import DOCS, RESULTS, Line, read_results, write_results
from docs.ledger.set_options import add_set, bench_of, name_of
from generative.rendering.tables import markdown
from launch.errors import one_line_errors
from metrics.detection_probability import fit_curve, likelihood_bound
from records.environment import environment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE = "defects/detection_curves"  # of docs/results
CHART = RESULTS / "defects" / "detection_curves.png"
COMMAND = "python -m docs.ledger.detection_curves --data FOLDER --num-real 20 --false-calls 0.05"
TENTHS = 10
SOURCES = {"real": "real defects of the test split", "probes": "drawn probes"}


def measured(bench: Bench, name: str, num_real: int, seed: int, share: float) -> Iterator[Line]:
    """A line for the real defects and one for the probes: sizes in pixels, found or not."""
    network, _ = bench.learned(ASKED, bench.made(ASKED, num_real, seed), num_real, seed)
    size, clean = bench.protocol.size, len(bench.names)
    scores = 1 - predicted(network, bench.test, size, paired=False)[:, -1]
    limit = threshold_at(scores[bench.test.labels.numpy() == clean], share)
    real = bench.test.chosen(torch.arange(len(bench.test))[bench.test.labels < clean])
    told = {"set": name, "num_real": num_real, "seed": seed, "false_calls": share}
    for source, windows in (("real", real), ("probes", bench.probes(num_real, seed))):
        found = 1 - predicted(network, windows, size, paired=False)[:, -1] > limit
        sizes = sizes_of(windows)
        shown = sizes > 0
        yield told | {"source": source, **curve_of(sizes[shown], found[shown])}


def sizes_of(windows: Windows) -> np.ndarray:
    """The root of the number of pixels that each defect changes, [N]."""
    found: np.ndarray = changed(windows).sum(dim=(1, 2)).sqrt().numpy()
    return found


def curve_of(sizes: np.ndarray, found: np.ndarray) -> Line:
    """The fitted curve and a90 with its bound, or why there is none; sizes and hits are kept."""
    line: Line = {"sizes": np.round(sizes, 2).tolist(), "hits": "".join(str(int(hit)) for hit in found)}
    try:
        curve = fit_curve(sizes, found)
        line |= {"intercept": round(curve.intercept, 4), "slope": round(curve.slope, 4)}
        line["a90"] = round(curve.size(0.9), 3)
        bound = likelihood_bound(sizes, found)
        line |= {"a90_95": round(bound, 3)} if math.isfinite(bound) else {"why": "no size is surely found"}
    except ValueError as error:
        line["why"] = str(error)
    return line


def section() -> Iterator[str]:
    """What docs/results/defects.md says of the lines; nothing without any."""
    lines = read_results(FILE)
    if not lines:
        return
    yield "## How large must a defect be to be found?\n"
    yield from paragraph(
        "The classifier of drawn and N real defects a class calls a patch a defect above a limit that some of the faultless test "
        "patches exceed: the false calls. Size is the root of the number of changed pixels. a90 is the size that is found nine "
        "times in ten by a logistic curve in the logarithm of the size, and a90/95 lies above it with 95 % confidence, by the "
        "likelihood ratio, which takes defects for independent. There is no a90 (-) where larger defects are not found more often."
    )
    rows = []
    for line in lines:
        share = f"{100 * line['hits'].count('1') / len(line['hits']):.1f}"
        numbers = [f"{line[key]:.1f}" if key in line else "-" for key in ("a90", "a90_95")]
        told = [line["set"], str(line["num_real"]), f"{100 * line['false_calls']:g} %", str(line["seed"])]
        rows.append([*told, SOURCES[line["source"]], str(len(line["hits"])), share, *numbers])
    heads = ("set", "N", "false calls", "seed", "defects", "number", "found, %", "a90, px", "a90/95, px")
    yield markdown(heads, rows)
    for name in dict.fromkeys(line["set"] for line in lines):
        shares = {
            source: found_of([line for line in lines if (line["set"], line["source"]) == (name, source)])
            for source in SOURCES
        }
        yield bullet(
            f"**{name}.** Of the real defects {shares['real']:.1f} % are found, of the probes {shares['probes']:.1f} %."
        )
    yield ""
    yield from paragraph(
        "Probes stand for real defects only as far as the two agree. They are drawn by the recipe that the classifier learned "
        "from, so what the recipe has not seen is missing among them."
    )
    yield f"`{COMMAND}` measures a set.\n"
    yield "![curves of drawn probes and of real defects](defects/detection_curves.png)\n"


def found_of(lines: Sequence[Line]) -> float:
    """The share of the defects of all seeds that were found, in per cent."""
    hits = "".join(line["hits"] for line in lines)
    return 100 * hits.count("1") / len(hits)


def chart(lines: Sequence[Line]) -> Figure:
    """A panel for each set: the curves over the sizes that they were fitted to, and the share found of each tenth of all seeds."""
    from matplotlib.figure import Figure  # a second that the page alone does not take

    names = list(dict.fromkeys(line["set"] for line in lines))
    figure = Figure(figsize=(5.4 * len(names), 4.0), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        for source, colour in zip(SOURCES, ("C0", "C1"), strict=True):
            chosen = [line for line in lines if (line["set"], line["source"]) == (name, source)]
            if not chosen:
                continue
            sizes = np.concatenate([line["sizes"] for line in chosen])
            hits = np.array([letter == "1" for line in chosen for letter in line["hits"]])
            parts = np.array_split(np.argsort(sizes, kind="stable"), TENTHS)
            points = [(np.exp(np.log(sizes[part]).mean()), hits[part].mean()) for part in parts if len(part)]
            axes.plot(*zip(*points, strict=True), "o" if source == "real" else "s", color=colour, label=SOURCES[source])
            for line in chosen:
                if "slope" in line:
                    at = np.geomspace(max(1.0, min(line["sizes"])), max(line["sizes"]), 100)
                    values = 1 / (1 + np.exp(-(line["intercept"] + line["slope"] * np.log(at))))
                    axes.plot(at, values, "-" if source == "real" else "--", color=colour, linewidth=1)
        axes.axhline(0.9, color="grey", linewidth=0.6)
        axes.set_title(name, fontsize=9)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}")
        axes.tick_params(axis="x", which="both", labelsize=7)
        axes.set_xlabel("size of a defect, root of its pixels")
        axes.set_ylabel("probability of detection")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_set(parser)
    parser.add_argument("--num-real", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--false-calls", type=float, default=0.05, help="share of faultless test patches")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with one_line_errors():
        name, bench = name_of(given), bench_of(given)
        found = [
            line for seed in given.seeds for line in measured(bench, name, given.num_real, seed, given.false_calls)
        ]
        machine = {"processor": environment("cpu")["processor"], "threads": torch.get_num_threads()}
        kept = [line for line in read_results(FILE) if line["set"] != name]
        lines = [*kept, *(line | {"environment": machine} for line in found)]
        print(write_results(FILE, lines).relative_to(DOCS.parent))
        chart(lines).savefig(CHART, dpi=110)


if __name__ == "__main__":
    main()
