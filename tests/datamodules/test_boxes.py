"""Images with boxes: DeepPCB's layout, COCO's format, and what is wrong with either."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.deeppcb import DeepPCB
from datamodules.inspection import Inspection
from tests.conftest import ROOT
from tests.layouts import coco, write_deeppcb, write_inspection, write_pictures

BOARDS = ROOT.parent / "shared" / "data" / "deeppcb_subset.tar"


def boards(folder: Path, *, resolution: int = 32, **settings: object) -> DeepPCB:
    return DeepPCB(data_dir=str(folder), resolution=resolution, batch_size=4, seed=0, **settings)  # type: ignore[arg-type]


def inspection(
    folder: Path, *, classes: tuple[str, ...] = ("defect",), resolution: int = 40, **settings: object
) -> Inspection:
    return Inspection(
        data_dir=str(folder),
        resolution=resolution,
        classes=list(classes),
        batch_size=4,
        seed=0,
        **settings,  # type: ignore[arg-type]
    )


def test_deeppcb_as_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_deeppcb(tmp_path)
    data = boards(tmp_path)
    images, labels = data.split("train")
    targets = data.targets("train")
    assert images.shape == targets["template"].shape == (14, 1, 32, 32)  # type: ignore[attr-defined]
    assert labels.tolist() == [0] * 14
    folder = tmp_path / "PCBData" / "group12000" / "12000"
    assert np.array_equal(images[11, 0], np.asarray(Image.open(folder / "12000001_test.jpg")))
    assert np.array_equal(
        targets["template"][torch.tensor([11])][0, 0], np.asarray(Image.open(folder / "12000001_temp.jpg"))
    )
    assert targets["boxes"][torch.tensor([2])].tolist() == [[[2, 2, 12, 20], [3, 2, 12, 21], [4, 2, 12, 22]]]
    assert targets["box_label"][torch.tensor([1, 2])].tolist() == [[1, 2, -1], [2, 3, 4]]
    assert targets["group"][torch.arange(14)].tolist() == [41] * 10 + [12000] * 4
    assert "has 14 train images, the published DeepPCB 1000" in capsys.readouterr().err
    half = boards(tmp_path, resolution=16)
    assert torch.equal(half.targets("train")["boxes"][torch.arange(14)], targets["boxes"][torch.arange(14)] / 2)


def test_real_boards(tmp_path: Path) -> None:
    if not BOARDS.exists():
        pytest.skip(f"needs {BOARDS.name}, a part of DeepPCB")
    with tarfile.open(BOARDS) as archive:
        archive.extractall(tmp_path, filter="data")
    data = boards(tmp_path / "deeppcb_subset", resolution=640)
    images, _ = data.split("test")
    targets = data.targets("test")
    assert images.shape == (100, 1, 640, 640)
    labels = targets["box_label"][torch.arange(100)]
    assert (labels[labels >= 0].bincount() > 90).all(), "six kinds of defects"
    # A defect is where the board differs from the faultless one.
    differs = (images.float() - targets["template"][torch.arange(100)].float()).abs()[:, 0] > 64
    inside = torch.zeros_like(differs)
    for number, (rows, kinds) in enumerate(zip(targets["boxes"][torch.arange(100)], labels, strict=True)):
        for left, top, right, bottom in rows[kinds >= 0].int().tolist():
            inside[number, top:bottom, left:right] = True
    assert differs[inside].float().mean() > 5 * differs[~inside].float().mean()


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


BOARD_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a listed image that is not there": (
        lambda root: (root / "group00041/00041/00041003_test.jpg").unlink(),
        r"00041003_test.jpg is missing: fetch the set again",
    ),
    "no template": (
        lambda root: (root / "group00041/00041/00041003_temp.jpg").unlink(),
        r"00041003_temp.jpg, the faultless board of a pair, is not there",
    ),
    "no boxes": (
        lambda root: (root / "group00041/00041_not/00041003.txt").unlink(),
        r"00041003.txt is missing: fetch the set again",
    ),
    "a damaged image": (
        lambda root: (root / "group00041/00041/00041003_test.jpg").write_bytes(b"\xff\xd8\xff"),
        r"00041003_test.jpg is not a readable image",
    ),
    "a truncated image": (
        lambda root: cut(root / "group00041/00041/00041003_test.jpg"),
        r"00041003_test.jpg cannot be read \(.*\): fetch it again",
    ),
    "four numbers": (
        lambda root: (root / "group00041/00041_not/00041000.txt").write_text("1 2 3 4"),
        r"00041000.txt should have five numbers a line, x1 y1 x2 y2 kind",
    ),
    "a kind that is none": (
        lambda root: (root / "group00041/00041_not/00041000.txt").write_text("1 2 3 4 7"),
        r"00041000.txt has a box of class 6 on 00041000_test.jpg, and there are 6 classes: open, short",
    ),
    "a box outside": (
        lambda root: (root / "group00041/00041_not/00041000.txt").write_text("1 2 40 4 1"),
        r"00041000.txt has a box from \(1, 2\) to \(40, 4\) on 00041000_test.jpg, which has 32 x 32 pixels: mend",
    ),
    "a line of one word": (
        lambda root: replace(root / "trainval.txt", "group00041/00041/00041000.jpg ", ""),
        r"trainval.txt has the line 'group00041/00041_not/00041000.txt': each should name an image and its boxes",
    ),
    "an empty list": (lambda root: (root / "trainval.txt").write_text(""), r"the train split of .* has no images"),
}


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-200])


@pytest.mark.parametrize("fault", BOARD_FAULTS)
def test_faults_of_boards_are_named(fault: str, tmp_path: Path) -> None:
    write_deeppcb(tmp_path)
    damage, message = BOARD_FAULTS[fault]
    damage(tmp_path / "PCBData")
    with pytest.raises(ValueError, match=message):
        boards(tmp_path).split("train")


def test_coco_as_labelling_tools_write_it(tmp_path: Path) -> None:
    """Beside the images, numbered as it likes, pictures of any shape: each whole, its boxes with it."""
    folder = tmp_path / "train"
    folder.mkdir()
    Image.new("RGB", (80, 40), "white").save(folder / "wide.png")
    facts = coco(["wide.png"], classes=["scratch", "dent"])
    facts["annotations"] = [
        {"image_id": 7, "category_id": 4, "bbox": [10, 20, 30, 10]},
        {"image_id": 7, "category_id": 3, "bbox": [0, 0, 80, 40], "iscrowd": 0},
    ]
    (folder / "_annotations.coco.json").write_text(json.dumps(facts))
    data = inspection(tmp_path, classes=("dent", "scratch"))
    images, _ = data.split("train")
    assert images.shape == (1, 3, 40, 40)
    assert images[:, :, :20].min() == 255
    assert images[:, :, 20:].max() == 0
    assert data.targets("train")["boxes"][torch.tensor([0])].tolist() == [[[5, 10, 20, 15], [0, 0, 40, 20]]]
    assert data.targets("train")["box_label"][torch.tensor([0])].tolist() == [[0, 1]]


def test_without_a_test_split_every_tenth_is_held_out(tmp_path: Path) -> None:
    write_inspection(tmp_path)
    (tmp_path / "test.json").unlink()
    data = inspection(tmp_path)
    assert len(data.split("train")[0]) == 18
    assert torch.equal(
        data.split("test")[0][1, :, 0], torch.from_numpy(np.asarray(Image.open(tmp_path / "train/19.png"))[0].T.copy())
    )


def edit(file: Path, change: Callable[[dict], object]) -> None:
    facts = json.loads(file.read_text())
    change(facts)
    file.write_text(json.dumps(facts))


COCO_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no json": (lambda file: file.write_text("{"), r"train.json is not in COCO's format of boxes .*JSONDecodeError"),
    "no categories": (
        lambda file: edit(file, lambda facts: facts.pop("categories")),
        r"train.json is not in COCO's format of boxes .*KeyError 'categories'",
    ),
    "boxes of no image": (
        lambda file: edit(file, lambda facts: facts["annotations"][0].update(image_id=99)),
        r"train.json has boxes of image 99, which it does not list",
    ),
    "another class": (
        lambda file: edit(file, lambda facts: facts["categories"][0].update(name="dent")),
        r"train.json has boxes of 'dent', which is not among datamodule.classes \(defect\)",
    ),
    "an empty box": (
        lambda file: edit(file, lambda facts: facts["annotations"][0].update(bbox=[1, 1, 0, 3])),
        r"train.json has a box from \(1, 1\) to \(1, 4\) on 00.png",
    ),
    "a missing image": (lambda file: (file.parent / "train/03.png").unlink(), r"train/03.png is missing"),
}


@pytest.mark.parametrize("fault", COCO_FAULTS)
def test_faults_of_a_coco_file_are_named(fault: str, tmp_path: Path) -> None:
    write_inspection(tmp_path)
    damage, message = COCO_FAULTS[fault]
    damage(tmp_path / "train.json")
    with pytest.raises(ValueError, match=message):
        inspection(tmp_path).split("train")


def test_boxes_of_crowds_are_left_out_and_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_inspection(tmp_path)
    edit(tmp_path / "train.json", lambda facts: facts["annotations"][0].update(iscrowd=1))
    data = inspection(tmp_path)
    assert (data.targets("train")["box_label"][torch.arange(20)] >= 0).sum() == 9
    assert "1 boxes of" in capsys.readouterr().err


def test_a_large_set_stays_in_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_deeppcb(tmp_path)
    whole = boards(tmp_path).split("train")[0]
    monkeypatch.setattr("datamodules.boxes.MOST_IN_MEMORY", 1000)
    rows = boards(tmp_path).split("train")[0]
    assert not isinstance(rows, torch.Tensor)
    assert torch.equal(rows[torch.tensor([3, 1])], whole[torch.tensor([3, 1])])
    assert torch.equal(rows[2:4], whole[2:4])
    cut(tmp_path / "PCBData/group00041/00041/00041003_test.jpg")
    with pytest.raises(ValueError, match=r"00041003_test.jpg cannot be read"):
        rows[torch.tensor([3])]


def test_settings() -> None:
    with pytest.raises(ValueError, match="resolution must be at least 1 pixel, got 0"):
        boards(Path(), resolution=0)
    with pytest.raises(ValueError, match=r"channels must be 1 \(grey\) or 3 \(colour\), got 2"):
        inspection(Path(), channels=2)


def test_picture_of_one_colour_mode(tmp_path: Path) -> None:
    """Boards come in grey, and some of them in colour."""
    write_deeppcb(tmp_path)
    file = tmp_path / "PCBData/group00041/00041/00041000_test.jpg"
    write_pictures(file.parent, [file.name], side=32, seed=9)
    expected = np.asarray(Image.open(file).convert("L"))
    assert np.array_equal(boards(tmp_path).split("train")[0][0, 0], expected)
