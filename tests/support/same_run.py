"""Twenty small steps, a run that is killed on its way, and whether two runs came to the same bits."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from launch.checkpoint import read_checkpoint
from lightning_modules.base import Method

# Steps of 16 images; a save does not always fall on a row of losses, so their sums must be kept too.
TWENTY_STEPS = (
    "max_kimg=0.32",
    "callbacks.losses.every_kimg=0.048",
    "callbacks.throughput.every_kimg=0.064",
    "save_every_kimg=0.064",
    "callbacks.metrics.every_kimg=0.16",
    "callbacks.samples.every_kimg=0.16",
)


def rows(folder: Path) -> list[dict[str, str]]:
    """metrics.csv without the columns that measure time; rows of those alone are left out."""
    with (folder / "metrics.csv").open(newline="") as file:
        found = [{k: v for k, v in row.items() if not k.startswith("throughput/")} for row in csv.DictReader(file)]
    return [row for row in found if sum(map(bool, row.values())) > 1]


def assert_same_run(ours: Path, theirs: Path) -> None:
    """Weights, averages, optimisers, generators, logged metrics, results and pictures, bit for bit."""
    assert rows(ours) == rows(theirs)
    a, b = (read_checkpoint(run / "checkpoints" / "last.ckpt") for run in (ours, theirs))
    assert a["images_seen"] == b["images_seen"]
    for part in ("state_dict", "optimizer_states", "generators"):
        assert_same(a[part], b[part], part)
    results = [[json.loads(line) for line in (run / "results.jsonl").open()] for run in (ours, theirs)]
    assert [line["metrics"] for line in results[0]] == [line["metrics"] for line in results[1]]
    pictures = [{path.name: path.read_bytes() for path in (run / "samples").iterdir()} for run in (ours, theirs)]
    assert pictures[0] == pictures[1]
    left = [path for path in ours.rglob("*") if path.name.endswith((".writing", ".damaged")) or path.stem == "failure"]
    assert not left


def assert_same(ours: object, theirs: object, name: str) -> None:
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, torch.Tensor)
        assert torch.equal(ours, theirs), name
    elif isinstance(theirs, dict):
        assert isinstance(ours, dict)
        assert ours.keys() == theirs.keys(), name
        for key, value in theirs.items():
            assert_same(ours[key], value, f"{name}.{key}")
    elif isinstance(theirs, list | tuple):
        assert isinstance(ours, list | tuple)
        assert len(ours) == len(theirs), name
        for index, value in enumerate(theirs):
            assert_same(ours[index], value, f"{name}[{index}]")
    else:
        assert ours == theirs, name


@contextmanager
def killed_at(images_seen: int) -> Iterator[None]:
    """The run inside dies in the step that begins after so many images; AssertionError where it does not get there."""
    count_images = Method.count_images

    def dies(method: Method, images: torch.Tensor) -> None:
        if method.images_seen == images_seen:
            raise RuntimeError("killed")
        count_images(method, images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Method, "count_images", dies)
        with pytest.raises(RuntimeError, match="killed"):
            yield
