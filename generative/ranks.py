"""The processes of a run, where there are several: who am I, and what do all say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist


def rank_and_world_size() -> tuple[int, int]:
    """(0, 1) outside a process group."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def on_all_ranks(value: bool, *, device: torch.device) -> bool:
    """Whether ``value`` holds on every rank; each must ask. ``device`` is one that the process group can reduce on."""
    if rank_and_world_size()[1] == 1:
        return value
    flag = torch.tensor(int(value), device=device)
    dist.all_reduce(flag, op=dist.ReduceOp.MIN)
    return bool(flag)


def same_on_all_ranks(values: dict[str, float], *, device: torch.device) -> dict[str, float]:
    """Rank 0's values: unlike processors round alike no further than to the last digits, and decisions hang on them."""
    if rank_and_world_size()[1] == 1:
        return values
    row = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
    dist.broadcast(row, src=0)
    return dict(zip(values, row.tolist(), strict=True))


def from_all_ranks(value: Any) -> list[Any]:
    """``value`` of every rank, in their order; each must ask."""
    world_size = rank_and_world_size()[1]
    if world_size == 1:
        return [value]
    values: list[Any] = [None] * world_size
    dist.all_gather_object(values, value)
    return values


@contextmanager
def ranks_of_launcher(device: str) -> Iterator[str]:
    """Join the process group of the ranks that torchrun's variables name, if any; yields the device of this rank."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield device
        return
    is_cuda = torch.device(device).type == "cuda"
    if is_cuda:
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        if local_rank >= torch.cuda.device_count():
            raise ValueError(f"{local_rank + 1} ranks were started and there are {torch.cuda.device_count()} GPUs")
        device = f"cuda:{local_rank}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if is_cuda else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()
