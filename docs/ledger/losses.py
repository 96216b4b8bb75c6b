"""Makes docs/results/dcgan/losses.md, and a grid of samples a loss, from runs of digits by the losses of chapter 2.

python -m docs.ledger.losses RUN [RUN ...]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from docs.ledger.results import DOCS
from launch.compose import compose, group_options, plain
from launch.errors import one_line_errors
from records.run_files import CLOCK, grids, read_metrics

EXPERIMENT = "dcgan/digits"
FOLDER = DOCS / "results" / "dcgan"
MEASURED = "callbacks.metrics.every_kimg=1"
HEADER = """# The losses of chapter 2 on digits

Handwritten digits of 8 x 8 pixels, {kimg:.0f},000 images seen, batches of 64, the same networks of width 32. FD is the
Frechet distance in pixels to the 1,438 training images: the lower the better, and about 0.18 for a perfect generator.
Each loss has the settings of its file in `configs/loss/`. These differ in the number of generator steps and in the
learning rate, as their papers do. So the order of the table is that of the settings and not of the losses alone.
A row has the seeds that were trained, which may be fewer than those of the command.

```bash
for loss in {names}; do
  python train.py -m experiment={experiment} +loss=$loss seed={seeds} max_kimg={kimg:.0f} \\
    {measured} callbacks.samples.every_kimg={kimg:.0f}
done
python -m docs.ledger.losses runs/multirun/*/[0-9]*
```

| `+loss=` | seeds | generator steps | FD at 1 kimg | FD at {kimg:.0f} kimg | share left |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Trained:
    """A finished run: its loss, seed, first and last Frechet distance, images at these and the last grid of samples."""

    loss: str
    seed: int
    first: float
    last: float
    kimg: float
    generator_steps: int  # taken in the whole run
    grid: Path


@lru_cache
def settings_of(loss: str) -> dict[str, Any]:
    """Of the method of the experiment with this loss."""
    config = plain(compose("train", [f"experiment={EXPERIMENT}", f"+loss={loss}", "run_dir=run"]))
    method: dict[str, Any] = config["method"]
    return method


def loss_of(config: dict[str, Any]) -> str:
    """The file of ``configs/loss`` that a run's method has all settings of; ValueError where there is none."""
    names = [name for name in group_options("loss") if settings_of(name) == config["method"]]
    if not names:
        raise ValueError(f"no file of configs/loss gives {EXPERIMENT} the method of {config['run_dir']}")
    return names[0]


def read_run(folder: Path) -> Trained:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    measured = [row for row in read_metrics(folder / "metrics.csv") if any("metric/fd_" in key for key in row)]
    if not measured or measured[0][CLOCK] > 1.5 or measured[-1][CLOCK] < config["max_kimg"]:
        raise ValueError(f"{folder} was not measured from 1 kimg to its end: train it with {MEASURED}")
    first, last = (next(row[key] for key in row if "metric/fd_" in key) for row in (measured[0], measured[-1]))
    method, kimg = config["method"], measured[-1][CLOCK]
    batches = round(1000 * kimg / config["datamodule"]["batch_size"])
    steps = batches // method["critic_steps"] * method.get("generator_steps", 1)
    (grid,) = {paths[-1] for paths in grids(folder / "samples").values()}
    return Trained(loss_of(config), config["seed"], first, last, config["max_kimg"], steps, grid)


def table(runs: list[Trained]) -> str:
    """The page: a row a loss, the smallest distance at the end first, and its picture below."""
    (kimg,) = {run.kimg for run in runs}
    groups = [[run for run in runs if run.loss == loss] for loss in {run.loss for run in runs}]
    groups.sort(key=lambda group: statistics.mean(run.last for run in group))
    seeds = ",".join(str(seed) for seed in sorted({run.seed for run in runs}))
    names = " ".join(group[0].loss for group in groups)
    page = HEADER.format(names=names, experiment=EXPERIMENT, seeds=seeds, kimg=kimg, measured=MEASURED)
    for group in groups:
        first, last = ([run.first for run in group], [run.last for run in group])
        share = statistics.mean(last) / statistics.mean(first)
        seeds = ", ".join(str(run.seed) for run in sorted(group, key=lambda run: run.seed))
        cells = (
            f"`{group[0].loss}`",
            seeds,
            f"{group[0].generator_steps:,}",
            spread(first),
            spread(last),
            f"{share:.0%}",
        )
        page += f"| {' | '.join(cells)} |\n"
    return page + "".join(
        f"\n## {group[0].loss}\n\n![samples of seed {group[0].seed}](losses_{group[0].loss}.png)\n" for group in groups
    )


def spread(values: list[float]) -> str:
    """The mean, and the range where there are several."""
    mean = f"{statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.1f} to {max(values):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    with one_line_errors():
        runs = sorted((read_run(folder) for folder in parser.parse_args().runs), key=lambda run: run.seed)
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / "losses.md").write_text(table(runs))
        for run in reversed(runs):  # the picture of the first seed stays
            shutil.copy(run.grid, FOLDER / f"losses_{run.loss}.png")
        print(FOLDER / "losses.md")


if __name__ == "__main__":
    main()
