"""Masks of boxes in COCO's format and twins: every way of writing them shows the same, faults are named."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from datamodules.box_masks import packed, pixels_of
from datamodules.inspection import Inspection
from generative.rendering.pictures import TURNS
from tests.support.layouts import coco, write_pictures

HEIGHT, WIDTH = 30, 40
SQUARE = np.zeros((HEIGHT, WIDTH), bool)
SQUARE[5:15, 10:30] = True


def runs(pixels: np.ndarray) -> list[int]:
    """Uncompressed, by columns, first of zeros."""
    flat = pixels.T.ravel()
    edges = np.flatnonzero(np.diff(flat.astype(int))) + 1
    lengths = np.diff([0, *edges, len(flat)]).tolist()
    return lengths if not flat[0] else [0, *lengths]


FORMS: dict[str, Any] = {
    "polygon": [[10, 5, 30, 5, 30, 15, 10, 15]],
    "two polygons": [[10, 5, 20, 5, 20, 15, 10, 15], [20, 5, 30, 5, 30, 15, 20, 15]],
    "runs": {"size": [HEIGHT, WIDTH], "counts": runs(SQUARE)},
    "packed runs": packed(SQUARE),
}


def write_set(folder: Path, segmentations: list[Any], *, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    """One image a segmentation, each with its box; the same to test on."""
    for split in ("train", "test"):
        (folder / split).mkdir()
        names = [f"{split}{k}.png" for k in range(len(segmentations))]
        for k, name in enumerate(names):
            Image.new("RGB", size, (40 * k, 10, 90 if split == "train" else 80)).save(folder / split / name)
        facts: dict[str, Any] = coco(names, classes=["dent", "scratch"])
        facts["annotations"] = [
            {"id": k, "image_id": 7 + k, "category_id": 3, "bbox": [10, 5, 20, 10], "segmentation": segmentation}
            for k, segmentation in enumerate(segmentations)
        ]
        (folder / f"{split}.json").write_text(json.dumps(facts))


def inspection(folder: Path, *, resolution: int = WIDTH) -> Inspection:
    return Inspection(
        data_dir=str(folder), resolution=resolution, classes=["scratch", "dent"], batch_size=2, seed=0, channels=3
    )


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_mask_shows_the_same(form: str, tmp_path: Path) -> None:
    write_set(tmp_path, [FORMS[form]])
    mask = inspection(tmp_path).targets("train")["mask"][torch.tensor([0])][0]
    assert torch.equal(mask[:HEIGHT] == 2, torch.from_numpy(SQUARE)), "of dent, class 1, counted from 1"
    assert (mask[:HEIGHT][~torch.from_numpy(SQUARE)] == 0).all()
    assert (mask[HEIGHT:] == 255).all(), "beside the image"
    half = inspection(tmp_path, resolution=WIDTH // 2).targets("test")["mask"][torch.tensor([0])][0]
    assert (half == 2).sum() == SQUARE.sum() / 4


def test_packing_is_pycocotools_and_back() -> None:
    pixels = np.random.default_rng(0).uniform(size=(23, 17)) < 0.3
    made = packed(pixels)
    assert np.array_equal(pixels_of(made, (23, 17), "here"), pixels)
    assert coco_mask.area(made) == pixels.sum()
    plain = {"size": [23, 17], "counts": runs(pixels)}
    assert np.array_equal(pixels_of(plain, (23, 17), "here"), pixels)


def test_smaller_masks_lie_on_larger_ones(tmp_path: Path) -> None:
    write_set(tmp_path, [FORMS["polygon"]])
    facts = json.loads((tmp_path / "train.json").read_text())
    small = {
        "id": 5,
        "image_id": 7,
        "category_id": 4,
        "bbox": [12, 6, 4, 4],
        "segmentation": [[12, 6, 16, 6, 16, 10, 12, 10]],
    }
    facts["annotations"] = [small, *facts["annotations"]]
    (tmp_path / "train.json").write_text(json.dumps(facts))
    mask = inspection(tmp_path).targets("train")["mask"][torch.tensor([0])][0]
    assert (mask == 1).sum() == 16
    assert (mask == 2).sum() == SQUARE.sum() - 16


@pytest.mark.parametrize("orientation", [6, 8])
def test_masks_of_stored_photos_are_turned_with_them(orientation: int, tmp_path: Path) -> None:
    write_set(tmp_path, [FORMS["packed runs"]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.new("RGB", (WIDTH, HEIGHT), "blue")
    picture.paste("red", (10, 5, 30, 15))
    for split in ("train", "test"):
        picture.save(tmp_path / split / f"{split}0.jpg", exif=exif, quality=100, subsampling=0)
        facts = json.loads((tmp_path / f"{split}.json").read_text())
        facts["images"][0].update(file_name=f"{split}0.jpg", width=WIDTH, height=HEIGHT)
        (tmp_path / f"{split}.json").write_text(json.dumps(facts))
    (tmp_path / "test/test0.jpg").write_bytes((tmp_path / "test/test0.jpg").read_bytes() + b" ")
    data = inspection(tmp_path)
    image, mask = data.split("train")[0][0], data.targets("train")["mask"][torch.tensor([0])][0]
    assert torch.equal((image[0] > 128) & (mask < 255), mask == 2)
    assert orientation in TURNS


def test_masks_of_some_boxes_are_said_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_set(tmp_path, [FORMS["polygon"], []])
    assert "mask" not in inspection(tmp_path).targets("train")
    assert "1 of 2 boxes have no mask: masks are not shown" in capsys.readouterr().err


def test_without_the_package_boxes_are_shown_as_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(tmp_path, [FORMS["polygon"]])
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    targets = inspection(tmp_path).targets("train")
    assert "mask" not in targets
    assert "boxes" in targets
    assert "masks are not shown; masks in COCO's format need the package pycocotools" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[1, 2, 3, 4]], r"has a segmentation of annotation 0 that is neither polygons .* nor runs"),
        ([[1, 2, 3, 4, 5, "x"]], r"that is neither polygons"),
        ({"counts": [3]}, r"that is neither polygons"),
        (
            {"size": [9, 9], "counts": [81]},
            r"train.json, for train0.png, has a mask of 9 x 9 pixels on an image of 40 x 30",
        ),
        ({"size": [HEIGHT, WIDTH], "counts": [7, 3]}, r"has a mask whose runs are 10 pixels of 1200: mend it"),
    ],
)
def test_faults_of_masks_are_named(segmentation: Any, message: str, tmp_path: Path) -> None:
    write_set(tmp_path, [segmentation])
    with pytest.raises(ValueError, match=message):
        inspection(tmp_path).split("train")


@pytest.mark.parametrize("place", ["clean", "clean/train"])
def test_twins_are_found_by_their_names(place: str, tmp_path: Path) -> None:
    write_set(tmp_path, [FORMS["polygon"], FORMS["polygon"]])
    write_pictures(tmp_path / place, ["train0.png", "train1.png"], side=8, seed=1)
    for k in range(2):
        Image.new("RGB", (WIDTH, HEIGHT), (200, k, 0)).save(tmp_path / place / f"train{k}.png")
    data = inspection(tmp_path)
    twins = data.targets("train")["template"][torch.arange(2)]
    assert twins[:, 0, 0, 0].tolist() == [200, 200]
    assert twins[:, 1, 0, 0].tolist() == [0, 1]
    assert "template" not in data.targets("test")


def test_some_twins_are_said_and_other_sizes_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_set(tmp_path, [FORMS["polygon"], FORMS["polygon"]])
    write_pictures(tmp_path / "clean", ["train0.png"], side=WIDTH, seed=1)
    assert "template" not in inspection(tmp_path).targets("train")
    assert "has twins of 1 of 2 images, none of train1.png: templates are not shown" in capsys.readouterr().err
    write_pictures(tmp_path / "clean", ["train1.png"], side=WIDTH, seed=1)
    with pytest.raises(
        ValueError, match=r"train0.png has 40 x 40 pixels and its image train0.png has 40 x 30: a twin shows"
    ):
        inspection(tmp_path).split("train")


def test_a_twin_is_not_taken_for_an_image_of_its_name(tmp_path: Path) -> None:
    """What a tool lists under another folder is found by its last part, but not among the twins."""
    write_set(tmp_path, [FORMS["polygon"]])
    Image.new("RGB", (WIDTH, HEIGHT), (200, 1, 0)).save(tmp_path / "train0.png")
    (tmp_path / "clean").mkdir()
    (tmp_path / "train0.png").rename(tmp_path / "clean" / "train0.png")
    facts = json.loads((tmp_path / "train.json").read_text())
    facts["images"][0]["file_name"] = "elsewhere/train0.png"
    (tmp_path / "train.json").write_text(json.dumps(facts))
    images, _ = inspection(tmp_path).split("train")
    assert images[0, 0, 0, 0] == 0
