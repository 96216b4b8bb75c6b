"""report.html: one self-contained page about a run, rewritten while the run goes on."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Callback, Trainer

from callbacks.environment import environment
from callbacks.pages import curves, data_address, page, thin
from callbacks.run_files import CLOCK, grid_facts, read_lines, read_metrics, replace_text
from lightning_modules.base import Method

MAX_FRAMES = 24  # grids of each size that the page carries, spread over the run
MAX_POINTS = 500  # of a curve


def frames(samples: Path) -> dict[str, list[dict[str, Any]]]:
    """Size such as ``64px`` -> its grids in time: kimg and the picture as a data address."""
    by_size: dict[str, list[Path]] = {}
    for path in sorted(samples.glob("kimg_*.png")):
        by_size.setdefault(grid_facts(path)[1], []).append(path)
    return {
        size: [
            {
                "kimg": grid_facts(path)[0],
                "image": data_address(path),
            }
            for path in thin(paths, MAX_FRAMES)
        ]
        for size, paths in sorted(by_size.items(), key=lambda item: int(item[0].removesuffix("px")))
    }


def write_report(
    run_dir: Path, *, title: str, config: dict[str, Any], status: str, max_kimg: float, device_type: str
) -> Path:
    """Make ``run_dir/report.html`` from the run's files; the old page stays until the new one is whole."""
    rows = read_metrics(run_dir / "metrics.csv")
    data = {
        "title": title,
        "status": status,
        "updated": time.strftime("%Y-%m-%d %H:%M:%S"),
        "kimg": rows[-1][CLOCK] if rows else 0.0,
        "maxKimg": max_kimg,
        "curves": curves(rows, max_points=MAX_POINTS),
        "frames": frames(run_dir / "samples"),
        "results": read_lines(run_dir / "results.jsonl"),
        "config": yaml.safe_dump(config, sort_keys=False),
        "environment": environment(device_type),
    }
    path = run_dir / "report.html"
    replace_text(path, page("report", title=title, data=data))
    return path


class Report(Callback):
    """Rewrites the report every ``every_kimg``, but no sooner than ``min_seconds`` after the last time, and at the end."""

    def __init__(
        self, *, run_dir: str, title: str, max_kimg: float, every_kimg: float, min_seconds: float = 10.0
    ) -> None:
        self.run_dir = Path(run_dir)
        self.title = title
        self.max_kimg = max_kimg
        self.every_kimg = every_kimg
        self.min_seconds = min_seconds
        self.written_at = -min_seconds

    def write(self, trainer: Trainer, method: Method, status: str) -> None:
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        self.run_dir.mkdir(parents=True, exist_ok=True)
        for logger in trainer.loggers:
            logger.save()
        write_report(
            self.run_dir,
            title=self.title,
            config=method.run_config,
            status=status,
            max_kimg=self.max_kimg,
            device_type=method.device.type,
        )
        self.written_at = time.monotonic()

    def on_train_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        self.write(trainer, method, "running")

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        if method.crossed(self.every_kimg) and time.monotonic() - self.written_at >= self.min_seconds:
            self.write(trainer, method, "running")

    def on_train_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        self.write(trainer, method, "trained")

    def on_test_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        self.write(trainer, method, "finished")

    def on_exception(self, trainer: Trainer, method: Method, exception: BaseException) -> None:  # type: ignore[override]
        # A full disk may be what stopped the run: the report must not hide that behind its own failure.
        with contextlib.suppress(OSError):
            self.write(trainer, method, f"stopped: {type(exception).__name__}: {exception}")
