"""A callback that sends a signal, or kills, at a chosen moment of a run."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

import launch.checkpoint
from lightning_modules.base import Method

WRITING = ("half", "unflushed", "whole", "linked")


class KillProbe(Callback):
    """``moment``: ``step`` (``seconds`` after the start of the step at ``images``), ``backward`` (there, while the other
    rank waits for this one's gradients), or one of ``WRITING``, in the ``save``-th writing of a checkpoint.

    ``target``: this process (``self``) of rank ``rank``, its whole ``group``, or a data ``worker`` of it; no
    signal: its ``memory`` ends, or it does nothing for a ``long`` time.
    """

    def __init__(
        self,
        *,
        moment: str,
        images: int = 0,
        seconds: float = 0.0,
        save: int = 1,
        rank: int = 0,
        signal_name: str = "SIGKILL",
        target: str = "self",
    ) -> None:
        self.moment, self.images, self.seconds, self.save, self.rank = moment, images, seconds, save, rank
        self.signum = signal.Signals[signal_name]
        self.target = target
        self.num_saves = 0
        self.has_sent = False

    def send(self) -> None:
        if self.target == "memory":
            raise MemoryError
        if self.target == "long":
            time.sleep(600)
        if self.target == "group":
            os.killpg(0, self.signum)
        else:
            os.kill(worker_of_this_run() if self.target == "worker" else os.getpid(), self.signum)

    def on_train_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        if self.moment in WRITING and trainer.global_rank == self.rank:
            self.watch_writing()
        if self.moment == "backward" and trainer.global_rank == self.rank:
            next(method.parameters()).register_hook(lambda _: self.send() if self.is_due(method) else None)

    def is_due(self, method: Method) -> bool:
        return method.images_seen >= self.images

    def on_train_batch_start(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        if self.moment != "step" or trainer.global_rank != self.rank or self.has_sent or not self.is_due(method):
            return
        self.has_sent = True
        if self.seconds:
            threading.Thread(target=lambda: (time.sleep(self.seconds), self.send()), daemon=True).start()
        else:
            self.send()

    def watch_writing(self) -> None:
        save, fsync, replace, keep = torch.save, os.fsync, Path.replace, launch.checkpoint.keep_previous

        def saving(content: Any, file: Any) -> None:
            self.num_saves += 1
            if self.is_now("half"):
                whole = io.BytesIO()
                save(content, whole)
                file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
                file.flush()
                self.send()
            save(content, file)

        def flushing(descriptor: int) -> None:
            if self.is_now("unflushed"):
                self.send()
            fsync(descriptor)

        def replacing(path: Path, target: Path) -> Path:
            if self.is_now("whole") and path.name == ".last.ckpt.writing":
                self.send()
            return replace(path, target)

        def keeping(path: Path) -> None:
            keep(path)
            if self.is_now("linked"):
                self.send()

        torch.save, os.fsync, Path.replace = saving, flushing, replacing  # type: ignore[assignment, method-assign]
        launch.checkpoint.keep_previous = keeping

    def is_now(self, moment: str) -> bool:
        return self.moment == moment and self.num_saves == self.save


def worker_of_this_run() -> int:
    """A loading process. Python also lists children of earlier runs in this process whose end somebody else waited for."""
    pids = [child.pid for child in multiprocessing.active_children() if Path(f"/proc/{child.pid}").exists()]
    assert pids[0] is not None
    return pids[0]
