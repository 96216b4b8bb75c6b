"""A progress bar that counts images and says when the run will end."""

from __future__ import annotations

import sys
import time
from typing import Any

from lightning.pytorch import Callback, Trainer
from tqdm import tqdm

from lightning_modules.base import Method


class Progress(Callback):
    """kimg done and to do, images/s, losses and the time left: a bar on a terminal, a line now and then in a log."""

    def __init__(self, *, max_kimg: float, log_every_seconds: float = 20.0) -> None:
        self.max_kimg = max_kimg
        self.log_every_seconds = log_every_seconds
        self.bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        if not trainer.is_global_zero:
            return
        on_terminal = sys.stderr.isatty()
        self.bar = tqdm(
            total=self.max_kimg,
            initial=method.images_seen / 1000,
            unit="kimg",
            bar_format="{percentage:3.0f}% |{bar:20}| {n:.1f}/{total:g} kimg, {elapsed} + {remaining} left{postfix}",
            mininterval=0.5 if on_terminal else self.log_every_seconds,
            maxinterval=0.5 if on_terminal else self.log_every_seconds,
            ascii=not on_terminal,
            dynamic_ncols=True,
        )
        self.shown_at, self.shown_images = time.perf_counter(), method.images_seen

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        if self.bar is None:
            return
        now = time.perf_counter()
        due = now - self.shown_at >= self.bar.mininterval
        if due:
            speed = (method.images_seen - self.shown_images) / (now - self.shown_at)
            values = " ".join(f"{name.split('/')[1]} {float(value):.3g}" for name, value in method.losses.items())
            self.bar.set_postfix_str(f"{speed:.0f} images/s, {values}", refresh=False)
            self.shown_at, self.shown_images = now, method.images_seen
        # The last batch may pass the budget; a bar of more than 100 % warns.
        self.bar.update(min(method.images_seen / 1000, self.max_kimg) - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def on_train_end(self, *_: Any) -> None:
        self.close()

    def on_exception(self, *_: Any) -> None:
        self.close()
