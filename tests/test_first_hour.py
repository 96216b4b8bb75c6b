"""The README's commands as they stand there: own images, two sets compared, a search for settings, with small budgets."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT

# So that it takes seconds: what is in the README, and what is done here instead.
SMALLER = {
    "max_kimg=2": ["max_kimg=0.032"],
    "count=1000": ["count=27"],
    "resume=auto": ["resume=auto", "max_kimg=0.048"],
}
TWO_STEPS = ["max_kimg=0.032", "datamodule.batch_size=16", "callbacks.metrics.every_kimg=0.032", "num_threads=1"]


def commands(heading: str) -> list[list[str]]:
    """Every command of a section of the README, in its order, as a shell would split it."""
    section = (ROOT / "README.md").read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    blocks = section.split("```bash\n")[1:]
    lines = [line for block in blocks for line in block.split("```")[0].splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line]


def in_this_process(program: str, arguments: list[str]) -> Any:
    from evaluate import evaluate
    from generate import generate
    from launch.compose import compose, gather_options, name_experiment
    from train import train

    if program == "train.py":
        choice = next(argument for argument in arguments if argument.startswith("experiment=")).partition("=")[2]
        return train(name_experiment(compose("train", arguments), {"experiment": choice}))
    if program == "generate.py":
        return generate(compose("generate", gather_options("generate", arguments)))
    return evaluate(compose("evaluate", arguments))


def draw_blots(folder: Path, *, count: int) -> None:
    """JPEG files of several sizes: blots of three colours, in a folder each."""
    generator = np.random.default_rng(0)
    for number in range(count):
        path = folder / ("red", "green", "blue")[number % 3] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        levels = generator.integers(0, 80, (6, 9, 3), dtype=np.uint8)
        levels[1:5, 2:7, number % 3] += 150
        Image.fromarray(levels).resize((90, 60 + number)).save(path)


def test_own_images_and_two_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datamodules import prepare

    draw_blots(tmp_path / "photos", count=30)
    draw_blots(tmp_path / "photos_a", count=12)
    draw_blots(tmp_path / "photos_b", count=15)
    monkeypatch.setenv("POLYMORPH_CACHE", str(tmp_path / "cache"))
    done = {}
    for program, *arguments in commands("Train on your own images") + commands("Compare two sets of images"):
        arguments = [smaller for argument in arguments for smaller in SMALLER.get(argument, [argument])]
        if program == "-m":
            monkeypatch.setattr(sys, "argv", arguments)
            prepare.main()
            continue
        named = [argument for argument in arguments if argument.startswith(("task=", "images=", "max_kimg="))]
        done[" ".join([program, *named])] = in_this_process(program, arguments)
    assert len(done) == 6, "another command in the README: look at what it did"
    drawn = tmp_path / "runs" / "mine" / "drawn"
    assert {file.parent.name for file in (drawn / "samples").rglob("*.png")} == {"0", "1", "2"}
    assert Image.open(next((drawn / "samples").rglob("*.png"))).size == (64, 64)
    assert done["generate.py task=samples"] == [str(Path("runs/mine/drawn/samples"))]
    of_checkpoint, of_files = done["evaluate.py"], done["evaluate.py images=runs/mine/drawn/samples"]
    assert (of_checkpoint["num_images"], of_checkpoint["num_reference"]) == (27, 27), "a tenth is held out"
    assert {"kid", "precision", "authenticity"} <= of_checkpoint["metrics"].keys()
    assert of_files["metrics"] == pytest.approx(of_checkpoint["metrics"], rel=1e-6)
    of_folders = done["evaluate.py images=photos_a"]
    assert (of_folders["num_images"], of_folders["num_reference"]) == (12, 15)
    assert {"fd", "kid", "precision", "recall"} <= {name.split("_")[0] for name in of_folders["metrics"]}
    results = [json.loads(line) for line in (tmp_path / "runs" / "mine" / "results.jsonl").read_text().splitlines()]
    assert [record["stage"] for record in results] == [
        "test stage of train.py",
        "evaluate.py",
        "test stage of train.py",
    ]


@pytest.mark.soak  # six trainings, each a start of the program; tests of launch/ hold the parts
def test_a_search_for_settings(
    tmp_path: Path,
    program: Callable[..., subprocess.CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")  # as if one stood in the project's folder
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    combinations, sweep, page = commands("Search for good settings")
    assert [command[0] for command in (combinations, sweep, page)] == ["train.py", "sweep.py", "compare.py"]
    combinations += TWO_STEPS
    sweep += ["--trials", "2", *TWO_STEPS]
    for command in (combinations, sweep, page):
        done = program(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    (multirun,) = (tmp_path / "runs" / "multirun").iterdir()
    assert sorted(path.name for path in multirun.iterdir() if path.is_dir()) == ["0", "1", "2"]
    assert all((multirun / name / "results.jsonl").exists() for name in "012")
    trials = tmp_path / "runs" / "sweeps" / "poly_inr" / "rates" / "trials"
    assert sorted(path.name for path in trials.iterdir() if path.is_dir()) == ["0000", "0001"]
    assert "2 runs" in done.stdout
    assert "0001" in (tmp_path / "page.html").read_text()
