"""Training on several ranks: step time and efficiency of trainer=ddp, beside Lightning's own wrapper and the floor.

python benchmarks/scaling.py [--devices 1,2,4,8] [--accelerator cpu|gpu] [--experiments a,b] [--batch N] [--quick]: a
Markdown table and, as the last line, a JSON object.

Each rank keeps its batch (weak scaling): efficiency is the step time of one rank alone over that of n ranks together.
In turn, in the same processes: rank 0 alone while the others sleep; all ranks at once, each for itself (what shared
cores, caches and memory leave: the upper bound of any exchange's efficiency, bound_efficiency); ours (ms); Lightning's
ddp_find_unused_parameters_true (ratio: its time over ours). The floor is a step for itself and the gradients read and
written once at the speed at which all ranks together copy memory. Medians of the steps, then of the repetitions.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lightning.fabric.plugins.environments.lightning import find_free_network_port
from lightning.pytorch import Callback, Trainer

from benchmarks.harness import Table, interleaved
from launch.build import build
from launch.compose import compose, plain
from launch.quiet import quiet
from launch.train.strategy import AveragedGradients, average_gradients
from lightning_modules.base import Method

WARM_UP = 2  # steps of each fit that are not counted
COPIED_BYTES = 2**26
COLUMNS = [
    "efficiency",
    "bound_efficiency",
    "ratio",
    "floor_share",
    "ms",
    "alone_ms",
    "each_for_itself_ms",
    "wrapped_ms",
    "exchange_ms",
    "floor_ms",
    "gradients_mb",
    "images_per_second",
]


@dataclass(frozen=True)
class Job:
    experiment: str
    accelerator: str
    num_ranks: int
    batch: int  # of each rank
    num_steps: int
    repetitions: int
    port: int
    output: Path


class Pace(Callback):
    """Seconds of each step, to its end on the device."""

    def __init__(self, num_steps: int) -> None:
        self.num_steps = num_steps
        self.seconds: list[float] = []

    def now(self, method: Method) -> float:
        if method.device.type == "cuda":
            torch.cuda.synchronize(method.device)
        return time.perf_counter()

    def on_train_batch_start(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        self.start = self.now(method)

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        self.seconds.append(self.now(method) - self.start)
        trainer.should_stop = len(self.seconds) >= self.num_steps


def configuration(job: Job, num_ranks: int) -> dict[str, Any]:
    settings = [f"experiment={job.experiment}", f"datamodule.batch_size={num_ranks * job.batch}", "run_dir=none"]
    return plain(compose("train", settings))


def step_seconds(
    job: Job, *, devices: int | list[int], num_ranks: int, strategy: Callable[[], Any] = lambda: "auto"
) -> float:
    """Median of the steps of one fit."""
    torch.manual_seed(0)
    datamodule, method = build(configuration(job, num_ranks))
    pace = Pace(WARM_UP + job.num_steps)
    trainer = Trainer(
        accelerator=job.accelerator,
        devices=devices,
        strategy=strategy(),
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[pace],
    )
    trainer.fit(method, datamodule)
    return statistics.median(pace.seconds[WARM_UP:])


def seconds_of(action: Callable[[], object], device: torch.device, repetitions: int) -> float:
    def finished() -> float:
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    times = [finished() for _ in range(repetitions + 2)]
    return statistics.median(later - earlier for earlier, later in itertools.pairwise(times[1:]))


@dataclass(frozen=True)
class Exchange:
    """What the ranks tell each other in a step: ``num_bytes`` of gradients, and the seconds of averaging and of copying them."""

    num_bytes: int
    averaging: float
    copying: float


def measure(rank: int, job: Job) -> None:
    """What one of the ranks does; the first one writes the row."""
    device = join_ranks(rank, job)
    steps = steps_of_peers(rank, job, device)
    exchange = measure_exchange(job, device)
    if rank == 0:
        job.output.write_text(json.dumps(row_of(job, steps, exchange)))
    dist.destroy_process_group()


def join_ranks(rank: int, job: Job) -> torch.device:
    """The device of this rank, which is one of the process group from here on."""
    torch.set_num_threads(1)
    quiet()
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "RANK": str(rank), "WORLD_SIZE": str(job.num_ranks)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(job.port)}
    is_gpu = job.accelerator == "gpu"
    device = torch.device("cuda", rank) if is_gpu else torch.device("cpu")
    if is_gpu:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if is_gpu else "gloo")
    return device


def steps_of_peers(rank: int, job: Job, device: torch.device) -> dict[str, float]:
    """Median seconds of a step: one rank ``alone``, ``each`` for itself, all of them together as ``ours`` and ``wrapped``."""
    taken: dict[str, list[float]] = {"alone": [], "each": [], "ours": [], "wrapped": []}

    def run(name: str, **settings: Any) -> Callable[[], object]:
        def together() -> None:
            dist.barrier()
            if name != "alone" or rank == 0:
                taken[name].append(step_seconds(job, **settings))
            dist.barrier()

        return together

    own: Any = [rank] if device.type == "cuda" else 1
    all_ranks = {"devices": job.num_ranks, "num_ranks": job.num_ranks}
    peers = {
        "alone": run("alone", devices=own, num_ranks=1),
        "each": run("each", devices=own, num_ranks=1),
        "ours": run("ours", strategy=AveragedGradients, **all_ranks),
        "wrapped": run("wrapped", strategy=lambda: "ddp_find_unused_parameters_true", **all_ranks),
    }
    interleaved(peers, repetitions=job.repetitions)
    # The step of ranks that do not wait for each other is that of the slowest.
    each = torch.tensor([statistics.median(taken["each"][1:])], dtype=torch.float64, device=device)
    dist.all_reduce(each, op=dist.ReduceOp.MAX)
    return {name: statistics.median(seconds[1:]) for name, seconds in taken.items() if seconds} | {"each": float(each)}


def measure_exchange(job: Job, device: torch.device) -> Exchange:
    _, method = build(configuration(job, 1))
    parameters = [p for p in method.to(device).parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    bucket_bytes = AveragedGradients().bucket_bytes
    averaging = seconds_of(lambda: average_gradients(parameters, bucket_bytes=bucket_bytes), device, 10)
    num_bytes = sum(parameter.nbytes for parameter in parameters)
    source, target = (torch.zeros(COPIED_BYTES, dtype=torch.uint8, device=device) for _ in range(2))
    dist.barrier()
    copying = seconds_of(lambda: target.copy_(source), device, 10) * num_bytes / COPIED_BYTES
    return Exchange(num_bytes, averaging, copying) if job.num_ranks > 1 else Exchange(num_bytes, 0.0, 0.0)


def row_of(job: Job, steps: dict[str, float], exchange: Exchange) -> dict[str, float]:
    floor = steps["each"] + exchange.copying
    return {
        "efficiency": steps["alone"] / steps["ours"],
        "bound_efficiency": steps["alone"] / steps["each"],
        "ratio": steps["wrapped"] / steps["ours"],
        "floor_share": floor / steps["ours"],
        "ms": 1000 * steps["ours"],
        "alone_ms": 1000 * steps["alone"],
        "each_for_itself_ms": 1000 * steps["each"],
        "wrapped_ms": 1000 * steps["wrapped"],
        "exchange_ms": 1000 * exchange.averaging,
        "floor_ms": 1000 * floor,
        "gradients_mb": exchange.num_bytes / 1e6,
        "images_per_second": job.num_ranks * job.batch / steps["ours"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", default="1,2", help="numbers of ranks")
    parser.add_argument("--accelerator", default="cpu", choices=["cpu", "gpu"])
    parser.add_argument("--experiments", default="poly_inr/digits,classifier/digits")
    parser.add_argument("--batch", type=int, default=64, help="images of each rank")
    parser.add_argument("--quick", action="store_true", help="few steps of the first experiment, under a minute")
    arguments = parser.parse_args()
    num_ranks = [int(number) for number in arguments.devices.split(",")]
    if arguments.accelerator == "gpu" and torch.cuda.device_count() < max(num_ranks):
        parser.error(f"{max(num_ranks)} GPUs were asked for and there are {torch.cuda.device_count()}")
    experiments = arguments.experiments.split(",")[: 1 if arguments.quick else None]
    # Ranks are forked from a process that has done the slow imports, and has touched no GPU.
    multiprocessing.set_forkserver_preload(["lightning.pytorch", "torchvision", "hydra"])
    table = Table(COLUMNS)
    for experiment in experiments:
        for n in num_ranks:
            with tempfile.TemporaryDirectory() as folder:
                job = Job(
                    experiment=experiment,
                    accelerator=arguments.accelerator,
                    num_ranks=n,
                    batch=16 if arguments.quick else arguments.batch,
                    num_steps=4 if arguments.quick else 20,
                    repetitions=1 if arguments.quick else 5,
                    port=find_free_network_port(),
                    output=Path(folder) / "row.json",
                )
                torch.multiprocessing.start_processes(measure, args=(job,), nprocs=n, start_method="forkserver")
                table.add(f"{experiment}_{arguments.accelerator}_x{n}", json.loads(job.output.read_text()))
    table.print_json()


if __name__ == "__main__":
    main()
