"""VOC 2012 and Cityscapes: where the files lie, what a mask says, and what is said where they do not fit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from datamodules.batches import as_batch
from datamodules.cityscapes import Cityscapes
from datamodules.segmentation import SegmentationDataModule
from datamodules.voc import VOC2012
from generative.rendering.images import to_uint8
from generative.rendering.masks import NO_CLASS
from tests.support.layouts import write_cityscapes, write_voc

SETTINGS = {"scales": [0.5, 2.0], "flip": True, "batch_size": 4, "seed": 0}


@pytest.fixture
def voc_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "VOCdevkit" / "VOC2012"
    write_voc(folder, per_split=3)
    return folder


@pytest.fixture
def city_folder(tmp_path: Path) -> Path:
    write_cityscapes(tmp_path / "cityscapes", per_city=2)
    return tmp_path / "cityscapes"


def voc(folder: Path, **settings: Any) -> VOC2012:
    return VOC2012(**({"data_dir": str(folder), "resolution": 48, "crop_size": 32} | SETTINGS | settings))


def cityscapes(folder: Path, **settings: Any) -> Cityscapes:
    return Cityscapes(**({"data_dir": str(folder), "resolution": 40, "crop_size": 32} | SETTINGS | settings))


def shown(datamodule: SegmentationDataModule, split: str) -> dict[str, Any]:
    """All images of a split, as a batch of it shows them."""
    rows = datamodule.rows(split)
    augmentation = datamodule.augmentation if split == "train" else None
    return as_batch(rows, torch.arange(len(rows["image"])), 0, augmentation)


def test_voc_is_found_at_three_places_and_shown_whole(voc_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    batches = [shown(voc(folder), "test") for folder in (voc_folder, voc_folder.parent, voc_folder.parent.parent)]
    assert all(torch.equal(batch["image"], batches[0]["image"]) for batch in batches)
    assert "has 3 test images, the published PASCAL VOC 2012 1449" in capsys.readouterr().err
    theirs = datasets.VOCSegmentation(str(voc_folder.parent.parent), image_set="val")
    for (picture, mask), image, ours in zip(theirs, to_uint8(batches[0]["image"]), batches[0]["mask"], strict=True):
        height, width = picture.height, picture.width
        assert torch.equal(image[:, :height, :width].permute(1, 2, 0), torch.from_numpy(np.array(picture)))
        assert torch.equal(ours[:height, :width], torch.from_numpy(np.array(mask)))
        assert not image[:, height:].any()
        assert not image[:, :, width:].any()
        assert (ours[height:] == NO_CLASS).all()
        assert (ours[:, width:] == NO_CLASS).all()
    assert len(VOC2012.target_classes) == 21


def test_cityscapes_counts_nineteen_of_its_classes(city_folder: Path) -> None:
    batch = shown(cityscapes(city_folder), "test")
    theirs = datasets.Cityscapes(str(city_folder), split="val", target_type="semantic")
    classes = {row.id: row.train_id for row in theirs.classes}
    assert len(theirs) == len(batch["mask"]) == 4
    for picture, ids in theirs:
        known = [
            torch.equal(image.permute(1, 2, 0), torch.from_numpy(np.array(picture)))
            for image in to_uint8(batch["image"])
        ]
        expected = np.vectorize(classes.get)(np.array(ids))
        assert (batch["mask"][known.index(True)].numpy() == expected).all()
    assert {NO_CLASS, 0, 18} <= set(batch["mask"].unique().tolist())
    assert Cityscapes.target_classes[:2] == ("road", "sidewalk")
    assert Cityscapes.target_classes[18] == "bicycle"
    assert len(Cityscapes.target_classes) == 19


def test_cityscapes_at_half_its_height(city_folder: Path) -> None:
    whole, half = (shown(cityscapes(city_folder, resolution=side), "test") for side in (40, 20))
    assert half["image"].shape == (4, 3, 20, 40)
    assert torch.equal(half["mask"], whole["mask"][:, 1::2, 1::2]), "the nearest pixel, never a mean of classes"
    means = torch.nn.functional.interpolate(whole["image"], size=(20, 40), mode="bilinear", antialias=True)
    assert (half["image"] - means).abs().max() < 0.02


def test_training_crops_lie_within_the_photo(voc_folder: Path) -> None:
    """Not within its black square: at scale 1 a crop smaller than the photo has nothing of the square."""
    datamodule = voc(voc_folder, crop_size=24, scales=[1.0, 1.0], resolution=400)
    for first in range(20):
        batch = as_batch(datamodule.rows("train"), torch.arange(3), first, datamodule.augmentation)
        assert batch.keys() == {"image", "label", "mask", "index", "first_number"}
        assert batch["image"].shape == (3, 3, 24, 24)
        assert (to_uint8(batch["image"])[:, 0] >= 1).all(), "the red of made-up photos is at least 6"


def test_flip_is_a_setting(voc_folder: Path) -> None:
    """Of crops of the whole photo at scale 1: with flip some are mirrored, without none."""
    for flip in (True, False):
        datamodule = voc(voc_folder, crop_size=48, scales=[1.0, 1.0], flip=flip)
        plain = datamodule.rows("train")["mask"][torch.arange(3)]
        masks = [
            as_batch(datamodule.rows("train"), torch.arange(3), 3 * i, datamodule.augmentation)["mask"]
            for i in range(8)
        ]
        mirrored = [
            (torch.equal(mask, whole.flip(1)), torch.equal(mask, whole))
            for m in masks
            for mask, whole in zip(m, plain, strict=True)
        ]
        assert all(one or other for one, other in mirrored)
        assert (0 < sum(one for one, _ in mirrored) < len(mirrored)) == flip


def test_masks_of_sbd(voc_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its list gives paths, in one common edition; what is tested on stays out of it."""
    listing = voc_folder / "ImageSets" / "Segmentation" / "trainaug.txt"
    with pytest.raises(ValueError, match=r"trainaug\.txt is missing: put SBD's list there .*augmented=false"):
        voc(voc_folder, augmented=True).split("train")
    listing.write_text("/JPEGImages/2007_000001.jpg /SegmentationClassAug/2007_000001.png\n\n")
    (voc_folder / "SegmentationClassAug").mkdir()
    Image.fromarray(np.full((31, 43), 7, np.uint8)).save(voc_folder / "SegmentationClassAug" / "2007_000001.png")
    datamodule = voc(voc_folder, augmented=True)
    assert shown(datamodule, "train")["mask"].unique().tolist() in ([7], [7, NO_CLASS])
    assert len(datamodule.split("test")[0]) == 3
    assert "has 1 train images, the published PASCAL VOC 2012 10582" in capsys.readouterr().err
    listing.write_text("2007_000001\n2008_000002\n")
    with pytest.raises(ValueError, match=r"1 images of .*, such as 2008_000002, are in the lists of both splits"):
        voc(voc_folder, augmented=True).split("train")


def test_only_download_goes_to_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(root: str, **settings: object) -> None:
        assert settings == {"year": "2012", "download": True}
        write_voc(Path(root) / "VOCdevkit" / "VOC2012", per_split=2)

    def refuse(root: str, **settings: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(datasets, "VOCSegmentation", refuse)
    with pytest.raises(ValueError, match=rf"PASCAL VOC 2012 is not in {tmp_path}: unpack VOCtrainval.*download=true"):
        voc(tmp_path).split("train")
    with pytest.raises(ValueError, match=r"cannot be downloaded \(no route to host\): fetch VOCtrainval_11-May-2012"):
        voc(tmp_path, download=True).split("train")
    monkeypatch.setattr(datasets, "VOCSegmentation", fetch)
    assert len(voc(tmp_path, download=True).split("train")[0]) == 2


def test_voc_files_that_are_missing_or_do_not_fit(voc_folder: Path) -> None:
    """Before a run starts, by the headers of all files."""
    image, mask = voc_folder / "JPEGImages" / "2007_000001.jpg", voc_folder / "SegmentationClass" / "2007_000001.png"
    with pytest.raises(
        ValueError, match=r"2007_000000.jpg is 30 x 44 pixels, larger than datamodule.resolution=43: give 44"
    ):
        voc(voc_folder, resolution=43).split("train")
    mask_bytes = mask.read_bytes()
    Image.open(mask).crop((0, 0, 20, 30)).save(mask)
    with pytest.raises(ValueError, match=rf"{mask} is 30 x 20 pixels and its image 31 x 43: both must have one size"):
        voc(voc_folder).split("train")
    mask.unlink()
    with pytest.raises(ValueError, match=rf"{mask} is missing: fetch the set again"):
        voc(voc_folder).split("train")
    mask.write_bytes(mask_bytes)
    image_bytes = image.read_bytes()
    image.write_bytes(b"")
    with pytest.raises(ValueError, match=rf"{image} is not a readable image \(no known format of images\): fetch it"):
        voc(voc_folder).split("train")
    image.unlink()
    with pytest.raises(ValueError, match=rf"{image} is missing: fetch the set again"):
        voc(voc_folder).split("train")
    image.write_bytes(image_bytes)
    lists = voc_folder / "ImageSets" / "Segmentation"
    (lists / "train.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"the train split of .* has no images"):
        voc(voc_folder).split("train")
    (lists / "val.txt").unlink()
    with pytest.raises(ValueError, match=rf"{lists / 'val.txt'} is missing: unpack the archive again"):
        voc(voc_folder).split("test")


def test_contents_that_cannot_be_read(voc_folder: Path) -> None:
    """Before a run starts, or, of images and in sets of many masks, when a batch asks for them: the file is named."""
    image, mask = voc_folder / "JPEGImages" / "2007_000001.jpg", voc_folder / "SegmentationClass" / "2007_000001.png"
    for path, words in ((image, "is not a readable image: image"), (mask, r"cannot be read \(image")):
        content = path.read_bytes()
        path.write_bytes(content[:-40])
        with pytest.raises(ValueError, match=rf"{path} {words} file is truncated"):
            shown(voc(voc_folder), "train")
        path.write_bytes(content)
    pixels = np.array(Image.open(mask))
    pixels[4, 9] = 34
    Image.fromarray(pixels).save(mask)
    with pytest.raises(ValueError, match=rf"{mask} holds the value 34, which is no class of PASCAL VOC 2012"):
        shown(voc(voc_folder), "train")
    Image.fromarray(pixels).convert("RGB").save(mask)
    with pytest.raises(ValueError, match=rf"{mask} is a picture of colours \(RGB\), not of class numbers"):
        shown(voc(voc_folder), "train")


def test_objects_under_the_value_of_borders_are_no_voc(voc_folder: Path) -> None:
    """255 stands for none there: of masks of 0 and 255, as many draw them, no object would count."""
    for mask in (voc_folder / "SegmentationClass").iterdir():
        pixels = np.array(Image.open(mask))
        Image.fromarray(np.where(pixels > 0, 255, 0).astype(np.uint8)).save(mask)
    with pytest.raises(
        ValueError, match=r"no class but 0 \(background\) and 255, .*: if .* take datamodule=image_masks"
    ):
        voc(voc_folder).split("train")
    Image.fromarray(np.full((30, 44), 3, np.uint8)).save(voc_folder / "SegmentationClass/2007_000000.png")
    assert set(shown(voc(voc_folder, flip=False), "train")["mask"].unique().tolist()) <= {0, 3, 255}


def test_train_ids_under_the_name_of_ids_are_no_cityscapes(city_folder: Path) -> None:
    """7 is road by id, 0 by train id: a mask of train ids says nothing of most of its pixels."""
    to_train_ids = np.full(256, NO_CLASS, np.uint8)
    for row in datasets.Cityscapes.classes:
        to_train_ids[row.id] = row.train_id if row.train_id >= 0 else NO_CLASS
    masks = sorted((city_folder / "gtFine/train").glob("*/*_labelIds.png"))
    for mask in masks:
        Image.fromarray(to_train_ids[np.array(Image.open(mask))]).save(mask)
    with pytest.raises(
        ValueError, match=rf"{masks[0]} and .* are train ids under the name of ids, and roads would count"
    ):
        cityscapes(city_folder).split("train")
    for mask in masks:
        mask.rename(mask.with_name(mask.name.replace("_labelIds", "_labelTrainIds")))
    with pytest.raises(
        ValueError, match=rf"{masks[0]} is missing, and .*_labelTrainIds.png is there: the ids, labelIds"
    ):
        cityscapes(city_folder).split("train")


def test_cityscapes_files_that_are_missing_or_do_not_fit(city_folder: Path) -> None:
    mask = city_folder / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"
    Image.fromarray(np.full((40, 80), 40, np.uint8)).save(mask)
    with pytest.raises(ValueError, match=rf"{mask} holds the value 40, which is no class of Cityscapes"):
        shown(cityscapes(city_folder), "train")
    for path in (mask, city_folder / "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png"):
        Image.fromarray(np.zeros((40, 60), np.uint8)).save(path)
    with pytest.raises(ValueError, match="is 40 x 60 pixels, not twice as wide as high"):
        cityscapes(city_folder).split("train")
    mask.unlink()
    with pytest.raises(ValueError, match=rf"{mask} is missing: fetch the set again"):
        cityscapes(city_folder).split("train")
    shutil.rmtree(city_folder / "gtFine")
    with pytest.raises(ValueError, match=r"Cityscapes is not in .*: unpack .*; .*gtFine/val is missing"):
        cityscapes(city_folder).split("test")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop_size": 0}, "crop_size must be at least 1 pixel, got 0"),
        ({"resolution": 0}, "resolution must be at least 1 pixel, got 0"),
        ({"scales": [2.0, 0.5]}, r"scales must be the smallest and the largest, such as \[0.5, 2.0\], got"),
        ({"scales": [1.0]}, "scales must be the smallest and the largest"),
        ({"scales": [0.0, 1.0]}, "scales must be the smallest and the largest"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        voc(tmp_path, **settings)
