"""Progress that counts images and says when the run will end."""

from __future__ import annotations

import sys
import time
from typing import Any

from lightning.pytorch import Callback, Trainer
from tqdm import tqdm

from lightning_modules.base import Method

BAR = "{percentage:3.0f}% |{bar:20}| {n:.1f}/{total:g} kimg, {desc}"


class Progress(Callback):
    """kimg done and to do, images/s, the time left and the losses: a bar on a terminal, now and then a line in a log."""

    def __init__(self, *, max_kimg: float, refresh_seconds: float = 0.5, log_every_seconds: float = 20.0) -> None:
        self.max_kimg = max_kimg
        self.refresh_seconds = refresh_seconds
        self.log_every_seconds = log_every_seconds
        self.bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        self.started_at = self.shown_at = time.perf_counter()
        self.started_images = self.shown_images = method.images_seen
        self.is_shown = trainer.is_global_zero
        self.pace = self.refresh_seconds if sys.stderr.isatty() else self.log_every_seconds
        if self.is_shown and sys.stderr.isatty():
            self.bar = tqdm(total=self.max_kimg, bar_format=BAR, desc="starting", dynamic_ncols=True)

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        is_last = method.images_seen >= self.max_kimg * 1000
        if self.is_shown and (is_last or time.perf_counter() - self.shown_at >= self.pace):
            self.show(method)

    def show(self, method: Method) -> None:
        now = time.perf_counter()
        kimg = min(method.images_seen / 1000, self.max_kimg)  # the last batch may pass the budget
        speed = (method.images_seen - self.shown_images) / max(now - self.shown_at, 1e-9)
        overall = (method.images_seen - self.started_images) / max(now - self.started_at, 1e-9)
        left = tqdm.format_interval((self.max_kimg - kimg) * 1000 / max(overall, 1e-9))
        losses = ", ".join(f"{name.split('/')[1]} {float(value):.3g}" for name, value in method.losses.items())
        facts = f"{speed:.0f} images/s, {left} left, {losses}"
        self.shown_at, self.shown_images = now, method.images_seen
        if self.bar is None:
            print(f"{kimg:.1f} of {self.max_kimg:g} kimg, {facts}", file=sys.stderr, flush=True)
        else:
            self.bar.n = kimg
            self.bar.set_description_str(facts)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def on_train_end(self, *_: Any) -> None:
        self.close()

    def on_exception(self, *_: Any) -> None:
        self.close()
