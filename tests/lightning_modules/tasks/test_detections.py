"""The picture of what a detector finds: which box is marked as found, missed, or called without reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from launch.build import build
from launch.compose import compose, plain
from lightning_modules.detector.module import Detector
from lightning_modules.tasks.detections import FALSE, FOUND, MISSED, detections, judged, outlined
from metrics.detection import Inspected


def colours_of(picture: Tensor, box: tuple[int, ...]) -> set[tuple[int, ...]]:
    """Along the frame of a box."""
    left, top, right, bottom = box
    part = ((picture[:, top:bottom, left:right] + 1) * 127.5).round().int()
    frame = torch.cat([part[:, 0], part[:, -1], part[:, :, 0], part[:, :, -1]], dim=1)
    return {tuple(colour) for colour in frame.T.tolist()}


def test_found_missed_and_false_ones_are_told_apart() -> None:
    hit, miss, call = (2, 2, 12, 12), (20, 2, 30, 12), (2, 20, 12, 30)
    image = Inspected(
        0, np.array([hit, call], float), np.array([1, 1]), np.array([0.9, 0.8]), np.array([hit, miss], float), np.array([1, 0])
    )  # fmt: skip
    shown = judged(torch.zeros(1, 32, 32), image)
    assert [colours_of(shown, box) for box in (hit, miss, call)] == [{FOUND[1]}, {MISSED[1]}, {FALSE[1]}]
    assert colours_of(shown, (14, 14, 18, 18)) == {(128, 128, 128)}
    assert torch.equal(outlined(torch.zeros(3, 8, 8), torch.zeros(0, 4), []), torch.zeros(3, 8, 8))


def test_a_sheet_is_written(tmp_path: Path) -> None:
    config = plain(compose("train", ["experiment=none", "method=detector", "datamodule=digit_boxes", "run_dir=x"]))
    data, method = build(config)
    assert isinstance(method, Detector)
    (file,) = detections(method.eval(), tmp_path, seed=0, datamodule=data, count=2)
    assert file.name == "detections.png"
    assert min(Image.open(file).size) > 100
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        detections(method, tmp_path, seed=0, datamodule=data, count=0)
    with pytest.raises(ValueError, match="least_score must lie between 0 and 1, got 2"):
        detections(method, tmp_path, seed=0, datamodule=data, least_score=2)
