"""kill -9 at ten seeded random moments, and what signals and deaths do to two ranks; ``make soak`` writes the log."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from launch.checkpoint import last_good_checkpoint
from records.environment import environment
from tests.conftest import ROOT, SMALL_RUN
from tests.launch.train.test_survival import TWO_RANKS, failure, probe, processes_of, saved_images
from tests.support.kill_probe import WRITING
from tests.support.same_run import TWENTY_STEPS, assert_same_run

pytestmark = pytest.mark.soak
LOG = ROOT / "docs" / "results" / "survival" / "kills.md"
SEED = 0
STEP_SECONDS = 0.05  # about a step of the small run: a kill falls anywhere in it


@dataclass(frozen=True)
class Kill:
    """Where the process of ``rank`` is killed; ``settings`` are the probe's."""

    words: str
    settings: tuple[tuple[str, object], ...]
    num_workers: int
    num_ranks: int = 1
    rank: int = 0


def kills(seed: int) -> list[Kill]:
    """Four while a checkpoint is written, two while two ranks add up their gradients, four anywhere in a step."""
    drawn = random.Random(seed)
    made = []
    for index, moment in enumerate(WRITING):
        save = drawn.randint(2, 5)
        settings = (("moment", moment), ("save", save))
        made.append(Kill(f"save {save}, file {moment}", settings, num_workers=2 * (index % 2)))
    for rank in (1, 0):
        images = 16 * drawn.randint(1, 18)
        settings = (("moment", "backward"), ("images", images), ("rank", rank))
        words = f"rank {rank} while the other waits in the all-reduce at image {images}"
        made.append(Kill(words, settings, num_workers=2 * rank, num_ranks=2, rank=rank))
    for index in range(4):
        images, seconds = 16 * drawn.randint(0, 15), round(drawn.uniform(0, STEP_SECONDS), 4)
        settings = (("moment", "step"), ("images", images), ("seconds", seconds))
        made.append(
            Kill(f"{1000 * seconds:g} ms into the step at image {images}", settings, num_workers=2 * (index % 2))
        )
    return made


def train(*settings: str) -> subprocess.CompletedProcess[str]:
    """train.py as the leader of a process group of its own."""
    return subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *SMALL_RUN, *TWENTY_STEPS, *settings],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The uninterrupted runs on one and on two ranks."""
    folders = {num_ranks: tmp_path_factory.mktemp("whole") / f"ranks_{num_ranks}" for num_ranks in (1, 2)}
    for num_ranks, folder in folders.items():
        done = train(f"run_dir={folder}", *(TWO_RANKS if num_ranks == 2 else ()))
        assert done.returncode == 0, done.stderr
    return folders


@pytest.fixture(scope="module")
def log() -> Iterator[list[tuple[str, str, str, str, str]]]:
    """Lines of the table: written when all kills were survived."""
    lines: list[tuple[str, str, str, str, str]] = []
    yield lines
    if len(lines) < len(kills(SEED)):
        return
    facts = environment("cpu")
    head = ["killed", "ranks", "loading processes", "went on from", "the uninterrupted run's bits"]
    table = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *lines)]
    LOG.parent.mkdir(parents=True, exist_ok=True)
    LOG.write_text(
        "# Kills survived\n\nMade by `make soak` (`tests/soak/test_kills.py`): kill -9 at ten moments of a run of twenty steps, "
        f"drawn with seed {SEED}; then `resume=auto`. Compared: weights, averages, optimisers, generator states, logged "
        "metrics, results, pictures.\n\n" + "\n".join(table) + "\n\n"
        + ", ".join(f"{name}: {value}" for name, value in facts.items()) + "\n"
    )  # fmt: skip


@pytest.mark.parametrize("kill", kills(SEED), ids=lambda kill: kill.words.replace(" ", "_"))
def test_killed_and_resumed_is_the_uninterrupted_run(
    kill: Kill, whole: dict[int, Path], log: list[tuple[str, str, str, str, str]], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    settings = [f"run_dir={folder}", f"+datamodule.num_workers={kill.num_workers}"]
    settings += TWO_RANKS if kill.num_ranks == 2 else ()
    done = train(*settings, *probe(**dict(kill.settings)))
    assert done.returncode == (-signal.SIGKILL if kill.rank == 0 else 6), done.stderr
    wait_until_gone(folder)
    found = last_good_checkpoint(folder / "checkpoints")
    start = f"{found[0].name}, {found[1]['images_seen'] / 1000:g} kimg" if found else "the beginning"
    done = train(*settings, "resume=auto")
    assert done.returncode == 0, done.stderr
    assert_same_run(folder, whole[kill.num_ranks])
    log.append((kill.words, str(kill.num_ranks), str(kill.num_workers), start, "the same"))


def wait_until_gone(folder: Path, seconds: float = 60.0) -> None:
    """Loading processes look for their rank every 5 s."""
    until = time.monotonic() + seconds
    while processes_of(folder):
        assert time.monotonic() < until, processes_of(folder)
        time.sleep(0.2)


@pytest.mark.parametrize("target", ["self", "group"])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_two_ranks_with_one_save(
    target: str, signum: signal.Signals, whole: dict[int, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    settings = [*TWO_RANKS, f"run_dir={folder}", "+datamodule.num_workers=1"]
    done = train(*settings, *probe(moment="step", images=144, target=target, signal_name=signum.name))
    assert done.returncode == 128 + signum, done.stderr
    assert processes_of(folder) == []
    assert done.stderr.count("ended by") == 1
    assert (saved_images(folder), saved_images(folder, "previous.ckpt")) == (160, 128)
    done = train(*settings, "resume=auto")
    assert done.returncode == 0, done.stderr
    assert_same_run(folder, whole[2])


def test_ranks_whose_first_is_killed_say_so_and_end(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = train(*TWO_RANKS, f"run_dir={folder}", *probe(moment="backward", images=144, rank=0))
    assert done.returncode == -signal.SIGKILL
    wait_until_gone(folder)
    assert "error: rank 0 has died after 0.144 kimg: the last checkpoint is good" in done.stderr
    assert failure(folder)["rank"] == 1


@pytest.mark.parametrize("rank", [0, 1])
def test_the_failure_of_one_rank_ends_all_with_its_reason(rank: int, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = train(*TWO_RANKS, f"run_dir={folder}", *probe(moment="step", images=144, rank=rank, target="memory"))
    assert done.returncode == 4, done.stderr
    assert processes_of(folder) == []
    assert f"error: out of memory on rank {rank} (MemoryError) after 0.144 kimg" in done.stderr
    assert failure(folder)["rank"] == rank


@pytest.mark.parametrize("killed", [0, 1])
def test_a_rank_that_does_not_notice_is_ended(killed: int, tmp_path: Path) -> None:
    """No collective operation fails for it, as on GPUs."""
    folder = tmp_path / "run"
    busy = [setting.replace("callbacks.probe", "callbacks.busy") for setting in probe(moment="step", target="long")]
    busy += ["+callbacks.busy.images=144", f"+callbacks.busy.rank={1 - killed}"]
    killing = probe(moment="step", images=144, seconds=1, rank=killed)
    done = train(*TWO_RANKS, f"run_dir={folder}", *busy, *killing)
    assert done.returncode == (6 if killed == 1 else -signal.SIGKILL)
    wait_until_gone(folder)
    assert f"error: rank {killed} has died" in done.stderr
    assert failure(folder)["kind"] == "rank_died"
