"""How much of a map lies on objects, over photos with masks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from datamodules.digits import DigitMasks
from datamodules.voc import VOC2012
from launch.build import build
from launch.compose import compose, plain
from lightning_modules.dgm.module import DGMClassifier
from lightning_modules.tasks.map_scores import at_size, maps_scored, objects_of
from tests.support.classifiers import data, dgm, resnet
from tests.support.layouts import write_voc


def test_masks_at_the_size_of_the_model() -> None:
    masks = torch.tensor([[[0, 0, 7, 7], [0, 0, 7, 7], [255, 255, 0, 0], [255, 255, 0, 0]]], dtype=torch.uint8)
    images, small = at_size(torch.ones(1, 3, 4, 4), masks, (2, 2))
    assert images.shape == (1, 3, 2, 2)
    assert small.tolist() == [[[0, 7], [255, 0]]]
    inside, counted = objects_of(small)
    assert inside.tolist() == [[[False, True], [False, False]]]
    assert counted.tolist() == [[[True, True], [False, True]]]


def test_scores_over_photos_with_masks(tmp_path: Path) -> None:
    write_voc(tmp_path / "VOC2012", per_split=6)
    empty = sorted((tmp_path / "VOC2012" / "SegmentationClass").glob("2008_*.png"))[0]
    Image.new("L", Image.open(empty).size, 0).save(empty)
    photos = VOC2012(
        data_dir=str(tmp_path), resolution=48, crop_size=48, scales=[1, 1], flip=False, batch_size=2, seed=0
    )  # fmt: skip
    written = maps_scored(dgm(), tmp_path, seed=0, masked=photos, baselines=[resnet()])
    rows = [json.loads(line) for line in written[0].read_text().splitlines()]
    assert [row["model"] for row in rows] == ["even map", "middle", "dgm-cifar10", "classifier-cifar10"]
    assert [row["map"] for row in rows] == ["none", "none", "moments", "Grad-CAM"]
    assert {row["num_images"] for row in rows} == {5}, "one shows no object"
    assert all(0 < row["energy_inside"] < 1 and row["energy_inside_95"] > 0 for row in rows)
    assert rows[0]["energy_inside"] == rows[0]["pointing_game"] > 0.8, "a block in 21 is background"
    assert "| even map | none |" in written[1].read_text()
    with pytest.raises(ValueError, match="arrays has no masks of objects before a background: give masked=voc2012"):
        maps_scored(dgm(), tmp_path, seed=0, masked=data())
    digits = DigitMasks(batch_size=4, seed=0)
    with pytest.raises(
        ValueError, match="images of digitmasks have 1 channels, and the model takes 3: give masked= and"
    ):
        maps_scored(dgm(), tmp_path, seed=0, masked=digits)
    grey = build(plain(compose("train", ["experiment=none", "method=dgm", "run_dir=x"])))[1].eval()
    assert isinstance(grey, DGMClassifier)
    rows = [
        json.loads(line)
        for line in maps_scored(grey, tmp_path, seed=0, masked=digits, count=20)[0].read_text().splitlines()
    ]
    assert {row["num_images"] for row in rows} == {20}
