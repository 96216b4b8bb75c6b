"""Kills, signals, full disks, dead workers and ranks: an end with a reason, and the same bits after going on."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from callbacks.signals import ENDING_SIGNALS, Interrupted, Signals
from generative.generators import generator_states, restore_generators
from launch.checkpoint import read_checkpoint
from launch.errors import RunEnded, failure_kind, one_line_errors
from lightning_modules.base import Method
from records.run_files import read_lines
from tests.conftest import SMALL_RUN
from tests.support.echo import Mirror, instead_of_classifier
from tests.support.same_run import TWENTY_STEPS, assert_same_run

Run = Callable[..., tuple[Path, dict[str, float]]]
TWO_RANKS = ("trainer=ddp", "trainer.accelerator=cpu")
PROBE = "+callbacks.probe._target_=tests.support.kill_probe.KillProbe"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uninterrupted run."""
    from launch.compose import compose
    from train import train

    folder = tmp_path_factory.mktemp("whole") / "run"
    train(compose("train", [*SMALL_RUN, *TWENTY_STEPS, f"run_dir={folder}"]))
    return folder


@pytest.fixture
def at_images(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], Any]], None]:
    """``at_images(80, act)``: act once, in the step that starts when 80 images were seen."""

    def arrange(images: int, act: Callable[[], Any]) -> None:
        record = Method.record
        done = []

        def acting(self: Method, losses: dict[str, torch.Tensor]) -> None:
            record(self, losses)
            if self.images_seen == images and not done:
                done.append(True)
                act()

        monkeypatch.setattr(Method, "record", acting)

    return arrange


def failure(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "failure.json").read_text())


def saved_images(folder: Path, name: str = "last.ckpt") -> int:
    return read_checkpoint(folder / "checkpoints" / name)["images_seen"]


def probe(**settings: Any) -> list[str]:
    return [PROBE, *(f"+callbacks.probe.{key}={value}" for key, value in settings.items())]


@pytest.mark.parametrize("signum", ENDING_SIGNALS)
def test_a_signal_in_a_step_saves_at_its_end(
    signum: signal.Signals, whole: Path, small_run: Run, at_images: Callable, capfd: pytest.CaptureFixture[str]
) -> None:
    handlers = [signal.getsignal(each) for each in ENDING_SIGNALS]
    at_images(80, lambda: os.kill(os.getpid(), signum))
    with pytest.raises(Interrupted) as caught, one_line_errors():
        small_run(*TWENTY_STEPS)
    folder = Path("run")
    assert caught.value.code == 128 + signum
    assert [signal.getsignal(each) for each in ENDING_SIGNALS] == handlers
    assert (saved_images(folder), saved_images(folder, "previous.ckpt")) == (96, 64)
    message = f"ended by {signum.name} after 0.096 kimg: the last checkpoint is good; continue with resume=auto"
    assert failure(folder) == {
        "kind": "interrupted", "signal": signum.name, "kimg": 0.096, "rank": 0, "message": message
    }  # fmt: skip
    assert message in capfd.readouterr().err
    assert not (folder / "results.jsonl").exists(), "no test stage"

    small_run(*TWENTY_STEPS, "resume=auto")
    assert_same_run(folder, whole)


def test_a_signal_in_the_last_step_lets_the_training_end(
    whole: Path, small_run: Run, at_images: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    at_images(304, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted):
        small_run(*TWENTY_STEPS)
    assert saved_images(Path("run")) == 320
    assert not Path("run/results.jsonl").exists()
    small_run(*TWENTY_STEPS, "resume=auto")
    assert_same_run(Path("run"), whole)


def test_a_kill_after_the_last_step_loses_no_last_measurement(small_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its checkpoint would say that the images are seen, and nothing would measure them any more."""
    steps = (*TWENTY_STEPS, "callbacks.metrics.every_kimg=0")
    reference, _ = small_run(*steps, run_dir=Path("whole"))
    with monkeypatch.context() as patch:
        patch.setattr("callbacks.samples.SampleGrid.on_train_end", lambda *_: [][1])
        with pytest.raises(IndexError):
            small_run(*steps)
    small_run(*steps, "resume=auto")
    assert_same_run(Path("run"), reference)


def test_a_signal_in_the_test_stage_ends_it(whole: Path, small_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import callbacks.generation_metrics as measuring

    with monkeypatch.context() as patch:
        patch.setattr(measuring, "published_result", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Interrupted) as caught:
            small_run(*TWENTY_STEPS)
    assert caught.value.code == 143
    assert failure(Path("run"))["kind"] == "interrupted"
    small_run(*TWENTY_STEPS, "resume=auto")
    assert_same_run(Path("run"), whole)


def test_a_kill_between_two_results_of_the_test_stage_loses_none(
    small_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first result alone would say that the run is finished, and it must not stand there twice."""
    settings = (*instead_of_classifier(Mirror), "max_kimg=0.032", "callbacks.metrics.test_metrics=[fd]")
    with monkeypatch.context() as patch:
        patch.setattr("callbacks.reconstruction_metrics.append_line", lambda *_: [][1])
        with pytest.raises(IndexError):
            small_run(*settings)
    assert len(read_lines(Path("run/results.jsonl"))) == 1
    for _ in range(2):  # the second time it is finished
        small_run(*settings, "resume=auto")
        records = read_lines(Path("run/results.jsonl"))
        assert [set(record["metrics"]) for record in records] == [{"fd"}, {"psnr", "mae"}]


def test_a_signal_before_the_first_step_ends_the_run(
    whole: Path, small_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("callbacks.samples.SampleGrid.on_train_start", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Interrupted) as caught:
            small_run(*TWENTY_STEPS)
    assert caught.value.code == 143
    assert failure(Path("run"))["kimg"] == 0
    assert "there is no checkpoint yet; continue with resume=auto" in failure(Path("run"))["message"]
    small_run(*TWENTY_STEPS, "resume=auto")
    assert_same_run(Path("run"), whole)


def test_a_second_interrupt_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    signals = Signals()
    try:
        signals.install()
        signals.is_training = True
        monkeypatch.setattr(os, "kill", lambda pid, signum: sent.append(signum))
        signals.handle(signal.SIGINT, None)
        signals.handle(signal.SIGINT, None)  # the first one's echo, from a launcher
        assert sent == []
        signals.asked_at -= 2
        signals.handle(signal.SIGINT, None)
        assert sent == [signal.SIGINT]
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    finally:
        signals.restore()


@pytest.mark.parametrize(
    ("environment", "exit_code", "asked", "said"),
    [
        ({"SLURM_JOB_ID": "7"}, 0, "requeue 7", "job 7 is requeued"),
        (
            {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2"},
            1,
            "requeue 7_2",
            "scontrol requeue 7_2 failed: not today",
        ),
        ({}, 0, "", ""),
    ],
)
def test_the_scheduler_is_asked_to_requeue(
    environment: dict[str, str],
    exit_code: int,
    asked: str,
    said: str,
    small_run: Run,
    at_images: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    stub = tmp_path / "bin" / "scontrol"
    stub.parent.mkdir()
    saved = tmp_path / "run" / "checkpoints" / "last.ckpt"
    stub.write_text(
        f'#!/bin/sh\ntest -e {saved} && echo "$@" > {tmp_path}/asked\necho not today >&2\nexit {exit_code}\n'
    )
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stub.parent}:{os.environ['PATH']}")
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    at_images(32, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    with pytest.raises(Interrupted) as caught:
        small_run("max_kimg=0.32", "save_every_kimg=0")
    assert caught.value.code == 138
    assert saved_images(tmp_path / "run") == 48
    assert ((tmp_path / "asked").read_text().strip() if environment else "") == asked
    assert said in capfd.readouterr().err


def test_a_damaged_checkpoint_gives_way_to_the_previous(
    whole: Path, small_run: Run, at_images: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    at_images(192, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted):
        small_run(*TWENTY_STEPS)
    last = Path("run/checkpoints/last.ckpt").absolute()
    content = last.read_bytes()
    last.write_bytes(content[: len(content) // 2])
    at_images(240, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted):
        small_run(*TWENTY_STEPS, "resume=auto")
    assert "put aside as last.damaged, the run goes on from previous.ckpt" in capsys.readouterr().out
    assert saved_images(Path("run")) == 256
    aside = last.with_suffix(".damaged")
    assert len(aside.read_bytes()) == len(content) // 2
    aside.unlink()

    last.unlink()
    small_run(*TWENTY_STEPS, "resume=auto")
    assert "last.ckpt: the run goes on from previous.ckpt" in capsys.readouterr().out
    assert_same_run(Path("run"), whole)


def test_generator_states_come_back_from_plain_data(tmp_path: Path) -> None:
    def draw() -> list[float]:
        return [random.gauss(0, 1), float(np.random.standard_normal()), float(torch.randn(()))]  # noqa: NPY002

    draw()  # a cached second normal value is part of the state
    torch.save(generator_states(torch.device("cpu")), tmp_path / "states")
    expected = draw()
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    assert draw() != expected
    restore_generators(torch.load(tmp_path / "states", weights_only=True), torch.device("cpu"))
    assert draw() == expected


def test_layers_that_use_the_global_generators_resume_too(
    small_run: Run, at_images: Callable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Method.record

    def noisy(self: Method, losses: dict[str, torch.Tensor]) -> None:
        noise = torch.randn(()) + random.random() + float(np.random.random())  # noqa: NPY002
        record(self, losses | {"score/noise": noise})

    monkeypatch.setattr(Method, "record", noisy)
    reference, _ = small_run(*TWENTY_STEPS, run_dir=Path("whole"))
    at_images(160, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted):
        small_run(*TWENTY_STEPS)
    small_run(*TWENTY_STEPS, "resume=auto")
    assert_same_run(Path("run"), reference)

    last = reference / "checkpoints" / "last.ckpt"
    content = read_checkpoint(last)
    content["generators"] *= 2
    torch.save(content, last)
    small_run("max_kimg=0.352", f"resume={last}", run_dir=Path("other"))
    assert "continues on 1 ranks (was 2): the global random generators start anew" in capsys.readouterr().out


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """3 MB: two checkpoints of a small run, and no third beside them."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small disk here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_the_run_with_its_reason(small_disk: Path, whole: Path, small_run: Run) -> None:
    run = small_disk / "run"
    with pytest.raises(OSError, match="No space left on device; the previous checkpoint is kept; free some space"):
        small_run(*TWENTY_STEPS, run_dir=run)
    assert failure(run)["kind"] == "disk_full"
    assert (saved_images(run), saved_images(run, "previous.ckpt")) == (128, 64)
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    small_run(*TWENTY_STEPS, "resume=auto", run_dir=run)
    assert_same_run(run, whole)


def test_a_full_disk_has_an_exit_code(
    small_run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fsync = os.fsync
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 2:  # the file and the folder of the first checkpoint
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SystemExit) as caught, one_line_errors():
        small_run(*TWENTY_STEPS)
    assert caught.value.code == 5
    assert "error: cannot save" in capsys.readouterr().err
    assert failure(Path("run"))["kind"] == "disk_full"
    assert saved_images(Path("run")) == 64
    assert sorted(path.name for path in Path("run/checkpoints").iterdir()) == ["last.ckpt"]


def out_of_memory() -> None:
    torch.empty(2**55, dtype=torch.uint8)


def out_of_cuda_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee documentation")


def out_of_python_memory() -> None:
    raise MemoryError


@pytest.mark.parametrize("act", [out_of_memory, out_of_cuda_memory, out_of_python_memory])
def test_out_of_memory_names_the_remedy(
    act: Callable[[], None], small_run: Run, at_images: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    at_images(80, act)
    with pytest.raises(SystemExit) as caught, one_line_errors():
        small_run("max_kimg=0.32", "save_every_kimg=0.064")
    assert caught.value.code == 4
    assert "a smaller datamodule.batch_size or a larger method.accumulate" in capsys.readouterr().err
    assert failure(Path("run"))["kind"] == "out_of_memory"
    assert saved_images(Path("run")) == 64


def test_values_that_are_not_finite_are_on_record(
    small_run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Method.record
    monkeypatch.setattr(Method, "record", lambda self, losses: record(self, {"loss/critic": torch.tensor(torch.nan)}))
    with pytest.raises(SystemExit) as caught, one_line_errors():
        small_run("max_kimg=0.32")
    assert caught.value.code == 3
    assert failure(Path("run"))["kind"] == "non_finite"
    assert "loss/critic = nan at step 1" in failure(Path("run"))["message"]


def test_a_defect_is_on_record(small_run: Run, at_images: Callable) -> None:
    at_images(32, lambda: [][1])
    with pytest.raises(IndexError):
        small_run("max_kimg=0.32")
    assert failure(Path("run"))["kind"] == "error"
    assert failure(Path("run"))["message"] == "IndexError: list index out of range"


def test_a_worker_that_dies_ends_the_run(small_run: Run) -> None:
    with pytest.raises(RunEnded, match=r"worker died \(DataLoader worker .*last checkpoint is good.* memory") as caught:
        small_run(*TWENTY_STEPS, "+datamodule.num_workers=2", *probe(moment="step", images=160, target="worker"))
    assert caught.value.exit_code == 6
    assert failure(Path("run"))["kind"] == "worker_died"
    assert saved_images(Path("run")) in (128, 192), "what the workers had made by then is still shown"


def test_loading_processes_leave_signals_to_their_rank(whole: Path, small_run: Run, at_images: Callable) -> None:
    others = multiprocessing.active_children()
    is_on = True
    # As libraries do that start their threads again in a process that is forked.
    os.register_at_fork(
        after_in_child=lambda: threading.Thread(target=time.sleep, args=(60,), daemon=True).start() if is_on else None
    )

    def signal_workers() -> None:
        workers = [str(worker.pid) for worker in multiprocessing.active_children() if worker not in others]
        assert len(workers) == 2
        for name in ("TERM", "INT", "USR1"):  # from another process, as a scheduler's
            subprocess.run(["kill", f"-{name}", *workers], check=True)

    at_images(80, signal_workers)
    folder, _ = small_run(*TWENTY_STEPS, "+datamodule.num_workers=2")
    is_on = False
    assert_same_run(folder, whole)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [::1]:1"), "rank_died"),
        (torch.distributed.DistBackendError("NCCL communicator was aborted"), "rank_died"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk_full"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "bad_input"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "bad_input"),
        (KeyError("a"), "error"),
    ],
)
def test_kinds_of_failure(error: Exception, kind: str) -> None:
    assert failure_kind(error) == kind


def processes_of(folder: Path) -> list[str]:
    """The command lines of processes that were started with ``folder``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode())
    return [line for line in found if f"run_dir={folder}" in line]


def test_killed_while_a_checkpoint_is_written(whole: Path, program: Callable, small_run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    settings = [*SMALL_RUN, *TWENTY_STEPS, "+datamodule.num_workers=2", f"run_dir={folder}"]
    done = program("train.py", *settings, *probe(moment="half", save=3))
    assert done.returncode == -signal.SIGKILL
    assert (saved_images(folder), saved_images(folder, "previous.ckpt")) == (128, 64)
    assert (folder / "checkpoints" / ".last.ckpt.writing").exists()
    small_run(*TWENTY_STEPS, "resume=auto")
    assert_same_run(folder, whole)


@pytest.mark.soak
def test_two_ranks_end_together_and_go_on(program: Callable, tmp_path: Path) -> None:
    """A signal to one rank; then its death, while the other waits for its gradients; then the same bits."""
    common = [*SMALL_RUN, *TWENTY_STEPS, *TWO_RANKS]
    done = program("train.py", *common, f"run_dir={tmp_path / 'whole'}")
    assert done.returncode == 0, done.stderr

    folder = tmp_path / "run"
    common += [f"run_dir={folder}", "resume=auto"]
    told = probe(moment="step", images=96, rank=1, signal_name="SIGTERM")
    done = program("train.py", *common, *told)
    assert done.returncode == 143, done.stderr
    assert "ended by SIGTERM after 0.112 kimg" in done.stderr
    assert saved_images(folder) == 112
    assert len(read_checkpoint(folder / "checkpoints" / "last.ckpt")["generators"]) == 2

    done = program("train.py", *common, *probe(moment="backward", images=208, rank=1))
    assert done.returncode == 6, done.stderr
    assert "error: rank 1 has died (killed by signal 9) after 0.208 kimg: the last checkpoint is good" in done.stderr
    assert failure(folder)["kind"] == "rank_died"
    assert processes_of(folder) == []

    done = program("train.py", *common)
    assert done.returncode == 0, done.stderr
    assert_same_run(folder, tmp_path / "whole")
