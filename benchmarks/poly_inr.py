"""Poly-INR's synthesis against the released formulation, written plainly: drawing, memory, a training step.

python benchmarks/poly_inr.py [--quick] [--device cuda]: a Markdown table and, as the last line, a JSON object. The peer
has the same weights and passes the same golden files (tests/lightning_modules/poly_inr). `ratio` is the peer's time over
ours, `floor_share` the time of the layers' matrix products alone over ours: no formulation of these layers is faster
than a share of 1, so `plain_floor_share` bounds the ratio. Peers run interleaved; medians of the repetitions are
compared. Megabytes are the growth of a process's peak over its weights, gradients included, one process a peer.
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
import time
import unittest.mock
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.harness import (
    Table,
    Times,
    deterministically,
    growth_of_peak,
    interleaved,
    peak_megabytes,
    relative_error,
)
from generative.rendering.coordinates import coordinate_grid
from lightning_modules.poly_inr import synthesis
from lightning_modules.poly_inr.networks import Generator
from lightning_modules.poly_inr.plain import render_plainly

COLUMNS = [
    "ratio",
    "cpu_ratio",
    "floor_share",
    "cpu_floor_share",
    "plain_floor_share",
    "ours_ms",
    "plain_ms",
    "floor_ms",
    "relative_error",
    "compile_s",
    "memory_ratio",
    "ours_mb",
    "plain_mb",
    "ours_s",
]


class Case:
    """A generator with random weights and codes ``ws`` of ``batch`` images at ``resolution`` squared."""

    def __init__(self, *, width: int, num_levels: int, resolution: int, batch: int, device: str = "cpu") -> None:
        torch.manual_seed(0)
        self.generator = Generator(image_channels=3, width=width, num_levels=num_levels).to(device)
        self.ws = torch.randn(batch, num_levels, 512, device=device)
        self.sizes = f"{width}:{num_levels}:{resolution}:{batch}"
        self.name = f"n{width}_{resolution}px" + (f"_batch{batch}" if batch > 1 else "")
        self.width, self.resolution, self.batch, self.device = width, resolution, batch, device

    def grid(self) -> Tensor:
        return coordinate_grid(self.resolution, self.resolution, device=self.device)

    def draw(self, *, compiled: bool = False, recompute: bool = False) -> Tensor:
        self.generator.synthesis.compiled, self.generator.synthesis.recompute = compiled, recompute
        return self.generator.render(self.generator.heads(self.ws), self.grid())

    def draw_plainly(self) -> Tensor:
        return render_plainly(self.generator, self.ws, self.grid())

    def train(self, draw: Callable[[], Tensor]) -> None:
        self.generator.zero_grad()
        draw().square().mean().backward()

    def peers(self) -> dict[str, Callable[[], object]]:
        """What can be measured, in a process of its own by its name."""
        return {
            "draw": torch.no_grad()(self.draw),
            "draw_compiled": torch.no_grad()(functools.partial(self.draw, compiled=True)),
            "draw_plainly": torch.no_grad()(self.draw_plainly),
            "train": lambda: self.train(functools.partial(self.draw, recompute=True)),
            "train_stored": lambda: self.train(self.draw),
            "train_plainly": lambda: self.train(self.draw_plainly),
        }

    def floor(self, *, backward: bool = False, dtype: torch.dtype = torch.float32) -> Callable[[], object]:
        """The products of all pixels at each level but the first, which is folded away; ``backward``: three a level."""
        rows = torch.randn(self.batch * self.resolution**2, self.width, device=self.device, dtype=dtype)
        weight = torch.randn(self.width, self.width, device=self.device, dtype=dtype)

        def products() -> None:
            for _ in range(self.generator.num_levels - 1):
                torch.mm(rows, weight)
                if backward:
                    torch.mm(rows, weight)
                    torch.mm(rows.T, rows)

        return products


def compared(case: Case, times: dict[str, Times], ours: str, plain: str) -> dict[str, float]:
    our, their, floor = times[ours], times[plain], times["floor"]
    return {
        "ratio": their.median / our.median,
        "cpu_ratio": their.cpu_median / our.cpu_median,
        "floor_share": floor.median / our.median,
        "cpu_floor_share": floor.cpu_median / our.cpu_median,
        "plain_floor_share": floor.median / their.median,
        "ours_ms": 1000 * our.median / case.batch,
        "plain_ms": 1000 * their.median / case.batch,
        "floor_ms": 1000 * floor.median / case.batch,
    }


def megabytes(case: Case, peer: str) -> float:
    return peak_megabytes(__file__, f"{peer}:{case.sizes}")


def memory(ours: float, plain: float) -> dict[str, float]:
    return {"ours_mb": ours, "plain_mb": plain, "memory_ratio": plain / ours}


def print_peak_memory(what: str) -> None:
    """In a process of its own: the growth of the peak over the weights."""
    peer, *sizes = what.split(":")
    width, num_levels, resolution, batch = map(int, sizes)
    # Libraries take their workspaces first.
    Case(width=64, num_levels=2, resolution=16, batch=1).peers()[peer]()
    case = Case(width=width, num_levels=num_levels, resolution=resolution, batch=batch)
    print(growth_of_peak(case.peers()[peer]))


def drawing(table: Table, case: Case, *, repetitions: int) -> None:
    """Rows ``eager_...`` and, where there is a compiler, ``compiled_...``."""
    kinds = {"eager": "draw"}
    seconds = compile_seconds(case)
    if seconds is not None:
        kinds["compiled"] = "draw_compiled"
    peers = case.peers()
    chosen = {name: peers[name] for name in (*kinds.values(), "draw_plainly")}
    times = interleaved({**chosen, "floor": case.floor()}, repetitions=repetitions)
    for kind, name in kinds.items():
        row = compared(case, times, name, "draw_plainly")
        row["relative_error"] = relative_error(peers[name](), peers["draw_plainly"]())
        if kind == "eager":
            row |= memory(megabytes(case, name), megabytes(case, "draw_plainly"))
        elif seconds is not None:
            row["compile_s"] = seconds
        table.add(f"{kind}_{case.name}", row)


def compile_seconds(case: Case) -> float | None:
    try:
        return case.generator.synthesis.compile_drawing()
    except ValueError as error:
        print(f"not compiled: {error}", file=sys.stderr)
        return None


def large(table: Table, case: Case) -> None:
    """Its peak alone, and the seconds of the process."""
    started = time.perf_counter()
    table.add(f"eager_{case.name}", {"ours_mb": megabytes(case, "draw"), "ours_s": time.perf_counter() - started})


def training(table: Table, case: Case, *, repetitions: int) -> None:
    """Forward and backward passes of the generator: recomputing, and as autograd stores it, against the plain one."""
    chosen = {name: run for name, run in case.peers().items() if name.startswith("train")}
    times = interleaved({**chosen, "floor": case.floor(backward=True)}, repetitions=repetitions)
    plain = megabytes(case, "train_plainly")
    for ours in ("train", "train_stored"):
        row = compared(case, times, ours, "train_plainly") | memory(megabytes(case, ours), plain)
        table.add(f"{ours}_{case.name}", row)


def on_a_gpu(table: Table, case: Case, *, repetitions: int) -> None:
    """Drawing under autocast to bfloat16, the plain formulation under the same; errors are against its float32.

    ``default`` is what a user gets: one compiled pass between two products. ``unfused`` does without a compiler.
    """
    waiting = functools.partial(waiting_for_autocast, case)
    exact = case.peers()["draw_plainly"]()
    peers = {name: waiting(run) for name, run in case.peers().items() if name in ("draw", "draw_plainly")}
    started = time.perf_counter()
    peers["draw"]()
    seconds = time.perf_counter() - started

    def unfused() -> object:
        with unittest.mock.patch.object(synthesis, "COMPILED_FROM", math.inf):
            return peers["draw"]()

    floor = waiting(case.floor(dtype=torch.bfloat16))
    times = interleaved({**peers, "unfused": unfused, "floor": floor}, repetitions=repetitions)
    for kind, name, run in (("default", "draw", peers["draw"]), ("unfused", "unfused", unfused)):
        row = compared(case, times, name, "draw_plainly")
        row["relative_error"] = relative_error(run(), exact)
        row |= memory(allocated(run), allocated(peers["draw_plainly"]))
        if kind == "default":
            row["compile_s"] = seconds
        table.add(f"{kind}_{case.name}_bf16", row)


def training_on_a_gpu(table: Table, case: Case, *, repetitions: int) -> None:
    """Forward and backward passes of the generator under autocast to bfloat16, and the price of determinism."""
    waiting = functools.partial(waiting_for_autocast, case)
    steps = {name: run for name, run in case.peers().items() if name.startswith("train")}
    steps["train_deterministic"] = deterministically(steps["train_stored"])
    peers = {name: waiting(run) for name, run in steps.items()}
    floor = waiting(case.floor(backward=True, dtype=torch.bfloat16))
    times = interleaved({**peers, "floor": floor}, repetitions=repetitions)
    for ours in ("train", "train_stored", "train_deterministic"):
        row = compared(case, times, ours, "train_plainly")
        row |= memory(allocated(peers[ours]), allocated(peers["train_plainly"]))
        table.add(f"{ours}_{case.name}_bf16", row)


def waiting_for_autocast(case: Case, run: Callable[[], object]) -> Callable[[], object]:
    """``run`` under autocast to bfloat16, until the GPU is done."""

    def waited() -> object:
        with torch.autocast(case.device, dtype=torch.bfloat16):
            result = run()
        torch.cuda.synchronize()
        return result

    return waited


def allocated(run: Callable[[], object]) -> float:
    """Megabytes of the GPU that ``run`` takes at its highest."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, under a minute")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="cuda: 256 pixels, batch 8, bfloat16")
    parser.add_argument("--peak-memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak_memory_of:
        return print_peak_memory(arguments.peak_memory_of)
    table = Table(COLUMNS)
    if arguments.device == "cuda":
        sizes = {"width": 256, "num_levels": 4} if arguments.quick else {"width": 1024, "num_levels": 10}
        on_a_gpu(table, Case(**sizes, resolution=256, batch=8, device="cuda"), repetitions=20)
        training_on_a_gpu(table, Case(**sizes, resolution=64, batch=8, device="cuda"), repetitions=20)
    elif arguments.quick:
        drawing(table, Case(width=256, num_levels=4, resolution=64, batch=1), repetitions=5)
        training(table, Case(width=256, num_levels=4, resolution=32, batch=2), repetitions=5)
    else:
        for resolution in (64, 128):
            drawing(table, Case(width=1024, num_levels=10, resolution=resolution, batch=1), repetitions=5)
        training(table, Case(width=1024, num_levels=10, resolution=32, batch=2), repetitions=5)
        large(table, Case(width=1024, num_levels=10, resolution=1024, batch=1))
    return table.print_json()


if __name__ == "__main__":
    main()
