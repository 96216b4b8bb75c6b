"""Makes the golden losses of tests/test_train.py again: python -m tests.golden.make. Only after a change of numbers
that is meant; the commit says why."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path

from launch.compose import compose
from tests.conftest import SMALL_RUN
from train import train

COLUMNS = ("loss/critic", "loss/generator", "score/real", "score/fake")

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        settings = ("max_kimg=0.32", "callbacks.losses.every_kimg=0.016", "save_every_kimg=1")
        train(compose("train", [*SMALL_RUN, *settings, f"run_dir={folder}/run"]))
        with (Path(folder) / "run" / "metrics.csv").open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["loss/critic"]]
    values = {column: [float(row[column]) for row in rows] for column in COLUMNS}
    Path(__file__).with_name("poly_inr_20_steps.json").write_text(json.dumps(values, indent=1) + "\n")
