"""Masks of one's own: how they are paired with images, what their values mean, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.image_masks import ImageMasks
from generative.rendering.masks import NO_CLASS
from generative.rendering.pictures import TURNS
from launch.compose import compose
from tests.support.layouts import write_image_masks

RED, BLACK, GREEN = [255, 0, 0], [0, 0, 0], [0, 255, 0]


def image_masks(folder: Path, **settings: Any) -> ImageMasks:
    defaults = {"resolution": 48, "crop_size": 32, "scales": [0.5, 2.0], "flip": True, "batch_size": 4, "seed": 0}
    return ImageMasks(**({"data_dir": str(folder), "classes": ["background", "defect"]} | defaults | settings))


def whole(datamodule: ImageMasks, split: str = "train") -> torch.Tensor:
    masks = datamodule.rows(split)["mask"]
    return masks[torch.arange(len(masks))]


def write_mask(folder: Path, pixels: np.ndarray, *, name: str = "00", mode: str | None = None) -> None:
    """An image and its mask, alone in the split that is trained on; every test has two images."""
    for split in ("train", "test"):
        for part in ("images", "masks"):
            (folder / split / part).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (pixels.shape[1], pixels.shape[0]), "grey").save(folder / split / "images" / f"{name}.png")
        mask = Image.fromarray(pixels)
        (mask.convert(mode) if mode else mask).save(folder / split / "masks" / f"{name}.png")


NUMBERS = np.kron(np.array([[0, 1], [2, 0]], np.uint8), np.ones((24, 24), np.uint8))
COLOURS = np.array([BLACK, RED, GREEN], np.uint8)[NUMBERS]
PALETTE = Image.fromarray(NUMBERS)
PALETTE.putpalette([*BLACK, *RED, *GREEN])


@pytest.mark.parametrize(
    ("mask", "settings"),
    [
        (Image.fromarray(NUMBERS), {}),
        (PALETTE, {}),
        (PALETTE, {"values": [BLACK, RED, GREEN]}),
        (Image.fromarray(COLOURS), {"values": [BLACK, RED, GREEN]}),
        (Image.fromarray(COLOURS).convert("RGBA"), {"values": [BLACK, RED, GREEN]}),
        (Image.fromarray(NUMBERS * 100), {"values": [0, 100, 200]}),
        (Image.fromarray(NUMBERS * 100).convert("RGB"), {"values": [0, 100, 200]}),
        (Image.fromarray(NUMBERS * 100).convert("LA"), {"values": [[0, 0, 0], [100, 100, 100], [200, 200, 200]]}),
    ],
)
def test_values_and_colours_are_classes(mask: Image.Image, settings: dict[str, Any], tmp_path: Path) -> None:
    write_mask(tmp_path, NUMBERS)
    mask.save(tmp_path / "train/masks/00.png")
    datamodule = image_masks(tmp_path, classes=["background", "scratch", "dent"], **settings)
    assert np.array_equal(whole(datamodule)[0], NUMBERS)
    assert datamodule.target_classes == ("background", "scratch", "dent")


def test_one_bit_two_values_of_a_class_and_pixels_that_count_nowhere(tmp_path: Path) -> None:
    write_mask(tmp_path, NUMBERS * 255, mode="1")
    assert np.array_equal(whole(image_masks(tmp_path, values=[0, 255]))[0], NUMBERS > 0)
    write_mask(tmp_path, NUMBERS)
    both = image_masks(tmp_path, classes=["background", "defect", "defect"])
    assert both.target_classes == ("background", "defect")
    assert np.array_equal(whole(both)[0], NUMBERS > 0)
    ignoring = whole(image_masks(tmp_path, values=[0, 2], ignore=[1]))[0]
    assert np.array_equal(ignoring, np.array([0, NO_CLASS, 1], np.uint8)[NUMBERS])
    write_mask(tmp_path, COLOURS)
    ignoring = whole(image_masks(tmp_path, values=[BLACK, GREEN], ignore=[RED]))[0]
    assert np.array_equal(ignoring, np.array([0, NO_CLASS, 1], np.uint8)[NUMBERS])


def test_images_are_shown_whole_at_one_size(tmp_path: Path) -> None:
    """Masks take the nearest pixel, never a mean of two classes."""
    write_mask(tmp_path, NUMBERS[:32] * 127)
    datamodule = image_masks(tmp_path, classes=["a", "b", "c"], values=[0, 127, 254], resolution=24, crop_size=8)
    assert np.array_equal(whole(datamodule)[0, :16], NUMBERS[1:32:2, 1::2])
    assert (whole(datamodule)[0, 16:] == NO_CLASS).all()
    assert datamodule.sizes["train"].tolist() == [[16, 24]]


def moved(folder: Path, layout: str) -> None:
    """The set of :func:`write_image_masks` as others lay it out."""
    for split in ("train", "test"):
        for part in ("images", "masks"):
            name = {"valid": "valid"}.get(layout, split) if split == "test" else split
            target = folder / {"by kind": f"{part}/{name}", "one": part}.get(layout, f"{name}/{part}")
            if layout == "one" and split == "test":
                shutil.rmtree(folder / split / part)
            elif target != folder / split / part:
                target.parent.mkdir(exist_ok=True)
                (folder / split / part).rename(target)


@pytest.mark.parametrize("layout", ["as told", "by kind", "valid", "one"])
def test_where_images_and_masks_lie(layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image_masks(tmp_path)
    expected = [whole(image_masks(tmp_path), split) for split in ("train", "test")]
    moved(tmp_path, layout)
    datamodule = image_masks(tmp_path)
    if layout == "one":
        assert len(whole(datamodule)) == 13
        assert torch.equal(whole(datamodule, "test")[0], expected[0][9])
        assert "has no test split: 1 of its 14 images, every 10th, are held out" in capsys.readouterr().err
        return
    assert all(map(torch.equal, expected, [whole(datamodule), whole(datamodule, "test")]))
    assert (f"{tmp_path} has no test split: valid stands for it" in capsys.readouterr().err) == (layout == "valid")


def test_masks_of_another_ending(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image_masks(tmp_path)
    expected = whole(image_masks(tmp_path))
    for mask in (tmp_path / "train/masks").iterdir():
        mask.rename(mask.with_name(f"{mask.stem}_mask.png"))
    for image in (tmp_path / "train/images").iterdir():
        Image.open(image).save(image.with_suffix(".jpg"))
        image.unlink()
    message = (
        r"14 of the 14 images in .*, such as 00.jpg, whose mask would be 00.png \(datamodule.mask_suffix=_mask would"
    )
    with pytest.raises(ValueError, match=message):
        whole(image_masks(tmp_path))
    for mask in (tmp_path / "test/masks").iterdir():
        mask.rename(mask.with_name(f"{mask.stem}_mask.png"))
    assert torch.equal(whole(image_masks(tmp_path, mask_suffix="_mask")), expected)
    (tmp_path / "train/images/03.jpg").unlink()
    (tmp_path / "train/images/Thumbs.db").write_text("")
    assert len(whole(image_masks(tmp_path, mask_suffix="_mask"))) == 13
    said = capsys.readouterr().err
    assert "1 masks in " in said
    assert "such as 03_mask.png, have no image in" in said
    assert f"passed over in {tmp_path / 'train/images'}: 1 .db" in said


@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("drawn_on", ["upright", "stored", "says itself"])
def test_masks_of_phone_photos(
    drawn_on: str, orientation: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mask goes with the photo, whichever form of it its size says it was drawn on."""
    write_mask(tmp_path, NUMBERS[:30])
    exif = Image.Exif()
    exif[0x0112] = orientation
    back = {3: TURNS[3], 6: TURNS[8]}[orientation]
    upright = Image.fromarray(COLOURS[:30])
    upright.transpose(back).save(tmp_path / "train/images/00.jpg", exif=exif, quality=100, subsampling=0)
    (tmp_path / "train/images/00.png").unlink()
    if drawn_on == "stored" and orientation == 6:
        Image.fromarray(NUMBERS[:30]).transpose(back).save(tmp_path / "train/masks/00.png")
    if drawn_on == "says itself":
        Image.fromarray(NUMBERS[:30]).transpose(back).save(tmp_path / "train/masks/00.png", exif=exif)
    datamodule = image_masks(tmp_path, classes=["background", "scratch", "dent"])
    assert np.array_equal(whole(datamodule)[0, :30], NUMBERS[:30])
    image = datamodule.split("train")[0][torch.tensor([0])][0, :, :30]
    assert (image.permute(1, 2, 0).float() - torch.from_numpy(COLOURS[:30]).float()).abs().mean() < 8
    said = capsys.readouterr().err
    assert ("which are as the file is stored, with them" in said) == (drawn_on == "stored" and orientation == 6)
    assert ("taken as drawn on the upright photo" in said) == (orientation == 3 and drawn_on != "says itself")


def write_lossy(folder: Path) -> None:
    write_mask(folder, NUMBERS)
    Image.fromarray(NUMBERS * 99).save(folder / "train/masks/00.jpg")
    (folder / "train/masks/00.png").unlink()


def pairs_fault(change: Callable[[Path], object], message: str) -> tuple[Callable[[Path], object], dict[str, Any], str]:
    return change, {}, message


FAULTS: dict[str, tuple[Callable[[Path], object], dict[str, Any], str]] = {
    "255 for a class": (
        lambda root: write_mask(root, NUMBERS * 255),
        {},
        r"masks/00.png holds 254, 255, and datamodule.values are 0, 1 for background, defect: give the value of each class",
    ),
    "a format with losses": (
        write_lossy,
        {},
        r"masks/00.jpg holds .*: give .*; its format changes values when it saves: draw masks as PNG",
    ),
    "colours where numbers are meant": (
        lambda root: write_mask(root, COLOURS),
        {},
        r"00.png is in colour, of \[0, 0, 0\], \[0, 255, 0\], \[255, 0, 0\], and datamodule.values are numbers: give a colour",
    ),
    "another colour": (
        lambda root: write_mask(root, COLOURS),
        {"values": [BLACK, RED]},
        r"00.png holds \[0, 255, 0\] \(other masks \[1, 1, 1\]\), and datamodule.values are \[0, 0, 0\], \[255, 0, 0\] for",
    ),
    "transparency": (
        lambda root: write_mask(root, np.dstack([COLOURS, NUMBERS])),
        {"values": [BLACK, RED]},
        r"00.png has transparent pixels, which are of no colour",
    ),
    "values of two masks": (
        lambda root: Image.fromarray(NUMBERS[:30] + 4).save(root / "train/masks/00.png"),
        {"values": [0, 4]},
        r"masks/01.png holds 1 \(other masks 5, 6\), and datamodule.values are 0, 4",
    ),
    "another size": (
        lambda root: Image.fromarray(NUMBERS[:20]).save(root / "train/masks/00.png"),
        {},
        r"masks/00.png is 20 x 48 pixels and its image 30 x 48: both must have one size",
    ),
    "two images of one name": pairs_fault(
        lambda root: Image.new("RGB", (48, 30)).save(root / "train/images/00.bmp"),
        r"images/00.bmp and .*images/00.png have one name",
    ),
    "no masks": pairs_fault(
        lambda root: shutil.rmtree(root / "train/masks"), r"train/masks is missing: a mask is needed"
    ),
    "no test masks": pairs_fault(lambda root: shutil.rmtree(root / "test/masks"), r"test/masks is missing: a mask is"),
    "two places": pairs_fault(
        lambda root: shutil.copytree(root / "train/images", root / "images/train"),
        r"train/images and .*images/train are both there: put the images of train into one",
    ),
    "an image in both splits": pairs_fault(
        lambda root: (
            (root / "test/images/00.png").unlink(),
            (root / "test/images/00.png").symlink_to(root / "train/images/00.png"),
        ),
        r"1 images of .*, such as .*train/images/00.png, are in the lists of both splits",
    ),
    "no images": pairs_fault(
        lambda root: [file.unlink() for file in (root / "train/images").iterdir()],
        r"the train split of .* has no images",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named_before_anything_trains(fault: str, tmp_path: Path) -> None:
    write_image_masks(tmp_path, per_split=2)
    damage, settings, message = FAULTS[fault]
    damage(tmp_path)
    with pytest.raises(ValueError, match=message):
        image_masks(tmp_path, **settings).split("train")


def test_a_value_in_one_mask_of_many_is_named_when_a_batch_asks_for_it(tmp_path: Path) -> None:
    write_image_masks(tmp_path, per_split=40)
    Image.fromarray(np.full((30 + 39, 48), 7, np.uint8)).resize((30 + 39, 48)).save(tmp_path / "train/masks/39.png")
    datamodule = image_masks(tmp_path)
    datamodule.split("train")
    with pytest.raises(ValueError, match=r"masks/39.png holds 7, and datamodule.values are 0, 1"):
        whole(datamodule)


def test_a_class_that_no_mask_shows_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image_masks(tmp_path)
    image_masks(tmp_path, classes=["background", "defect", "dirt"]).split("train")
    assert "no pixel of dirt in the masks that were looked at" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": []}, r"datamodule.classes is empty: give the names of the classes"),
        ({"values": [0, 1, 2]}, r"datamodule.values has 3 entries and datamodule.classes 2: give one for each class"),
        ({"values": [0, RED]}, r"must be all numbers from 0 on, or all colours .*, got \[0, \[255, 0, 0\]\] and \[\]"),
        ({"values": [0, 1], "ignore": [RED]}, r"must be all numbers from 0 on, or all colours"),
        ({"values": [BLACK, [0, 0, 256]]}, r"must be all numbers from 0 on, or all colours"),
        ({"values": [0, -1]}, r"must be all numbers from 0 on, or all colours"),
        (
            {"values": [0, 1], "ignore": [1]},
            r"datamodule.values and datamodule.ignore name 1 twice: a pixel has one class",
        ),
        ({"classes": [f"class {i}" for i in range(256)]}, r"datamodule.classes has 256 names: masks hold at most 255"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        image_masks(tmp_path, **settings)


def test_classes_and_colours_from_the_command_line() -> None:
    """Lists take the place of the defaults, where a mapping would be merged with them."""
    overrides = [
        "datamodule.classes=[road,sky]",
        "datamodule.values=[[128,64,128],[70,130,180]]",
        "datamodule.ignore=[[0,0,0]]",
    ]
    config = compose("train", ["experiment=none", "method=dgm_segmentation", "datamodule=image_masks", *overrides])
    assert config.datamodule.classes == ["road", "sky"]
    assert config.datamodule["values"] == [[128, 64, 128], [70, 130, 180]]
