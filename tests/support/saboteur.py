"""Makes chosen trials of a sweep go wrong in the middle of their training."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from lightning_modules.base import Method


class Saboteur(Callback):
    """``crash``, ``diverge``, ``hang``: numbers of trials, -1 for none. It acts once ``after_kimg`` are trained."""

    def __init__(self, *, run_dir: str, after_kimg: float, crash: int = -1, diverge: int = -1, hang: int = -1) -> None:
        self.trial = int(Path(run_dir).name)
        self.after_kimg = after_kimg
        self.crash, self.diverge, self.hang = crash, diverge, hang

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        if not method.crossed(self.after_kimg):
            return
        if self.trial == self.crash:
            raise RuntimeError("sabotage")
        if self.trial == self.diverge:
            with torch.no_grad():
                next(method.parameters()).fill_(torch.nan)
        if self.trial == self.hang:
            subprocess.Popen(["sleep", "3600"], start_new_session=True)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(3600)
