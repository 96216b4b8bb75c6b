"""report.html: one self-contained page about a run, rewritten while the run goes on."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Callback, Trainer

from callbacks.environment import environment
from callbacks.pages import Pace, curves, data_address, page, thin
from callbacks.run_files import CLOCK, REAL_IMAGES, grid_facts, grids, read_lines, read_metrics, replace_text
from lightning_modules.base import Method

MAX_FRAMES = 24  # grids of each size that the page carries, spread over the run
MAX_POINTS = 500  # of a curve


def pictures(samples: Path) -> dict[str, Any]:
    """What the page shows of a run's samples, each picture as a data address.

    ``frames``: size such as ``64px`` -> its grids in time with their kimg. ``real``: the real images beside them, if any.
    """
    by_size = grids(samples)
    # The same share for the first picture as for the last: none is encoded anew when others join it.
    share = 1 / (MAX_FRAMES * len(by_size) + 1)
    real = samples / REAL_IMAGES
    return {
        "frames": {
            size: [
                {"kimg": grid_facts(path)[0], "image": data_address(path, share=share)}
                for path in thin(paths, MAX_FRAMES)
            ]
            for size, paths in by_size.items()
        },
        "real": data_address(real, share=share) if real.exists() else None,
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
        **pictures(run_dir / "samples"),
        "results": read_lines(run_dir / "results.jsonl"),
        "config": yaml.safe_dump(config, sort_keys=False),
        "environment": environment(device_type),
    }
    path = run_dir / "report.html"
    replace_text(path, page("report", title=title, data=data))
    return path


class Report(Callback):
    """Rewrites the report every ``every_kimg`` and at the end.

    But no sooner than ``min_seconds`` after the last time, and so seldom that writing takes a small share of the run's time.
    """

    def __init__(
        self, *, run_dir: str, title: str, max_kimg: float, every_kimg: float, min_seconds: float = 10.0
    ) -> None:
        self.run_dir = Path(run_dir)
        self.title = title
        self.max_kimg = max_kimg
        self.every_kimg = every_kimg
        self.pace = Pace(min_seconds=min_seconds)

    def write(self, trainer: Trainer, method: Method, status: str) -> None:
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        self.run_dir.mkdir(parents=True, exist_ok=True)
        for logger in trainer.loggers:
            logger.save()
        with self.pace.timed():
            write_report(
                self.run_dir,
                title=self.title,
                config=method.run_config,
                status=status,
                max_kimg=self.max_kimg,
                device_type=method.device.type,
            )

    def on_train_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        self.write(trainer, method, "running")

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        if method.crossed(self.every_kimg) and self.pace.is_due:
            self.write(trainer, method, "running")

    def on_train_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        self.write(trainer, method, "trained")

    def on_test_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        self.write(trainer, method, "finished")

    def on_exception(self, trainer: Trainer, method: Method, exception: BaseException) -> None:  # type: ignore[override]
        # A full disk may be what stopped the run: the report must not hide that behind its own failure.
        with contextlib.suppress(OSError):
            self.write(trainer, method, f"stopped: {type(exception).__name__}: {exception}")
