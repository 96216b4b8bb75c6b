"""How much a search takes, against what it is seen to take, and what is said where that is too much."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch
from torch import Tensor

from generative.inversion import memory
from generative.inversion.memory import free_bytes, images_at_once, kept_bytes
from generative.inversion.search import Point


class Squares:
    """Each latent squared ``times`` times: the graph keeps so many tensors of its size."""

    name, rate, num_latents = "squares", 0.1, 1

    def __init__(self, times: int) -> None:
        self.times = times

    def at(self, latents: Tensor) -> Point:
        return {"z": latents}

    def units(self) -> Point:
        return {"z": torch.ones(())}

    def draw(self, point: Point) -> Tensor:
        drawn = point["z"]
        for _ in range(self.times):
            drawn = drawn.square()
        return drawn


def test_what_a_graph_keeps_is_counted() -> None:
    point = {"z": torch.zeros(2, 3, dtype=torch.float64)}
    one, five = (kept_bytes(Squares(times), point, lambda images: images.sum(dim=1)) for times in (1, 5))
    assert one == 2 * 3 * 8
    assert five == 5 * one


def test_nothing_is_computed_and_no_memory_is_taken() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    point = {"z": torch.zeros(1).expand(10**9)}  # each square would take four gigabytes
    assert kept_bytes(Squares(10), point, torch.sum) >= 9 * 4 * 10**9
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB
    assert not point["z"].requires_grad


def test_batches_are_cut_to_what_is_free() -> None:
    assert images_at_once(10**9, most=16, free=10**11) == 16
    assert images_at_once(10**9, most=16, free=20 * 10**9) == 5
    assert images_at_once(0, most=16, free=10**6) == 16
    with pytest.raises(ValueError, match=r"takes about 2 GB for one image, and 3 GB are free: ask for fewer codes"):
        images_at_once(10**9, most=16, free=3 * 10**9)


def test_the_limit_of_a_group_of_processes_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = free_bytes(torch.device("cpu"))
    assert whole > 10**8
    limit, taken = tmp_path / "memory.max", tmp_path / "memory.current"
    monkeypatch.setattr(memory, "LIMITS", ((str(limit), str(taken)),))
    limit.write_text("max\n")
    taken.write_text("5000\n")
    assert free_bytes(torch.device("cpu")) > 10**8
    limit.write_text("12000\n")
    assert free_bytes(torch.device("cpu")) == 7000
    limit.write_text("4000\n")
    assert free_bytes(torch.device("cpu")) == 0
