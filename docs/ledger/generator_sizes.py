"""docs/results/dfm/generator_sizes.jsonl and .png: what the generator's size does to reconstructions and to samples.

python -m docs.ledger.generator_sizes [--collect RUN ...]

--collect takes in runs of dfm/digits that differ in width, depth, latents and seed, as configs/sweeps/dfm/size.yaml makes them,
each with what `python generate.py checkpoint=RUN/checkpoints/last.ckpt task=reconstruct_training output=RUN/reconstructed` wrote.
Section 5.2.3 of the thesis says that larger networks reconstruct better and generate worse: beside the lines of the runs stand,
in generator_sizes_trends.jsonl, rank correlations over the sizes. No number of these files is typed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import yaml
from scipy import stats

from docs.ledger.latents import hardware
from docs.ledger.midpoints import rounded
from docs.ledger.results import DOCS, RESULTS, Line, read_results, write_results
from launch.errors import one_line_errors
from lightning_modules.dfm.networks import Shape
from records.run_files import read_lines

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE, TRENDS = "dfm/generator_sizes", "dfm/generator_sizes_trends"
CHART = RESULTS / "dfm" / "generator_sizes.png"
SIZES = ("coefficients", "latent_dim")
MEASURES = {  # of a run, and how the picture calls them
    "squared_error": "squared error, training digits",
    "mae": "MAE, test digits",
    "fd": "FD of samples",
    "precision": "precision of samples",
    "recall": "recall of samples",
}
KEYS = ("coefficients", "width", "depth", "latent_dim", "train_seed")  # tell lines apart


def line_of(run: Path) -> Line:
    """What a run says of itself; ValueError where it has not ended or is of another experiment."""
    records = read_lines(run / "results.jsonl")
    values = {name: record["metrics"][name] for record in records for name in MEASURES if name in record["metrics"]}
    if values.keys() != MEASURES.keys() - {"squared_error"}:
        raise ValueError(f"{run} has no results of a test stage of dfm/digits: let its training end first")
    drawn = run / "reconstructed" / "reconstruct_training.jsonl"
    if not drawn.exists():
        raise ValueError(
            f"{drawn} is missing: python generate.py checkpoint=<its last.ckpt> task=reconstruct_training output={drawn.parent}"
        )
    last, config = records[-1], yaml.safe_load((run / "config.yaml").read_text())
    shape = {key: config["method"]["shape"][key] for key in ("width", "depth", "kernel")}
    told = {"width": shape["width"], "depth": shape["depth"], "latent_dim": config["method"]["latent_dim"]}
    told |= {"coefficients": Shape(**shape, channels=1).num_coefficients}
    told |= {key: last[key] for key in ("experiment", "train_seed", "kimg")} | {"environment": hardware(last)}
    return told | {"squared_error": read_lines(drawn)[0]["squared_error"]} | values


def means(lines: Sequence[Line]) -> list[Line]:
    """Of each size its measures, averaged over seeds."""
    groups: dict[tuple[Any, ...], list[Line]] = {}
    for line in lines:
        groups.setdefault(tuple(line[key] for key in KEYS[:-1]), []).append(line)
    return [
        dict(zip(KEYS, size, strict=False)) | {name: fmean(line[name] for line in own) for name in MEASURES}
        for size, own in groups.items()
    ]


def trends(lines: Sequence[Line]) -> list[Line]:
    """Of each size that varies and each measure Spearman's rank correlation over the sizes, means of seeds, and its two-sided p."""
    points = means(lines)
    rows = []
    for size in (size for size in SIZES if len({point[size] for point in points}) > 1):
        for measure in MEASURES:
            found = stats.spearmanr([point[size] for point in points], [point[measure] for point in points])
            told = {"size": size, "measure": measure, "sizes": len(points), "runs": len(lines)}
            rows.append(
                told | {"rank_correlation": round(float(found.statistic), 3), "p": round(float(found.pvalue), 4)}
            )
    return rows


def chart(lines: Sequence[Line]) -> Figure:
    """A panel a measure: over the coefficients, a line for each number of latents, and the runs as points."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * len(MEASURES), 3.2), layout="constrained")
    points = sorted(means(lines), key=lambda point: point["coefficients"])
    for place, (measure, title) in enumerate(MEASURES.items(), 1):
        axes = figure.add_subplot(1, len(MEASURES), place)
        for colour, latents in enumerate(sorted({point["latent_dim"] for point in points})):
            own = [point for point in points if point["latent_dim"] == latents]
            runs = [line for line in lines if line["latent_dim"] == latents]
            axes.plot(
                [p["coefficients"] for p in own], [p[measure] for p in own], f"C{colour}-", label=f"{latents} latents"
            )
            axes.plot([line["coefficients"] for line in runs], [line[measure] for line in runs], f"C{colour}.")
        axes.set(title=title, xlabel="coefficients", xscale="log")
        axes.set_xticks(sorted({point["coefficients"] for point in points})[::2], minor=False)
        axes.minorticks_off()
        axes.xaxis.set_major_formatter("{x:.0f}")
        if measure in ("squared_error", "fd"):
            axes.set_yscale("log")
    figure.axes[0].legend()
    return figure


def put(lines: Sequence[Line]) -> None:
    """``lines`` into the file, in place of those of the same sizes and seeds."""
    new = [{key: rounded(value) for key, value in line.items()} for line in lines]
    keys = {key_of(line) for line in new}
    kept = [line for line in read_results(FILE) if key_of(line) not in keys]
    write_results(FILE, sorted([*kept, *new], key=key_of))


def key_of(line: Line) -> tuple[int, ...]:
    return tuple(int(line[key]) for key in KEYS)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", nargs="+", type=Path, default=[], metavar="RUN")
    with one_line_errors():
        put([line_of(run) for run in parser.parse_args(arguments).collect])
        if measured := read_results(FILE):
            write_results(TRENDS, trends(measured))
            chart(measured).savefig(CHART, dpi=70)
        print(CHART.relative_to(DOCS.parent) if CHART.is_relative_to(DOCS.parent) else CHART)


if __name__ == "__main__":
    main()
