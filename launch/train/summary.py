"""What a run says at its end: a short table and where to look."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Trainer

from callbacks.measured import all_measured
from launch.train.run_folder import RunFolder
from lightning_modules.base import Method
from records.results import markdown_table
from records.run_files import grid_facts, grids, read_metrics


def relative(path: Path) -> str:
    """As short as it can be typed from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def last_values(run: RunFolder, prefix: str) -> dict[str, float]:
    """The latest value of each column that starts with ``prefix``."""
    found: dict[str, float] = {}
    for row in read_metrics(run.path / "metrics.csv"):
        found |= {name: value for name, value in row.items() if name.startswith(prefix)}
    return found


def print_summary(run: RunFolder, trainer: Trainer, method: Method, *, seconds: float) -> None:
    speed = last_values(run, "throughput/")
    rows = [("what", "value"), ("---", "---")]
    rows += [(name.removeprefix("metric/"), f"{value:.4g}") for name, value in sorted(all_measured(trainer).items())]
    rows.append(("images seen", f"{method.images_seen / 1000:g} kimg"))
    if "throughput/train_seconds" in speed:  # unless the run was told not to log it
        rows.append(("training", f"{speed['throughput/train_seconds']:.0f} s"))
    rows.append(("whole run", f"{seconds:.0f} s"))
    print("\n" + markdown_table(rows))
    last = [paths[-1] for paths in grids(run.path / "samples").values()]
    pictures = [path for path in last if grid_facts(path)[0] == method.images_seen / 1000]
    print(f"\nreport      {relative(run.path / 'report.html')}")
    for picture in pictures:
        print(f"samples     {relative(picture)}")
    print(f"checkpoint  {relative(run.last_checkpoint)}")


def finish(run: RunFolder, *, max_kimg: float) -> dict[str, float]:
    """Say that there is nothing left to do; the metrics that the run ended with."""
    print(
        f"the run in {relative(run.path)} is finished: it has seen its {max_kimg:g} kimg. A larger max_kimg= goes on from there"
    )
    return last_values(run, "metric/")
