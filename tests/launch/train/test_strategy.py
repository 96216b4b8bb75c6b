"""The strategy of trainer=ddp, on two gloo ranks without any method, and what it refuses."""

from __future__ import annotations

import time
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from launch.compose import compose, plain
from launch.constructors import check_constructor_calls
from launch.train.strategy import AveragedGradients, average_gradients, buckets, check_trainer, share_batch_statistics
from tests.support.ranks import on_ranks

WAIT = 2.0  # seconds


def some_parameters() -> list[nn.Parameter]:
    """Of two types, in an order that changes between them, with 4 bytes to 4 KiB each."""
    sizes = [(3,), (1000,), (2, 5), (1,), (7, 3)]
    types = [torch.float32, torch.float32, torch.float64, torch.float32, torch.float32]
    return [nn.Parameter(torch.ones(size, dtype=dtype)) for size, dtype in zip(sizes, types, strict=True)]


def gradient(parameter: nn.Parameter, rank: int) -> Tensor:
    return (torch.arange(parameter.numel(), dtype=parameter.dtype) + 10 * (rank + 1)).view_as(parameter)


def exchange(rank: int, folder: Path) -> None:
    """Gradients that both ranks have, one has, none has; then the start of a fit, and a rank that stays away."""
    dist.init_process_group("gloo", timeout=timedelta(seconds=120))
    for bucket_bytes in (1, 2**20):
        parameters = some_parameters()
        has_one = {0: [0, 1, 2], 1: [0, 2, 3]}[rank]
        for i in has_one:
            parameters[i].grad = gradient(parameters[i], rank)
        average_gradients(parameters, bucket_bytes=bucket_bytes)
        torch.save([parameter.grad for parameter in parameters], folder / f"gradients_{bucket_bytes}_{rank}.pt")

    torch.manual_seed(rank)
    model = nn.Sequential(nn.Linear(2, 2), nn.GroupNorm(1, 2))
    model.register_buffer("counter", torch.tensor(rank))
    strategy = AveragedGradients()
    strategy.cluster_environment = SimpleNamespace(world_size=lambda: 2, local_rank=lambda: rank)  # type: ignore[assignment]
    strategy.parallel_devices = [torch.device("cpu")] * 2
    strategy.model = model
    strategy.configure_ddp()
    assert strategy.model is model, "nothing is wrapped"
    torch.save(model.state_dict(), folder / f"weights_{rank}.pt")
    dist.barrier()

    dist.distributed_c10d._set_pg_timeout(timedelta(seconds=WAIT))
    if rank == 1:
        time.sleep(60)  # alive, and not there
        return
    started = time.monotonic()
    parameters[0].grad = torch.zeros(3)
    with pytest.raises(RuntimeError):
        average_gradients(parameters, bucket_bytes=1)
    (folder / "gave_up_after").write_text(str(time.monotonic() - started))


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    processes = on_ranks(2, exchange, folder)
    deadline = time.monotonic() + 120
    while not (folder / "gave_up_after").exists() and time.monotonic() < deadline:
        if processes.join(timeout=0.5):
            break
    for process in processes.processes:
        process.kill()
    return folder


@pytest.mark.parametrize("bucket_bytes", [1, 2**20])
def test_gradients_are_means_over_ranks_whoever_has_them(ranks: Path, bucket_bytes: int) -> None:
    first, second = (torch.load(ranks / f"gradients_{bucket_bytes}_{rank}.pt") for rank in range(2))
    parameters = some_parameters()
    for i in (0, 2):
        expected = (gradient(parameters[i], 0) + gradient(parameters[i], 1)) / 2
        assert torch.equal(first[i], expected)
        assert torch.equal(second[i], expected)
    for i, owner in ((1, 0), (3, 1)):  # zeros of the other rank
        assert torch.equal(first[i], gradient(parameters[i], owner) / 2)
        assert torch.equal(second[i], first[i])
    assert first[4] is None, "no rank has one: the optimiser leaves it alone"
    assert second[4] is None


def test_all_ranks_start_from_the_weights_of_the_first(ranks: Path) -> None:
    first, second = (torch.load(ranks / f"weights_{rank}.pt") for rank in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert int(second["counter"]) == 0
    torch.manual_seed(0)
    assert torch.equal(second["0.weight"], nn.Linear(2, 2).weight)


def test_a_rank_that_stays_away_does_not_hold_the_others_for_ever(ranks: Path) -> None:
    assert float((ranks / "gave_up_after").read_text()) >= 0.9 * WAIT
    assert AveragedGradients(timeout_seconds=WAIT)._timeout == timedelta(seconds=WAIT)


def test_buckets_are_of_one_type_and_bounded() -> None:
    parameters = some_parameters()
    cut = list(buckets(parameters, 4096))
    assert [id(p) for bucket in cut for p in bucket] == [id(p) for p in parameters]
    assert [len(bucket) for bucket in cut] == [2, 1, 2]
    assert [len(bucket) for bucket in buckets(parameters, 4000)] == [1, 1, 1, 2]
    assert [len(bucket) for bucket in buckets(parameters, 1)] == [1] * 5, "one alone may be larger"
    assert list(buckets([], 1)) == []


class ThreeNetworks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trained = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.BatchNorm2d(2))
        self.critic = nn.Sequential(nn.BatchNorm2d(1))
        self.frozen = nn.Sequential(nn.BatchNorm2d(1)).eval()
        # Settings are called otherwise than the networks that are built of them.
        parts = {"backbone": {"normalization": "batch", "width": 2}, "head": {"normalization": "group"}}
        self.run_config = {"method": {"parts": parts, "critic": {"normalization": "batch"}}}


def test_batch_norm_on_cpu_ranks_is_refused_where_it_trains() -> None:
    model = ThreeNetworks()
    settings = "method.parts.backbone.normalization=group method.critic.normalization=group"
    remedy = rf"choose another normalisation: {settings}$"
    with pytest.raises(ValueError, match=rf"needs GPUs, and trained.1 is one: .*{remedy}"):
        share_batch_statistics(model, torch.device("cpu"))
    model.trained.eval()  # fixed statistics need no exchange
    with pytest.raises(ValueError, match=r"needs GPUs, and critic\.0 is one: "):
        share_batch_statistics(model, torch.device("cpu"))
    model.critic.eval()
    share_batch_statistics(model, torch.device("cpu"))


def test_batch_norm_on_gpu_ranks_is_shared_under_the_same_names() -> None:
    model = ThreeNetworks()
    before, parameters = model.state_dict(), [id(parameter) for parameter in model.parameters()]
    share_batch_statistics(model, torch.device("cuda"))
    assert isinstance(model.trained[1], nn.SyncBatchNorm)
    after = model.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [id(parameter) for parameter in model.parameters()] == parameters
    assert model.trained[1].training
    assert not model.frozen[0].training


def trainer(device: str, world_size: int = 1) -> Any:
    return SimpleNamespace(world_size=world_size, strategy=SimpleNamespace(root_device=torch.device(device)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "16-mixed"}, "trainer.precision=16-mixed needs a GPU: choose bf16-mixed to train on the CPU"),
        ({"precision": "bf16-true"}, "must be one of 32-true, 64-true, bf16-mixed, 16-mixed, got 'bf16-true'"),
        ({"precision": 16}, "must be one of 32-true, 64-true, bf16-mixed, 16-mixed, got 16"),
    ],
)
def test_precisions_that_would_mean_something_else_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_trainer(trainer("cpu"), settings)


def test_what_a_trainer_may_be() -> None:
    for precision in ("32-true", "64-true", "bf16-mixed"):
        check_trainer(trainer("cpu"), {"precision": precision})
    check_trainer(trainer("cuda"), {"precision": "16-mixed"})
    check_trainer(trainer("cpu", 2), {"strategy": {"_target_": "launch.train.strategy.AveragedGradients"}})
    with pytest.raises(ValueError, match="several devices or nodes need a strategy of their own: choose trainer=ddp"):
        check_trainer(trainer("cpu", 2), {})


def test_a_setting_of_the_strategy_is_a_constructors_argument() -> None:
    config = plain(compose("train", ["trainer=ddp", "trainer.strategy.timeout_seconds=60", "run_dir=nowhere"]))
    check_constructor_calls(config)
    config = plain(compose("train", ["trainer=ddp", "+trainer.strategy.timeout=60", "run_dir=nowhere"]))
    with pytest.raises(
        ValueError, match=r"AveragedGradients has no argument 'timeout' .*did you mean 'timeout_seconds'"
    ):
        check_constructor_calls(config)
    with pytest.raises(ValueError, match="timeout_seconds must be positive, got 0"):
        AveragedGradients(timeout_seconds=0)


@pytest.mark.parametrize(("is_fast", "warnings"), [(True, 0), (False, 1)])
def test_a_processor_that_is_slow_in_bfloat16_says_so(is_fast: bool, warnings: int, monkeypatch: Any) -> None:
    monkeypatch.setattr("launch.train.strategy.multiplies_bfloat16", lambda: is_fast)
    with pytest.warns(UserWarning, match=r"no fast bfloat16.*trainer.precision=32-true") if warnings else nullcontext():
        check_trainer(trainer("cpu"), {"precision": "bf16-mixed"})
    check_trainer(trainer("cpu"), {"precision": "32-true"})
    check_trainer(trainer("cuda"), {"precision": "bf16-mixed"})
