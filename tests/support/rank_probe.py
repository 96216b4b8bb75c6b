"""Callbacks that let a test look into every rank of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from lightning_modules.base import Method


class StartProbe(Callback):
    """Writes a line, ``<seed> <rank> <ranks> <process>``, whenever a rank begins to train."""

    def __init__(self, *, path: str) -> None:
        self.path = Path(path)

    def on_fit_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        with self.path.open("a") as file:
            file.write(f"{method.seed} {trainer.global_rank} {trainer.world_size} {os.getpid()}\n")


class RankProbe(Callback):
    """Saves, for each rank, the numbers of the first images of its batches and its weights at the end."""

    def __init__(self, *, folder: str) -> None:
        self.folder = Path(folder)
        self.numbers: list[int] = []

    def on_train_batch_start(self, trainer: Trainer, method: Method, batch: Any, index: int) -> None:  # type: ignore[override]
        self.numbers.append(batch["first_number"])

    def on_train_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        path = self.folder / f"rank_{trainer.global_rank}_of_{trainer.world_size}.pt"
        torch.save({"numbers": self.numbers, "weights": method.state_dict()}, path)
