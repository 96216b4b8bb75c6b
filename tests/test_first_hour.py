"""The README's first hour as it stands there: a folder of one's own images, prepared, trained on, drawn, measured."""

from __future__ import annotations

import json
import shlex
import sys
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


def commands() -> list[list[str]]:
    """Every command of the section, in its order, as a shell would split it."""
    section = (ROOT / "README.md").read_text().split("## Your own images")[1].split("\n## ")[0]
    blocks = section.split("```bash\n")[1:]
    lines = [line for block in blocks for line in block.split("```")[0].splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line]


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


def test_own_images_from_folder_to_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datamodules import prepare

    # Blots of three colours, in a folder each.
    generator = np.random.default_rng(0)
    for number in range(30):
        folder = tmp_path / "photos" / ("red", "green", "blue")[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        levels = generator.integers(0, 80, (6, 9, 3), dtype=np.uint8)
        levels[1:5, 2:7, number % 3] += 150
        Image.fromarray(levels).resize((90, 60 + number)).save(folder / f"{number}.jpg")

    monkeypatch.setenv("POLYMORPH_CACHE", str(tmp_path / "cache"))
    done = {}
    for program, *arguments in (line[1:] for line in commands()):
        arguments = [smaller for argument in arguments for smaller in SMALLER.get(argument, [argument])]
        if program == "-m":
            monkeypatch.setattr(sys, "argv", arguments)
            prepare.main()
            continue
        named = [argument for argument in arguments if argument.startswith(("task=", "images="))]
        done[" ".join([program, *named])] = in_this_process(program, arguments)
    assert len(done) == 5, "another command in the README: look at what it did"
    drawn = tmp_path / "runs" / "mine" / "drawn"
    assert {file.parent.name for file in (drawn / "samples").rglob("*.png")} == {"0", "1", "2"}
    assert Image.open(next((drawn / "samples").rglob("*.png"))).size == (64, 64)
    assert done["generate.py task=samples"] == [str(Path("runs/mine/drawn/samples"))]
    of_checkpoint, of_files = done["evaluate.py"], done["evaluate.py images=runs/mine/drawn/samples"]
    assert (of_checkpoint["num_images"], of_checkpoint["num_reference"]) == (27, 27), "a tenth is held out"
    assert {"kid", "precision", "authenticity"} <= of_checkpoint["metrics"].keys()
    assert of_files["metrics"] == pytest.approx(of_checkpoint["metrics"], rel=1e-6)
    results = [json.loads(line) for line in (tmp_path / "runs" / "mine" / "results.jsonl").read_text().splitlines()]
    assert [record["stage"] for record in results] == [
        "test stage of train.py",
        "evaluate.py",
        "test stage of train.py",
    ]
