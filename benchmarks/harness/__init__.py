"""What all benchmarks share: peers in turn, medians, a table and a JSON line."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from records.environment import environment

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Times:
    """Seconds of each repetition: of the clock, and of all cores together."""

    wall: list[float]
    cpu: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.wall)

    @property
    def cpu_median(self) -> float:
        return statistics.median(self.cpu)


def interleaved(peers: dict[str, Callable[[], object]], *, repetitions: int) -> dict[str, Times]:
    """Times of each peer, taken in turn, so that a drift of the machine meets all of them alike.

    The first round warms up and is left out.
    """
    times: dict[str, Times] = {name: Times([], []) for name in peers}
    for _ in range(repetitions + 1):
        for name, run in peers.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            times[name].wall.append(time.perf_counter() - wall)
            times[name].cpu.append(time.process_time() - cpu)
    return {name: Times(taken.wall[1:], taken.cpu[1:]) for name, taken in times.items()}


def deterministically(run: Callable[[], object]) -> Callable[[], object]:
    """``run`` as under train.py's ``deterministic=true``."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts

    def bound() -> object:
        torch.use_deterministic_algorithms(True)
        try:
            return run()
        finally:
            torch.use_deterministic_algorithms(False)

    return bound


def peak_megabytes(script: str, peer: str) -> float:
    """The memory that ``script --peak-memory-of peer`` reports: one process a peer, for the peak never falls again."""
    return float(printed_by(script, "--peak-memory-of", peer))


def printed_by(script: str, *arguments: str) -> str:
    """The last line that a script prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, script, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return done.stdout.splitlines()[-1]


def growth_of_peak(run: Callable[[], object]) -> float:
    """Megabytes by which ``run`` raises the resident memory of this process at its highest (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before = resident("VmHWM")
    run()
    return (resident("VmHWM") - before) / 1024


def resident(what: str) -> int:
    """A line of /proc/self/status, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:"))


def relative_error(ours: object, plain: object) -> float:
    """The largest difference of two tensors, over the largest value of the second."""
    assert isinstance(ours, Tensor)
    assert isinstance(plain, Tensor)
    expected = plain.detach()
    return float((ours.detach().float() - expected).abs().max() / expected.abs().max())


class Table:
    """Prints a Markdown row as soon as it is known, and the whole as JSON at the end."""

    def __init__(self, columns: list[str]) -> None:
        self.columns = columns
        self.rows: dict[str, dict[str, float]] = {}
        load = os.getloadavg()[0]
        print(
            f"{environment('cpu')['processor']}, torch {torch.__version__}, {torch.get_num_threads()} threads, "
            f"load at the start {load:.1f}\n"
        )
        print("| row | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))

    def add(self, name: str, row: dict[str, float]) -> None:
        self.rows[name] = {key: float(f"{value:.4g}") for key, value in row.items()}
        cells = [f"{row[column]:.3g}" if column in row else "" for column in self.columns]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)

    def print_json(self) -> None:
        print(json.dumps(self.rows))
