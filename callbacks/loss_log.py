"""Mean losses and throughput, at a steady pace of images."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from callbacks.loggers.entries import log_values
from generative.ranks import from_all_ranks, rank_and_world_size
from lightning_modules.base import Method


def mean_over_ranks(trainer: Trainer, method: Method, value: Tensor) -> Tensor:
    reduced = trainer.strategy.reduce(value.to(method.device), reduce_op="mean")
    assert isinstance(reduced, Tensor)
    return reduced


class LossLog(Callback):
    """Logs the mean of each recorded value since the last row, over all ranks, every ``every_kimg`` (0: never).

    The steps after the last row have one of their own at the end of training, so that a run shorter than ``every_kimg``
    has its losses too. The sums are in the checkpoint: a resumed run writes the rows that an uninterrupted one writes.
    """

    def __init__(self, *, every_kimg: float) -> None:
        self.every_kimg = every_kimg
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        for name, value in method.losses.items():
            self.sums[name] = self.sums.get(name, torch.zeros((), dtype=torch.float64)) + value.double().cpu()
            self.counts[name] = self.counts.get(name, 0) + 1
        if method.crossed(self.every_kimg):
            self.log_means(trainer, method)
            self.sums, self.counts = {}, {}

    def on_train_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        # The sums stay: a run that goes on to a larger budget writes its next row as if it had not stopped here.
        if self.every_kimg > 0 and self.counts:
            self.log_means(trainer, method)

    def log_means(self, trainer: Trainer, method: Method) -> None:
        means = {name: total / self.counts[name] for name, total in self.sums.items()}
        if trainer.world_size > 1:
            means = {name: mean_over_ranks(trainer, method, mean) for name, mean in means.items()}
        log_values(trainer, method, {name: float(mean) for name, mean in means.items()})

    def state_dict(self) -> dict[str, Any]:
        return {"sums": from_all_ranks(self.sums), "counts": self.counts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        of_ranks, self.counts = state_dict["sums"], state_dict["counts"]
        rank, world_size = rank_and_world_size()
        if len(of_ranks) == world_size:
            self.sums = of_ranks[rank]
        else:  # goes on with another number of ranks: the mean over them stays what it was
            self.sums = {name: sum(sums[name] for sums in of_ranks) / len(of_ranks) for name in of_ranks[0]}


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory on the GPU that trains, or the peak resident size of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


class Throughput(Callback):
    """Logs training images a second, the seconds trained so far and the peak memory, every ``every_kimg`` and at the end.

    Time spent on samples, metrics, checkpoints and reports does not count as training: the clock runs from the
    start of a step to its end.
    """

    def __init__(self, *, every_kimg: float) -> None:
        self.every_kimg = every_kimg
        self.train_seconds = 0.0
        self.interval_seconds = 0.0
        self.interval_images = 0
        self.step_start = 0.0

    def on_train_batch_start(self, *_: Any) -> None:
        self.step_start = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        elapsed = time.perf_counter() - self.step_start
        self.train_seconds += elapsed
        self.interval_seconds += elapsed
        self.interval_images += method.images_seen - method.images_seen_before
        if method.crossed(self.every_kimg):
            self.log_interval(trainer, method)

    def on_train_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        if self.every_kimg > 0 and self.interval_images:
            self.log_interval(trainer, method)

    def log_interval(self, trainer: Trainer, method: Method) -> None:
        values = {
            "throughput/images_per_second": self.interval_images / self.interval_seconds,
            "throughput/train_seconds": self.train_seconds,
            "throughput/peak_memory_mb": peak_memory_mb(method.device),
        }
        log_values(trainer, method, values)
        self.interval_seconds, self.interval_images = 0.0, 0

    def state_dict(self) -> dict[str, Any]:
        return {"train_seconds": self.train_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.train_seconds = state_dict["train_seconds"]
