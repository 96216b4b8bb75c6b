"""Ranks that torchrun or srun starts: who they are, that they agree, that an error of one ends all with one line."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments import LightningEnvironment, SLURMEnvironment, TorchElasticEnvironment

from launch.compose import compose, plain
from launch.ranks import StartedRanks, launcher_name, name_ranks_of_srun
from tests.conftest import ROOT, SMALL_RUN

STEP = {
    "SLURM_JOB_ID": "10042",
    "SLURM_STEP_ID": "1",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NODELIST": "node[07-08]",
    "SLURM_STEP_TASKS_PER_NODE": "4(x2)",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
}


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, None),
        ({"TORCHELASTIC_RUN_ID": "none"}, "torchrun"),
        (STEP, "srun"),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, None),  # a job script, before srun
        (STEP | {"SLURM_STEP_NUM_TASKS": "1"}, None),
        (STEP | {"TORCHELASTIC_RUN_ID": "none"}, "torchrun"),  # srun of one torchrun a node
    ],
)
def test_who_started_the_ranks(environment: dict[str, str], name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", environment)
    assert launcher_name() == name


def test_ranks_of_srun_are_named_as_torchrun_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(STEP))
    name_ranks_of_srun()
    ours = TorchElasticEnvironment()
    assert (ours.global_rank(), ours.world_size(), ours.local_rank(), ours.node_rank()) == (5, 8, 1, 1)
    assert (ours.main_address, ours.main_port) == ("node07", 12000 + (31 * 10042 + 1) % 20000)
    # The trainer's devices and nodes are what was started, unless they are given.
    trainer = plain(compose("train", ["trainer=ddp", "run_dir=nowhere"]))["trainer"]
    assert (trainer["devices"], trainer["num_nodes"]) == (4, 2)
    given = plain(compose("train", ["trainer=ddp", "trainer.devices=3", "run_dir=nowhere"]))["trainer"]
    assert given["devices"] == 3
    monkeypatch.setattr(os, "environ", {})
    alone = plain(compose("train", ["trainer=ddp", "run_dir=nowhere"]))["trainer"]
    assert (alone["devices"], alone["num_nodes"]) == (2, 1)


def test_lightning_does_not_requeue() -> None:
    """Its handler of SLURM's signals goes with its environment of SLURM."""
    assert isinstance(StartedRanks("srun").environment(), TorchElasticEnvironment)
    assert not isinstance(StartedRanks("srun").environment(), SLURMEnvironment)
    assert isinstance(StartedRanks().environment(), LightningEnvironment)


@pytest.mark.parametrize(
    ("ranks", "world_size", "num_nodes", "message"),
    [
        (StartedRanks("torchrun", 0, 4), 2, 1, "torchrun started 4 ranks and the trainer has 2 .* trainer.devices=4 "),
        (StartedRanks("srun", 1, 2), 1, 1, "srun started 2 ranks and the trainer has 1 .*: give trainer=ddp"),
        (StartedRanks(), 4, 2, "trainer.num_nodes=2: the ranks of several nodes are started by torchrun or srun"),
    ],
)
def test_the_trainer_has_the_ranks_that_were_started(
    ranks: StartedRanks, world_size: int, num_nodes: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(ValueError, match=message):
        ranks.check_fits(SimpleNamespace(world_size=world_size, num_nodes=num_nodes))
    ranks.check_fits(SimpleNamespace(world_size=ranks.world_size, num_nodes=1))


def meet(step: Callable[[StartedRanks], Any], num_ranks: int = 3) -> list[Any]:
    """What each rank gets from ``step``, or the code with which it ends; a thread a rank."""
    store = dist.HashStore()
    outcomes: list[Any] = ["hangs"] * num_ranks

    def run(rank: int) -> None:
        ranks = StartedRanks("torchrun", rank, num_ranks, store)
        try:
            with ranks.together():
                first = step(ranks)
            with ranks.together():
                outcomes[rank] = (first, ranks.from_first(lambda: f"again {rank}"))
        except SystemExit as end:
            outcomes[rank] = end.code

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(num_ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return outcomes


def test_rank_0_decides_for_all() -> None:
    asked = []

    def decide(ranks: StartedRanks) -> str:
        def produce() -> str:
            asked.append(ranks.rank)
            return f"runs/{ranks.rank}"

        return ranks.from_first(produce)

    assert meet(decide) == [("runs/0", "again 0")] * 3
    assert asked == [0]


@pytest.mark.parametrize("failing", [[0], [1], [1, 2], [0, 1, 2]])
@pytest.mark.parametrize("early", [True, False])
def test_an_error_of_one_ends_all_with_one_line(failing: list[int], early: bool, capfd: pytest.CaptureFixture) -> None:
    def step(ranks: StartedRanks) -> None:
        if early and ranks.rank in failing:
            raise ValueError(f"bad input on {ranks.rank}")
        ranks.from_first(lambda: "said")
        if not early and ranks.rank in failing:
            raise ValueError(f"bad input on {ranks.rank}")

    assert meet(step) == [2, 2, 2]
    assert capfd.readouterr().err == f"error: bad input on {failing[0]} (POLYMORPH_TRACEBACK=1 shows where)\n"


def test_a_decision_that_fails_ends_all(capfd: pytest.CaptureFixture) -> None:
    def refuse() -> str:
        raise ValueError("run_dir is not empty")

    def breaks() -> str:
        raise TypeError("a bug")

    assert meet(lambda ranks: ranks.from_first(refuse)) == [2, 2, 2]
    assert capfd.readouterr().err == "error: run_dir is not empty (POLYMORPH_TRACEBACK=1 shows where)\n"
    assert meet(lambda ranks: ranks.from_first(breaks)) == [1, 1, 1]
    assert capfd.readouterr().err.count("Traceback") == 1, "a defect of ours keeps its traceback, once"


def test_another_configuration_names_its_key(capfd: pytest.CaptureFixture) -> None:
    configs = [{"seed": 0, "trainer": {"devices": 2, "note": None}, "only": 1} for _ in range(3)]
    configs[1]["trainer"] = {"devices": 2}
    configs[2]["trainer"] = {"devices": 4, "note": None}
    assert meet(lambda ranks: ranks.check_same(configs[0] | {"lr": math.nan})) == [(None, "again 0")] * 3
    assert meet(lambda ranks: ranks.check_same(configs[0 if ranks.rank == 1 else ranks.rank])) == [2, 2, 2]
    assert "error: rank 2 has trainer.devices = 4 and rank 0 has 2: start all ranks" in capfd.readouterr().err
    assert meet(lambda ranks: ranks.check_same(configs[min(ranks.rank, 1)])) == [2, 2, 2]
    assert "error: rank 1 has trainer.note = None and rank 0 has None" in capfd.readouterr().err


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    settings = (*SMALL_RUN, "max_kimg=0.032", "trainer=ddp", "trainer.accelerator=cpu")
    command = [*launcher, str(ROOT / "train.py"), *settings, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)


@pytest.mark.soak
def test_torchrun_trains_one_run_in_one_folder_and_one_line_ends_it(tmp_path: Path) -> None:
    probe = ("+callbacks.probe._target_=tests.support.rank_probe.RankProbe", f"+callbacks.probe.folder={tmp_path}")
    done = torchrun(*probe)
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs" / "none" / "poly_inr-digits").iterdir()
    assert {"config.yaml", "results.jsonl", "report.html"} <= {path.name for path in run.iterdir()}
    first, second = (torch.load(tmp_path / f"rank_{rank}_of_2.pt") for rank in range(2))
    assert (first["numbers"], second["numbers"]) == ([0, 16], [8, 24])
    assert all(torch.equal(value, second["weights"][key]) for key, value in first["weights"].items())
    assert done.stdout.count("checkpoint ") == 1, "one rank speaks"

    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    done = torchrun(f"run_dir={run}")
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert "is not empty: add resume=auto" in errors[0]
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("*")}
