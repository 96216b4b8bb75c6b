"""Images with boxes: DeepPCB's layout, COCO's format, and what is wrong with either."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.deeppcb import DeepPCB
from datamodules.inspection import Inspection
from datamodules.orientation import read_stored_picture
from generative.rendering.pictures import TURNS
from tests.conftest import ROOT
from tests.support.layouts import coco, write_deeppcb, write_inspection, write_pictures

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
        r"00041003_test.jpg is not a readable image: image file is truncated",
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
    "a board in both lists": (
        lambda root: (root / "test.txt").write_text(
            (root / "test.txt").read_text() + (root / "trainval.txt").read_text().splitlines()[2]
        ),
        r"1 images of .*PCBData, such as group00041/00041/00041002.jpg, are in the lists of both splits",
    ),
    "a board listed twice": (
        lambda root: replace(root / "trainval.txt", "00041001.jpg", "00041000.jpg"),
        r"00041000_test.jpg is listed twice",
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
    for name in ("tall.png", "wide.png"):
        Image.new("RGB", (80, 40) if name == "wide.png" else (20, 60), "white").save(folder / name)
    facts = coco(["wide.png", "tall.png"], classes=["scratch", "dent"])
    facts["annotations"] = [
        {"image_id": 7, "category_id": 4, "bbox": [10, 20, 30, 10]},
        {"image_id": 7, "category_id": 3, "bbox": [0, 0, 80, 40], "iscrowd": 0},
    ]
    (folder / "_annotations.coco.json").write_text(json.dumps(facts))
    data = inspection(tmp_path, classes=("dent", "scratch"))
    images, _ = data.split("test")  # the last of two
    assert images.shape == (1, 3, 40, 40)
    assert images[:, :, :20].min() == 255
    assert images[:, :, 20:].max() == 0
    assert data.targets("test")["boxes"][torch.tensor([0])].tolist() == [[[5, 10, 20, 15], [0, 0, 40, 20]]]
    assert data.targets("test")["box_label"][torch.tensor([0])].tolist() == [[0, 1]]


def test_without_a_test_split_every_tenth_is_held_out(tmp_path: Path) -> None:
    write_inspection(tmp_path)
    (tmp_path / "test.json").unlink()
    data = inspection(tmp_path)
    assert len(data.split("train")[0]) == 18
    (tmp_path / "test").rename(tmp_path / "elsewhere")
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
    "boxes of no category": (
        lambda file: edit(file, lambda facts: facts["annotations"][0].update(category_id=8)),
        r"train.json has boxes of category 8, which it does not list",
    ),
    "three numbers": (
        lambda file: edit(file, lambda facts: facts["annotations"][2].update(bbox=[1, 1, 3])),
        r"train.json has the box \[1, 1, 3\] of annotation 4: give left, top, width and height in pixels",
    ),
    "no numbers": (
        lambda file: edit(file, lambda facts: facts["annotations"][2].pop("bbox")),
        r"train.json has the box None of annotation 4: give left, top, width and height in pixels",
    ),
    "a box from right to left": (
        lambda file: edit(file, lambda facts: facts["annotations"][0].update(bbox=[9, 1, -3, 3])),
        r"train.json has the box \[9, 1, -3, 3\] of annotation 0, .*: none is negative or infinite",
    ),
    "a box of no number": (
        lambda file: edit(file, lambda facts: facts["annotations"][0].update(bbox=[9, 1, float("nan"), 3])),
        r"train.json has the box \[9, 1, nan, 3\] of annotation 0, .*: none is negative or infinite",
    ),
    "shares of the image": (
        lambda file: edit(file, lambda facts: [row.update(bbox=[0.1, 0.2, 0.3, 0.4]) for row in facts["annotations"]]),
        r"the boxes of .*train.json are all within 0 and 1, shares of the image's size: COCO's are in pixels",
    ),
    "a box far outside": (
        lambda file: edit(file, lambda facts: facts["annotations"][0].update(bbox=[30, 2, 12.5, 20])),
        r"a box from \(30, 2\) to \(42.5, 22\) on 00.png, which has 40 x 40 pixels: mend .*max_overhang=3 to cut it",
    ),
    "an image id twice": (
        lambda file: edit(file, lambda facts: facts["images"][1].update(id=7)),
        r"train.json gives the image id 7 twice",
    ),
    "a category id twice": (
        lambda file: edit(file, lambda facts: facts["categories"].append({"id": 3, "name": "dent"})),
        r"train.json gives the category id 3 twice",
    ),
    "an image listed twice": (
        lambda file: edit(file, lambda facts: facts["images"][1].update(file_name="00.png")),
        r"train/00.png is listed twice \(by .*train.json\): list it once, with all its boxes",
    ),
    "an image in both splits": (
        lambda file: edit(file, lambda facts: facts["images"][1].update(file_name="../test/01.png")),
        r"1 images of .*, such as .*test/01.png, are in the lists of both splits",
    ),
    "another size": (
        lambda file: edit(file, lambda facts: facts["images"][1].update(width=80, height=60)),
        r"train.json says that 01.png has 80 x 60 pixels, and its file has 40 x 40: its boxes were drawn on another size",
    ),
    "a missing image": (
        lambda file: (file.parent / "train/03.png").unlink(),
        r"train/03.png is missing, and so is any image of that name in .* \(1 of the 20 that .*train.json lists\)",
    ),
    "two images of one name": (
        lambda file: (
            [write_pictures(file.parent / "train" / day, ["a.png"], side=40, seed=3) for day in ("monday", "friday")],
            edit(file, lambda facts: facts["images"][1].update(file_name="C:\\x\\a.png")),
        ),
        r"lists 'C:.*', which could be .*train/friday/a.png or .*train/monday/a.png: give its folder",
    ),
    "two files of boxes": (
        lambda file: (file.parent / "train/_annotations.coco.json").write_text("{}"),
        r"train.json and .*_annotations.coco.json both state boxes of the same images: remove one",
    ),
    "an unreadable test split": (  # before anything trains
        lambda file: file.with_name("test.json").write_text("{"),
        r"test.json is not in COCO's format of boxes",
    ),
}


@pytest.mark.parametrize("fault", COCO_FAULTS)
def test_faults_of_a_coco_file_are_named(fault: str, tmp_path: Path) -> None:
    write_inspection(tmp_path)
    damage, message = COCO_FAULTS[fault]
    damage(tmp_path / "train.json")
    with pytest.raises(ValueError, match=message):
        inspection(tmp_path).split("train")


def test_classes_are_those_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is refused says what to give instead; numbers may have holes, and a class may have no box."""
    write_inspection(tmp_path)
    names = [{"id": 0, "name": "defects"}, {"id": 3, "name": "missing hole"}, {"id": 90, "name": "spur"}]
    for file in (tmp_path / "train.json", tmp_path / "test.json"):
        edit(file, lambda facts: facts.update(categories=names))
    edit(tmp_path / "train.json", lambda facts: facts["annotations"][1].update(category_id=90))
    with pytest.raises(ValueError, match=r"""\(defect\): give 'datamodule.classes=\["missing hole",spur\]'"""):
        inspection(tmp_path).split("train")
    data = inspection(tmp_path, classes=("dent", "spur", "missing hole"))
    assert data.targets("train")["box_label"][torch.tensor([0, 2, 4])].tolist() == [[2], [1], [2]]
    assert "train.json has no box of dent, which datamodule.classes names" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"datamodule.classes names 'dent' twice"):
        inspection(tmp_path, classes=("dent", "spur", "dent"))


def test_overhang_is_cut_and_empty_boxes_are_left_out_with_their_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_inspection(tmp_path)
    boxes = [
        [-0.4, 2, 10, 20], [30, 20.5, 10.5, 20], [4, 4, 0, 3], [4, 4, 3, 0],
        [90, 4, 0, 0], [40, 1, 0.5, 5], [1, 2, 3, 4], [1, 2, 3, 4],
    ]  # fmt: skip
    edit(
        tmp_path / "train.json",
        lambda facts: facts.update(
            annotations=[{"id": i, "image_id": 7, "category_id": 3, "bbox": box} for i, box in enumerate(boxes)]
        ),
    )
    targets = inspection(tmp_path).targets("train")
    expected = torch.tensor([[0, 2, 9.6, 22], [30, 20.5, 40, 40], [1, 2, 4, 6]])
    assert torch.equal(targets["boxes"][torch.tensor([0])][0], expected)
    assert targets["box_label"][torch.tensor([0, 1])].tolist() == [[0, 0, 0], [-1, -1, -1]]
    said = capsys.readouterr().err
    for words in (
        "3 boxes reach over the border by up to 1 pixels: cut there",
        "3 boxes without width or height: left out",
        "1 boxes of which nothing lies within the image: left out",
        "1 boxes stated twice: taken once",
    ):
        assert f"{tmp_path}: {words}" in said
    edit(tmp_path / "train.json", lambda facts: facts["annotations"][0].update(bbox=[-8, 2, 20, 50]))
    targets = inspection(tmp_path, max_overhang=12).targets("train")
    assert targets["boxes"][torch.tensor([0])][0, 0].tolist() == [0, 2, 12, 40]


def photographed(file: Path, orientation: int) -> None:
    """60 x 40 of which a red part, 10 to 20 by 5 to 30, was marked; upright as ``orientation`` says."""
    picture = Image.new("RGB", (60, 40), "blue")
    picture.paste("red", (10, 5, 20, 30))
    back = {**TURNS, 6: TURNS[8], 8: TURNS[6]}  # the others are their own inverses
    exif = Image.Exif()
    exif[0x0112] = orientation
    (picture.transpose(back[orientation]) if orientation > 1 else picture).save(file, exif=exif, quality=100)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("stated", ["upright", "stored", "nothing"])
def test_boxes_of_phone_photos(
    stated: str, orientation: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever picture a tool drew them on, by the size that it states; where that does not tell, the upright one."""
    (tmp_path / "train").mkdir()
    for name in ("a.jpg", "b.jpg"):
        photographed(tmp_path / "train" / name, orientation)
    facts: dict = coco(["a.jpg", "b.jpg"], classes=["defect"], box=(10, 5, 10, 25))
    sideways = orientation >= 5
    picture = read_stored_picture(tmp_path / "train/a.jpg")
    assert picture.upright == (40, 60)
    if stated != "nothing":
        height, width = picture.size if stated == "stored" else (40, 60)
        facts["images"][0].update(width=width, height=height)
    if stated == "stored" and sideways:
        corners = {5: (5, 10, 25, 10), 6: (5, 40, 25, 10), 7: (10, 40, 25, 10), 8: (10, 10, 25, 10)}
        facts["annotations"][0]["bbox"] = list(corners[orientation])
    (tmp_path / "train.json").write_text(json.dumps(facts))
    data = inspection(tmp_path, resolution=60)
    image, box = data.split("train")[0][0], data.targets("train")["boxes"][torch.tensor([0])][0, 0]
    left, top, right, bottom = box.int().tolist()
    assert (left, top, right, bottom) == (10, 5, 20, 30)
    assert image[0, top + 2 : bottom - 2, left + 2 : right - 2].min() > 200
    assert image[0].float().sum() == pytest.approx(255 * 10 * 25, rel=0.1)
    said = capsys.readouterr().err
    told = orientation == 1 or (sideways and stated != "nothing")
    assert ("no size says whether their boxes are" in said) != told
    assert ("which are those of the file as it is stored" in said) == (sideways and stated == "stored")


def test_images_are_found_as_labelling_tools_name_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Folders of Windows, of the tool's server or of nowhere, and a mark of Windows before the text."""
    write_inspection(tmp_path)
    whole = inspection(tmp_path).split("train")[0]
    facts = json.loads((tmp_path / "train.json").read_text())
    names = ["train\\{}", "images\\1/{}", "..\\..\\label-studio\\media\\{}", "C:\\set\\{}", "/data/local-files/{}"]
    for i, image in enumerate(facts["images"]):
        image["file_name"] = names[i % len(names)].format(image["file_name"])
    (tmp_path / "train.json").write_text(json.dumps(facts), encoding="utf-8-sig")
    again = inspection(tmp_path).split("train")[0]
    rows = {image.numpy().tobytes() for image in whole}
    assert rows == {image.numpy().tobytes() for image in again}
    said = capsys.readouterr().err
    assert "not listed" not in said
    assert "16 images that" in said
    assert r"were found by the last part of their names, such as ..\..\label-studio\media\02.png in" in said
    edit(tmp_path / "test.json", lambda facts: (facts["images"].pop(), facts["annotations"].pop()))
    inspection(tmp_path).split("test")
    assert "1 images in" in (said := capsys.readouterr().err)
    assert "such as 04.png, are not listed by" in said


def exported(root: Path, layout: str) -> None:
    """20 images to train on in the layout of a tool; with 5 to test on where it has splits."""
    for part, count in {"train": 20, "test": 0 if layout in ("cvat", "label studio") else 5}.items():
        if not count:
            continue
        names = [f"{part}{i:02d}.png" for i in range(count)]
        test = {"roboflow": "valid", "coco": "val"}.get(layout, "test")
        part = part if part == "train" else test
        folder, file, named = {
            "roboflow": (f"{part}", f"{part}/_annotations.coco.json", "{}"),
            "roboflow images": (f"{part}/images", f"{part}/_annotations.coco.json", "{}"),
            "coco": (f"images/{part}", f"annotations/instances_{part}.json", "{}"),
            "cvat": ("images/default", "annotations/instances_default.json", "{}"),
            "label studio": ("images", "result.json", "images/3/{}"),
        }[layout]
        write_pictures(root / folder, names, side=40, seed=count)
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        facts: dict = coco([named.format(name) for name in names], classes=["defect"])
        for image in facts["images"]:
            image.update(id=image["id"] - 7, width=40, height=40)
        for row in facts["annotations"]:
            row.update(image_id=row["image_id"] - 7, iscrowd=0, segmentation={"size": [40, 40], "counts": [1600]})
        (root / file).write_text(json.dumps(facts))


@pytest.mark.parametrize("layout", ["roboflow", "roboflow images", "coco", "cvat", "label studio"])
def test_layouts_of_labelling_tools(layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exported(tmp_path, layout)
    data = inspection(tmp_path)
    counts = {split: len(data.split(split)[0]) for split in data.splits}
    said = capsys.readouterr().err
    if layout in ("cvat", "label studio"):
        assert counts == {"train": 18, "test": 2}
        assert f"{tmp_path} has no test split: 2 of its 20 images, every 10th, are held out" in said
    else:
        assert counts == {"train": 20, "test": 5}
        stand_in = {"roboflow": "valid", "coco": "val"}.get(layout)
        assert (f"has no test split: {stand_in} stands for it" in said) == (stand_in is not None)
    assert (data.targets("train")["box_label"][torch.arange(counts["train"])] >= 0).sum() == 10  # of even numbers
    if layout == "roboflow":
        shutil.copytree(tmp_path / "valid", tmp_path / "test")
        assert len(inspection(tmp_path).split("test")[0]) == 5
        assert f"valid of {tmp_path} is neither trained nor tested on: test is" in capsys.readouterr().err


def test_boxes_of_crowds_are_left_out_and_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_inspection(tmp_path)
    edit(tmp_path / "train.json", lambda facts: facts["annotations"][0].update(iscrowd=1))
    data = inspection(tmp_path, keep_crowds=True)
    assert (data.targets("train")["box_label"][torch.arange(20)] >= 0).sum() == 10
    assert "iscrowd" not in capsys.readouterr().err
    data = inspection(tmp_path)
    assert (data.targets("train")["box_label"][torch.arange(20)] >= 0).sum() == 9
    assert "1 boxes of" in (said := capsys.readouterr().err)
    assert "give +datamodule.keep_crowds=true" in said


def test_transparent_parts_lie_on_white_and_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not on the hidden colours that a program left beneath."""
    write_inspection(tmp_path)
    Image.new("RGBA", (40, 40), (200, 0, 0, 0)).save(tmp_path / "train/00.png")
    assert inspection(tmp_path).split("train")[0][0].min() == 255
    assert f"{tmp_path / 'train'}: transparent parts of its pictures are shown on white" in capsys.readouterr().err


def test_a_large_set_stays_in_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_deeppcb(tmp_path)
    whole = boards(tmp_path).split("train")[0]
    monkeypatch.setattr("datamodules.boxes.MOST_IN_MEMORY", 1000)
    rows = boards(tmp_path).split("train")[0]
    assert not isinstance(rows, torch.Tensor)
    assert torch.equal(rows[torch.tensor([3, 1])], whole[torch.tensor([3, 1])])
    assert torch.equal(rows[2:4], whole[2:4])
    cut(tmp_path / "PCBData/group00041/00041/00041003_test.jpg")
    with pytest.raises(ValueError, match=r"00041003_test.jpg is not a readable image"):
        rows[torch.tensor([3])]


def test_settings() -> None:
    with pytest.raises(ValueError, match="resolution must be at least 1 pixel, got 0"):
        boards(Path(), resolution=0)
    with pytest.raises(ValueError, match=r"channels must be 1 \(grey\) or 3 \(colour\), got 2"):
        inspection(Path(), channels=2)
    with pytest.raises(ValueError, match="max_overhang must be at least 0 pixels, got -1"):
        inspection(Path(), max_overhang=-1)


def test_picture_of_one_colour_mode(tmp_path: Path) -> None:
    """Boards come in grey, and some of them in colour."""
    write_deeppcb(tmp_path)
    file = tmp_path / "PCBData/group00041/00041/00041000_test.jpg"
    write_pictures(file.parent, [file.name], side=32, seed=9)
    expected = np.asarray(Image.open(file).convert("L"))
    assert np.array_equal(boards(tmp_path).split("train")[0][0, 0], expected)
