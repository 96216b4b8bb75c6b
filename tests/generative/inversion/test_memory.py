"""How much a search takes, against what it is seen to take, and what is said where that is too much."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch
from torch import Tensor

from generative.inversion import memory
from generative.inversion.memory import MOST_DRAWN, free_bytes, images_at_once, kept_bytes
from generative.inversion.search import Point


class Squares:
    """Each latent squared ``times`` times: the graph keeps so many tensors of its size."""

    name, rate = "squares", 0.1

    def __init__(self, times: int, num_latents: int = 1) -> None:
        self.times, self.num_latents = times, num_latents

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
    assert kept_bytes(Squares(5, MOST_DRAWN + 1), point, lambda images: images.sum(dim=1)) == five, "of shapes alone"
    assert not point["z"].requires_grad


def test_nothing_is_computed_and_no_memory_is_taken() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    point = {"z": torch.zeros(1).expand(10**9)}  # each square would take four gigabytes
    assert kept_bytes(Squares(10, MOST_DRAWN + 1), point, torch.sum) >= 9 * 4 * 10**9
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB
    assert not point["z"].requires_grad


def test_batches_are_cut_to_what_is_free() -> None:
    assert images_at_once(10**9, most=16, free=10**11) == 16
    assert images_at_once(10**9, most=16, free=20 * 10**9) == 5
    assert images_at_once(0, most=16, free=10**6) == 16
    with pytest.raises(ValueError, match=r"takes about 2 GB for one image, and 3 GB are free: ask for fewer codes"):
        images_at_once(10**9, most=16, free=3 * 10**9)


def group(folder: Path, limit: str, taken: int, idle: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{taken}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {idle}\n")


def test_the_limits_of_groups_of_processes_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of every group around this process; files that are only kept in memory are free."""
    cpu = torch.device("cpu")
    assert free_bytes(cpu) > 10**8
    own = tmp_path / "own"
    own.write_text("0::/jobs/this\n")
    monkeypatch.setattr(memory, "OWN_GROUPS", own)
    monkeypatch.setattr(memory, "GROUPS", tmp_path)
    assert free_bytes(cpu) > 10**8
    group(tmp_path / "jobs" / "this", "max", 5000)
    assert free_bytes(cpu) > 10**8
    group(tmp_path / "jobs", "12000", 5000, idle=2000)
    assert free_bytes(cpu) == 9000
    group(tmp_path / "jobs" / "this", "8000", 5000)
    assert free_bytes(cpu) == 3000
    group(tmp_path / "jobs" / "this", "4000", 5000)
    assert free_bytes(cpu) == 0
    own.write_text("3:cpu,cpuacct:/x\n7:memory:/slurm\n")
    (tmp_path / "memory" / "slurm").mkdir(parents=True)
    (tmp_path / "memory" / "slurm" / "memory.limit_in_bytes").write_text("700\n")
    (tmp_path / "memory" / "slurm" / "memory.usage_in_bytes").write_text("100\n")
    assert free_bytes(cpu) == 600
