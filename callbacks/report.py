"""report.html, rewritten while the run goes on."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from lightning_modules.base import Method
from records.pages import Pace
from records.report import write_report


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
