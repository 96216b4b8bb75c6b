"""What the documents say is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from docs.floor import floor
from docs.ledger.results import read_results
from launch.compose import group_options
from launch.evaluate.inputs import make_datamodule
from metrics.evaluation import evaluate
from metrics.features import Pixels
from metrics.image_sets import ImagesInMemory
from metrics.splits import real_images
from tests.conftest import ROOT

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "lightning_modules").glob("*/README.md"),
]


def test_the_floor_of_the_digits_is_what_resampling_says_too() -> None:
    images = real_images(make_datamodule("digits"), "all")
    halves, thirds, quarters = read_results("data/digits_floor")
    assert floor(images, parts=4, splits=3)["fd_at"] == pytest.approx(quarters["fd_at"], rel=0.15)
    assert [line["fd_at"] for line in (thirds, quarters)] == pytest.approx([halves["fd_at"]] * 2, rel=0.05)
    random = torch.Generator().manual_seed(0)
    resampled = [
        ImagesInMemory("digits", images.tensor[torch.randint(1797, (1797,), generator=random)]) for _ in range(12)
    ]
    distances = [
        evaluate(one, other, extractor=Pixels(images.shape), metrics=["fd"])["fd"]
        for one, other in zip(resampled[::2], resampled[1::2], strict=True)
    ]
    assert sum(distances) / len(distances) == pytest.approx(halves["fd_at"], rel=0.2)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.parent.name + "/" + path.name)
def test_links_and_experiments_exist(path: Path) -> None:
    text = path.read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"
    for name in re.findall(r"experiment=([\w/]+)", text):
        assert name in group_options("experiment"), f"{path.name} names the experiment {name}"


def test_every_method_has_a_card_an_experiment_and_a_test() -> None:
    folders = [path.parent for path in (ROOT / "lightning_modules").glob("*/module.py")]
    assert folders
    for folder in folders:
        assert (folder / "README.md").exists()
        assert (ROOT / "configs" / "method" / f"{folder.name}.yaml").exists()
        assert list((ROOT / "configs" / "experiment" / folder.name).glob("*.yaml"))
        assert list((ROOT / "tests" / "lightning_modules").glob(f"{folder.name}/test_*.py"))
        assert folder.name in (ROOT / "README.md").read_text()


def test_benchmarks_print_a_table_and_json(program) -> None:
    import json

    scripts = sorted((ROOT / "benchmarks").glob("*.py"))
    assert scripts
    for script in scripts:
        done = program(f"benchmarks/{script.name}", "--quick", timeout=300)
        assert done.returncode == 0, done.stderr
        rows = json.loads(done.stdout.strip().splitlines()[-1])
        assert rows
        for name, row in rows.items():
            assert {"ratio", "floor_share"} <= row.keys()
            assert f"| {name} |" in done.stdout
