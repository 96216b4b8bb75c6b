"""evaluate.py and generate.py as programs, from a checkpoint to pictures and numbers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from launch.start import RANKS, announce
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from launch.compose import compose
    from tests.conftest import SMALL_RUN
    from train import train

    folder = tmp_path_factory.mktemp("trained") / "run"
    train(compose("train", [*SMALL_RUN, "max_kimg=0.064", f"run_dir={folder}"]))
    return folder


def test_evaluate_a_checkpoint(program: Callable, run: Path, tmp_path: Path) -> None:
    lines_before = (run / "results.jsonl").read_text().splitlines()
    done = program(
        "evaluate.py", f"checkpoint={run}/checkpoints/last.ckpt", "metrics=[fd,precision,recall]", "num_images=300"
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout.splitlines()[-1])
    assert (record["num_images"], record["num_reference"]) == (300, 1797)
    assert (record["stage"], record["checkpoint"], record["kimg"]) == ("evaluate.py", "last.ckpt", 0.064)
    assert record["experiment"] == "none/poly_inr-digits", "not under the name of the experiment"
    assert (run / "results.jsonl").read_text().splitlines() == [*lines_before, json.dumps(record)]
    assert "| fd " in done.stdout
    # The test stage of train.py, with its seed and count, gives the number that evaluate.py gives.
    done = program(
        "evaluate.py", f"checkpoint={run}/checkpoints/last.ckpt", "metrics=[fd]", f"output={tmp_path / 'out.jsonl'}"
    )
    again = json.loads((tmp_path / "out.jsonl").read_text())
    assert again["metrics"]["fd"] == pytest.approx(json.loads(lines_before[0])["metrics"]["fd"], rel=1e-6)
    copied = tmp_path / "somewhere" / "else" / "a.ckpt"
    copied.parent.mkdir(parents=True)
    shutil.copy(run / "checkpoints" / "last.ckpt", copied)
    assert program("evaluate.py", f"checkpoint={copied}", "metrics=[fd]", "reference=digits").returncode == 0
    assert (tmp_path / "results.jsonl").exists(), "no run around it: the result stays here"


def test_generate_every_task_and_evaluate_its_images(program: Callable, run: Path, tmp_path: Path) -> None:
    at = f"checkpoint={run}/checkpoints/last.ckpt"
    for task in (
        ["task=grid", "resolution=16", "classes=[3,8]", "psi=0.7"],
        ["task=upsample", "resolution=24", "rows=1"],
        ["task=interpolate", "classes=3", "rows=1", "frames=4", "resolution=12"],
        ["task=extrapolate", "rows=1", "resolution=24"],
    ):
        done = program("generate.py", at, *task, "output=pictures", "seed=1")
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
        assert all(Image.open(path) for path in done.stdout.split())
    first = (tmp_path / "pictures" / "grid_16px.png").read_bytes()
    program("generate.py", at, "task=grid", "resolution=16", "classes=[3,8]", "psi=0.7", "output=again", "seed=1")
    assert (tmp_path / "again" / "grid_16px.png").read_bytes() == first


@pytest.mark.soak
def test_evaluate_folder_zip_and_data_module(program: Callable, tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    for name, images in (("a", load_digits().images[:900]), ("b", load_digits().images[900:])):
        (tmp_path / name).mkdir()
        for i, image in enumerate(images):
            Image.fromarray((image * 255 / 16).round().astype("uint8")).save(tmp_path / name / f"{i:04d}.png")
    shutil.make_archive(str(tmp_path / "b"), "zip", tmp_path / "b")
    values = {}
    for reference in ("b", "b.zip", "digits"):
        done = program("evaluate.py", "images=a", f"reference={reference}")
        assert done.returncode == 0, done.stderr
        values[reference] = json.loads(done.stdout.splitlines()[-1])
    assert values["b"]["metrics"] == values["b.zip"]["metrics"]
    # Half of the digits is nearer to all of them than to the other half.
    assert values["b"]["metrics"]["fd"] > values["digits"]["metrics"]["fd"] > 0.1
    assert values["digits"]["protocol"]["reference"] == "digits:all"
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 3


FILES = ("train.py", "evaluate.py", "generate.py", "compare.py", "sweep.py")
SCRIPTS = (*FILES, "datamodules.prepare", "callbacks.loggers.wandb_log")


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_first_word_comes_before_every_import_that_takes_time(script: str) -> None:
    """-X importtime shows on stderr what was imported by then."""
    place = [script] if script in FILES else ["-m", script]
    command = [sys.executable, "-X", "importtime", *place, "--help"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        before = []
        for line in process.stderr:
            if not line.startswith("import time:"):
                break
            before.append(line.rpartition("|")[2].strip())
        process.kill()
    assert line == f"{script}: starting\n"
    assert not {"torch", "numpy", "hydra", "omegaconf", "PIL", "yaml", "argparse"} & set(before)


def test_of_several_ranks_the_first_speaks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in RANKS:
        for rank in ("0", "3"):
            monkeypatch.setenv(name, rank)
            announce.cache_clear()
            announce("train.py")
            announce("train.py")
        monkeypatch.delenv(name)
    assert capsys.readouterr().err == "train.py: starting\n" * len(RANKS)
