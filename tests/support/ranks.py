"""Short fits of a method by one rank or several, and what is left of them, for the tests that compare the two."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from generative.randomness import Stream
from launch.build import build
from launch.compose import compose, plain
from launch.quiet import quiet
from launch.train.strategy import AveragedGradients
from lightning_modules.base import Method
from tests.support.data_choice import data_for


@dataclass
class Outcome:
    """What a rank has at the end of a fit: equal on all ranks but for ``numbers`` and ``draws``."""

    weights: dict[str, Tensor]  # averages and buffers too
    moments: list[Tensor]  # of all optimisers, in order
    losses: list[dict[str, float]]  # of each step, on this rank
    numbers: set[int] = field(default_factory=set)  # of the images that it trained on
    draws: set[tuple[int, int]] = field(default_factory=set)  # (stream, image number) of every random number
    largest_batch: int = 0  # images that a network was given at once, of those that train


class Watch(Callback):
    """Ends a fit after ``num_steps`` and takes down what :class:`Outcome` asks for."""

    def __init__(self, num_steps: int) -> None:
        self.num_steps = num_steps
        self.losses: list[dict[str, float]] = []
        self.numbers: set[int] = set()
        self.draws: set[tuple[int, int]] = set()
        self.largest_batch = 0

    def on_train_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        trained = {
            id(p) for optimizer in trainer.optimizers for group in optimizer.param_groups for p in group["params"]
        }

        def look(module: Any, inputs: tuple[Any, ...]) -> None:
            sizes = [len(value) for value in inputs if isinstance(value, Tensor) and value.ndim > 1]
            self.largest_batch = max([self.largest_batch, *sizes])

        for child in method.children():
            if any(id(parameter) in trained for parameter in child.parameters()):
                child.register_forward_pre_hook(look)
        self.bits = Stream.bits

        def noted(stream: Stream, first: int, count: int, words: int) -> Any:
            self.draws |= {(int(stream.key[1]), number) for number in range(first, first + count)}
            return self.bits(stream, first, count, words)

        Stream.bits = noted  # type: ignore[method-assign]

    def on_train_batch_start(self, trainer: Trainer, method: Method, batch: Any, index: int) -> None:  # type: ignore[override]
        self.numbers |= set(range(batch["first_number"], batch["first_number"] + len(batch["image"])))

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        self.losses.append({name: float(value) for name, value in method.losses.items()})
        assert not method.recorded, "recorded after the step was counted"
        trainer.should_stop = len(self.losses) >= self.num_steps

    def on_train_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        Stream.bits = self.bits  # type: ignore[method-assign]


def fit(
    *overrides: str, num_steps: int, num_ranks: int = 1, precision: str = "64-true", **settings: Any
) -> tuple[Outcome, Method, Trainer]:
    """Train for ``num_steps`` on the digits; ``num_ranks`` above 1: in each of the processes of :func:`on_ranks`."""
    quiet()
    config = plain(compose("train", ["experiment=none", data_for(*overrides), "run_dir=run", *overrides]))
    torch.manual_seed(0)
    datamodule, method = build(config)
    leave_out_batch_norm(method)
    watch = Watch(num_steps)
    trainer = Trainer(
        accelerator="cpu",
        devices=num_ranks,
        strategy="auto" if num_ranks == 1 else AveragedGradients(timeout_seconds=120, bucket_megabytes=4),
        precision=precision,  # type: ignore[arg-type]
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **({"callbacks": [watch]} | settings),
    )
    trainer.fit(method, datamodule)
    states = [state for optimizer in trainer.optimizers for state in optimizer.state.values()]
    moments = [value for state in states for value in state.values() if isinstance(value, Tensor)]
    outcome = Outcome(
        {name: value.clone() for name, value in method.state_dict().items()},
        [value.clone() for value in moments],
        watch.losses,
        watch.numbers,
        watch.draws,
        watch.largest_batch,
    )
    return outcome, method, trainer


def leave_out_batch_norm(module: nn.Module) -> None:
    """CPU ranks cannot share its statistics, and parts of a batch have others than the whole."""
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            setattr(module, name, nn.Identity())
        leave_out_batch_norm(child)


def start(rank: int, num_ranks: int, port: int, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(num_ranks)}
    work(rank, *arguments)


def on_ranks(num_ranks: int, work: Callable[..., Any], *arguments: Any) -> Any:
    """Start ``work(rank, *arguments)`` in ``num_ranks`` processes; ``join()`` of the result waits and raises what they raised.

    They are forked from a process that has imported the libraries once (ours it would not find).
    """
    multiprocessing.set_forkserver_preload(["lightning.pytorch", "torchmetrics.classification", "torchvision", "hydra"])
    return torch.multiprocessing.start_processes(
        start,
        args=(num_ranks, find_free_network_port(), work, arguments),
        nprocs=num_ranks,
        join=False,
        start_method="forkserver",
    )


def outcomes(folder: Path, num_ranks: int, name: str) -> list[Outcome]:
    """What :func:`keep` wrote on each rank."""
    return [torch.load(folder / f"{name}_{rank}.pt", weights_only=False) for rank in range(num_ranks)]


def keep(outcome: Outcome, folder: Path, rank: int, name: str) -> None:
    torch.save(outcome, folder / f"{name}_{rank}.pt")
