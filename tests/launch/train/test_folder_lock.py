"""One process a folder: a second start ends with a sentence, and a killed one leaves nothing in the way."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from launch.errors import one_line_errors
from launch.train import folder_lock
from launch.train.folder_lock import LOCK, FolderLock

FORK = multiprocessing.get_context("fork")
WHAT = "another program is in"


def hold(folder: Path, is_held: Event) -> None:
    """Take the folder, start a child that has all our descriptors and outlives us, and stay."""
    with FolderLock() as lock:
        lock.take(folder, what=WHAT)
        if os.fork() == 0:
            time.sleep(600)
        is_held.set()
        time.sleep(600)


@pytest.fixture
def holder() -> Callable[[Path], int]:
    """Start a process that holds a folder; its number, at the head of a group of its own, which is ended with the test."""
    groups: list[int] = []

    def start(folder: Path) -> int:
        is_held = FORK.Event()
        process = FORK.Process(target=lambda: (os.setpgid(0, 0), hold(folder, is_held)))
        process.start()
        assert is_held.wait(30)
        assert process.pid is not None
        groups.append(process.pid)
        return process.pid

    yield start
    for group in groups:
        os.killpg(group, signal.SIGKILL)


def test_a_second_start_is_refused_until_the_first_is_dead(holder: Callable[[Path], int], small_run: Callable) -> None:
    folder = Path("run").absolute()
    process = holder(folder)
    with pytest.raises(SystemExit) as stopped, one_line_errors():
        small_run("max_kimg=0.032", "resume=auto")
    assert stopped.value.code == 2
    with pytest.raises(
        ValueError, match=rf"^another train.py is at work in {folder} \(process {process} on .*\): wait"
    ):
        small_run("max_kimg=0.032")
    assert [file.name for file in folder.iterdir()] == [LOCK], "it wrote nothing"
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    small_run("max_kimg=0.032")  # the child lives on, and the file is still there
    assert not (folder / LOCK).exists()
    small_run("max_kimg=0.048", "resume=auto")


def test_a_start_that_comes_to_nothing_leaves_nothing(small_run: Callable) -> None:
    with pytest.raises(ValueError, match=r"method\.r1_gamma must be of type float"):
        small_run("method.r1_gamma=much", run_dir=Path("new/folder/run"))
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("text")
    with pytest.raises(ValueError, match="is not empty"):
        small_run(run_dir=Path("mine"))
    assert sorted(str(path) for path in Path().rglob("*")) == ["mine", "mine/notes.txt"]


def test_a_lock_that_its_owner_took_away_meanwhile_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the opening of the file and its lock another process has ended, which removes the file."""
    lock, calls = folder_lock.lock, []

    def late(descriptor: int, folder: Path, *, what: str) -> None:
        if not calls:
            (folder / LOCK).unlink()
        calls.append(descriptor)
        lock(descriptor, folder, what=what)

    monkeypatch.setattr(folder_lock, "lock", late)
    with FolderLock() as taken:
        taken.take(Path("run"), what=WHAT)
        assert len(calls) == 2
        assert os.path.samestat(os.fstat(taken.descriptor), Path("run", LOCK).stat())
    assert not Path("run").exists(), "nothing was put into it"


def test_a_file_system_without_locks_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(folder_lock.fcntl, "lockf", refuse)
    with FolderLock() as lock:
        lock.take(Path("run"), what=WHAT)
    assert capsys.readouterr().err == (
        "note: the file system of run has no locks (No locks available): nothing keeps a second start out of it\n"
    )
