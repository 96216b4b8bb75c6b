"""Progress that counts images and says when the run will end."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Any

from lightning.pytorch import Callback, Trainer
from tqdm import tqdm

from lightning_modules.base import Method

RECENT_SECONDS = 120.0  # by whose pace the time left is told: stages of a training differ in theirs
BAR = "{percentage:3.0f}% |{bar:20}| {n:.1f}/{total:g} kimg, {desc}"


class Progress(Callback):
    """kimg done and to do, images/s, the time left and the losses: a bar on a terminal, now and then a line in a log."""

    def __init__(self, *, max_kimg: float, refresh_seconds: float = 0.5, log_every_seconds: float = 20.0) -> None:
        self.max_kimg = max_kimg
        self.refresh_seconds = refresh_seconds
        self.log_every_seconds = log_every_seconds
        self.bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        self.marks = deque([(time.perf_counter(), method.images_seen)])
        self.is_shown = trainer.is_global_zero
        self.pace = self.refresh_seconds if sys.stderr.isatty() else self.log_every_seconds
        if self.is_shown and sys.stderr.isatty():
            self.bar = tqdm(total=self.max_kimg, bar_format=BAR, desc="starting", dynamic_ncols=True)

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        is_last = method.images_seen >= self.max_kimg * 1000
        if self.is_shown and (is_last or time.perf_counter() - self.marks[-1][0] >= self.pace):
            self.show(method)

    def show(self, method: Method) -> None:
        now = time.perf_counter()
        kimg = min(method.images_seen / 1000, self.max_kimg)  # the last batch may pass the budget
        speed = self.pace_since(*self.marks[-1], now=now, images=method.images_seen)
        while len(self.marks) > 1 and now - self.marks[1][0] >= RECENT_SECONDS:
            self.marks.popleft()
        recent = self.pace_since(*self.marks[0], now=now, images=method.images_seen)
        left = tqdm.format_interval((self.max_kimg - kimg) * 1000 / max(recent, 1e-9))
        losses = ", ".join(f"{name.split('/')[1]} {float(value):.3g}" for name, value in method.losses.items())
        facts = f"{speed:.0f} images/s, {left} left, {losses}"
        self.marks.append((now, method.images_seen))
        if self.bar is None:
            print(f"{kimg:.1f} of {self.max_kimg:g} kimg, {facts}", file=sys.stderr, flush=True)
        else:
            self.bar.n = kimg
            self.bar.set_description_str(facts)

    @staticmethod
    def pace_since(then: float, images_then: int, *, now: float, images: int) -> float:
        """Images a second."""
        return (images - images_then) / max(now - then, 1e-9)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def on_train_end(self, *_: Any) -> None:
        self.close()

    def on_exception(self, *_: Any) -> None:
        self.close()
