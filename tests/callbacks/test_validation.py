"""A look at held-out crops while a detector trains: the values of a test, of the same ones each time, and on a resumed run."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch.compose import compose
from records.run_files import read_metrics
from tests.support.defects import write_boards
from train import train

NAME = "metric/validation_map"


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boards")
    write_boards(folder, count=6)
    return folder


def run(boards: Path, folder: Path, *words: str) -> list[dict[str, float]]:
    settings = [
        "experiment=none", "method=detector", "datamodule=defect_crops", f"datamodule.source.data_dir={boards}",
        "datamodule.source.resolution=192", "datamodule.size=32", "datamodule.num_real=2", "+datamodule.num_validation=6",
        "datamodule.batch_size=4", "num_threads=1", "callbacks.validation.every_kimg=0.008", f"run_dir={folder}",
    ]  # fmt: skip
    train(compose("train", [*settings, *words]))
    return [row for row in read_metrics(folder / "metrics.csv") if NAME in row]


def test_held_out_crops_are_measured_while_it_trains(boards: Path, tmp_path: Path) -> None:
    whole = run(boards, tmp_path / "whole", "max_kimg=0.02")
    assert [row["progress/kimg"] for row in whole] == pytest.approx([0.008, 0.016, 0.02])
    assert all(0 <= row[NAME] <= row["best/validation_map"] <= 1 for row in whole)
    blind = ["callbacks.validation.every_kimg=0", "datamodule.num_validation=0", "max_kimg=0.02"]
    assert not run(boards, tmp_path / "blind", *blind)
    test = [
        row["metric/map"]
        for name in ("whole", "blind")
        for row in read_metrics(tmp_path / name / "metrics.csv")
        if "metric/map" in row
    ]
    assert len(test) == 2
    assert test[0] == test[1], "looking changes nothing of what is learned"


def test_a_resumed_run_goes_on_with_the_best(boards: Path, tmp_path: Path) -> None:
    whole = run(boards, tmp_path / "whole", "max_kimg=0.016", "method.budget_kimg=0.016")
    run(boards, tmp_path / "cut", "max_kimg=0.008", "method.budget_kimg=0.016")
    cut = run(boards, tmp_path / "cut", "max_kimg=0.016", "method.budget_kimg=0.016", "resume=auto")
    assert [row[NAME] for row in cut] == [row[NAME] for row in whole]
    assert [row["best/validation_map"] for row in cut] == [row["best/validation_map"] for row in whole]


def test_what_cannot_be_validated_says_so(boards: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds out none: give \+datamodule.num_validation=120 where it has one"):
        run(boards, tmp_path / "none", "datamodule.num_validation=0", "max_kimg=0.008")
    with pytest.raises(ValueError, match="num_validation=6 crops need images that are not trained on"):
        run(boards, tmp_path / "all", "datamodule.num_real=null", "max_kimg=0.008")
    with pytest.raises(ValueError, match="num_validation must be at least 0"):
        run(boards, tmp_path / "less", "datamodule.num_validation=-1", "max_kimg=0.008")
