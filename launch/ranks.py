"""The ranks that torchrun or srun started: who they are, and what they agree on before there is a process group."""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from launch.compose import first_difference
from launch.errors import exit_code, print_error

if TYPE_CHECKING:
    from lightning.fabric.plugins import ClusterEnvironment
    from lightning.pytorch import Trainer
    from torch.distributed import Store

PATIENCE = timedelta(minutes=10)  # from the first rank to the last: a node may be slow to read Python's files
FAREWELL = timedelta(seconds=30)
TORCHRUN, SRUN = "torchrun", "srun"
FAILED = "failed"


def launcher_name() -> str | None:
    """Who started the ranks of this program: torchrun, srun (with several tasks) or, None, nobody but the user.

    A job script of SLURM is not yet srun, nor is a step of one task: there trainer=ddp starts the ranks.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return TORCHRUN
    return SRUN if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1 else None


def name_ranks_of_srun() -> None:
    """Where srun started the ranks, give them the variables that torchrun would: all else reads only those."""
    if launcher_name() != SRUN or "RANK" in os.environ:
        return
    slurm = os.environ
    num_nodes = int(slurm.get("SLURM_STEP_NUM_NODES", slurm.get("SLURM_NNODES", "1")))
    # "4(x2)": four tasks on each of two nodes
    tasks = re.match(r"\d+", slurm.get("SLURM_STEP_TASKS_PER_NODE", slurm["SLURM_STEP_NUM_TASKS"]))
    assert tasks is not None
    names = {
        "RANK": slurm["SLURM_PROCID"],
        "WORLD_SIZE": slurm["SLURM_STEP_NUM_TASKS"],
        "LOCAL_RANK": slurm["SLURM_LOCALID"],
        "LOCAL_WORLD_SIZE": tasks[0],
        "GROUP_RANK": slurm["SLURM_NODEID"],
        "GROUP_WORLD_SIZE": str(num_nodes),
        "MASTER_ADDR": slurm.get("MASTER_ADDR") or ("127.0.0.1" if num_nodes == 1 else first_node()),
        # Two jobs, or two steps of one job, may share a node; below Linux's range of ports for outgoing connections.
        "MASTER_PORT": str(12000 + (31 * int(slurm["SLURM_JOB_ID"]) + int(slurm.get("SLURM_STEP_ID", "0"))) % 20000),
    }
    for name, value in names.items():
        os.environ.setdefault(name, value)


def first_node() -> str:
    """Of a list such as ``node[07-08,11]``."""
    from lightning.fabric.plugins.environments import SLURMEnvironment

    nodes = os.environ.get("SLURM_STEP_NODELIST") or os.environ["SLURM_JOB_NODELIST"]
    return SLURMEnvironment.resolve_root_node_address(nodes)


@dataclass
class StartedRanks:
    """All ranks of this program; a program that was started alone is rank 0 of 1 and has nobody to agree with.

    They meet at a key-value store instead of in a process group: the group's backend and devices are the trainer's.
    """

    launcher: str | None = None
    rank: int = 0
    world_size: int = 1
    store: Store | None = None
    num_meetings: int = 0
    num_told: int = 0  # in this meeting, by rank 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """An error inside, on any rank, ends all: the first rank that met one says it, the others leave with its code.

        A rank waits inside only in ``from_first``.
        """
        if self.store is None:
            yield
            return
        self.num_meetings += 1
        self.num_told = 0
        error: Exception | None = None
        try:
            yield
        except Exception as met:
            error = met
            if self.rank == 0:  # the others may be waiting for what this rank will not say any more
                self.store.set(self.key(f"told/{self.num_told}"), FAILED)
        self.store.set(self.key(f"end/{self.rank}"), str(exit_code(error) if error else 0))
        codes = [int(self.read(f"end/{rank}")) for rank in range(self.world_size)]
        first = next((rank for rank, code in enumerate(codes) if code), None)
        if error is not None and first == self.rank:
            print_error(error)
        self.part(first)
        if first is not None:
            raise SystemExit(codes[first])

    def part(self, failed: int | None) -> None:
        """Rank 0, which may keep the store, goes last; the others once the error of ``failed`` stands on the screen.

        torchrun ends all ranks when one has gone.
        """
        assert self.store is not None
        self.store.set(self.key(f"left/{self.rank}"), "")
        others = range(self.world_size) if self.rank == 0 else [] if failed is None else [failed]
        with suppress(RuntimeError):  # that rank has been ended, or the store with rank 0
            self.store.wait([self.key(f"left/{rank}") for rank in others], FAREWELL)

    def key(self, name: str) -> str:
        return f"{self.num_meetings}/{name}"

    def read(self, name: str) -> str:
        import torch.distributed as dist

        assert self.store is not None
        try:
            return self.store.get(self.key(name)).decode()
        except dist.DistError as error:
            raise TimeoutError(f"rank {self.rank} has not heard of the others for {PATIENCE}: one has ended") from error

    def from_first(self, produce: Callable[[], str]) -> str:
        """What ``produce`` returns on rank 0, the only one to call it; within ``together``."""
        if self.store is None:
            return produce()
        place = f"told/{self.num_told}"
        if self.rank == 0:
            told = produce()
            self.store.set(self.key(place), json.dumps(told))
        else:
            told = self.read(place)
            if told == FAILED:
                raise RuntimeError("rank 0 has failed")  # which says why
            told = json.loads(told)
        self.num_told += 1
        return told

    def check_same(self, config: dict[str, Any]) -> None:
        """ValueError unless all ranks have rank 0's resolved configuration; within ``together``."""
        # NaN, which is no setting of anything but may be typed, becomes a text that is equal to itself.
        texts = (self.from_first(lambda: json.dumps(config)), json.dumps(config))
        difference = first_difference(*(json.loads(text, parse_constant=str) for text in texts))
        if difference is not None:
            key, theirs, ours = difference
            raise ValueError(
                f"rank {self.rank} has {key} = {ours!r} and rank 0 has {theirs!r}: "
                "start all ranks with the same command, files and environment"
            )

    def environment(self) -> ClusterEnvironment:
        """For the trainer. Not Lightning's own of SLURM, which would save and requeue inside a signal handler."""
        from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment

        return LightningEnvironment() if self.launcher is None else TorchElasticEnvironment()

    def check_fits(self, trainer: Trainer) -> None:
        """ValueError unless the trainer has as many ranks as were started."""
        if self.launcher is None:
            if trainer.num_nodes > 1:
                raise ValueError(
                    f"trainer.num_nodes={trainer.num_nodes}: the ranks of several nodes are started by torchrun or srun"
                )
        elif trainer.world_size != self.world_size:
            local, nodes = (os.environ.get(name, "1") for name in ("LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE"))
            raise ValueError(
                f"{self.launcher} started {self.world_size} ranks and the trainer has {trainer.world_size} "
                f"(trainer.devices x trainer.num_nodes): give trainer=ddp trainer.devices={local} "
                f"trainer.num_nodes={nodes}"
            )


@functools.cache
def started_ranks() -> StartedRanks:
    """Those of this process; the first call waits for all of them."""
    launcher = launcher_name()
    if launcher is None:
        return StartedRanks()
    name_ranks_of_srun()
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    return StartedRanks(launcher, rank, world_size, open_store(rank, world_size) if world_size > 1 else None)


def open_store(rank: int, world_size: int) -> Store:
    """Where torchrun's agent or, under srun, rank 0 keeps it; torch.distributed finds the same one later."""
    import torch.distributed as dist

    where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    try:
        store, _, _ = next(dist.rendezvous("env://", rank, world_size, timeout=PATIENCE))
    except dist.DistError as error:
        raise ValueError(
            f"rank {rank} has not met the other {world_size - 1} at {where} ({str(error).splitlines()[0]}): "
            "are all ranks started, and is the port free?"
        ) from error
    return dist.PrefixStore(f"polymorph/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
