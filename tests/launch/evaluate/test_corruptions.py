"""The mean corruption error of a checkpoint, over made-up folders of ImageNet-C and over images computed instead."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from datamodules.corruptions import KINDS
from datamodules.preparation import prepare
from launch.build import build
from launch.checkpoint import AtomicCheckpointIO
from launch.compose import compose, plain
from lightning_modules.classification import Classification
from metrics.robustness import ALEXNET_CLEAN_ERROR, ALEXNET_ERRORS
from tests.datamodules.test_corruptions import stand_in_for_package
from tests.support.layouts import WNIDS, write_classes, write_imagenet_c
from tests.test_evaluate import evaluated


def write_photos(folder: Path, wnids: list[str], *, side: int) -> Path:
    """One photo a class."""
    write_imagenet_c(folder, wnids=wnids, side=side)
    for photo in folder.glob("1/*/*"):
        if not photo.stem.endswith("0"):
            photo.unlink()
    return folder / "1"


def save_classifier(path: Path, *overrides: str) -> Path:
    """A tiny network that calls every image the first class."""
    small = ("method=dgm", "method.backbone.channels=4", "method.backbone.blocks=[1,0]", "max_kimg=1")
    config = plain(compose("train", ["experiment=none", *small, "run_dir=nowhere", *overrides]))
    _, method = build(config)
    assert isinstance(method, Classification)
    with torch.no_grad():
        classifier = method.averaged_network.classifier
        classifier.weight.zero_()
        classifier.bias.zero_()
        classifier.bias[0] = 1.0
    state = {"config": config | {"experiment_name": "none"}, "images_seen": 0, "state_dict": method.state_dict()}
    AtomicCheckpointIO().save_checkpoint(state, path)
    return path


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four classes of ImageNet; all of ImageNet-C, where noise has the first class alone and the rest one more."""
    monkeypatch.setenv("POLYMORPH_DATA", str(tmp_path))
    write_classes(tmp_path, "imagenet", WNIDS, side=32, resolution=32, test="val")
    first = write_photos(tmp_path / "made1", WNIDS[:1], side=224)
    both = write_photos(tmp_path / "made2", WNIDS[:2], side=224)
    for kind, names in KINDS.items():
        for name in names:
            folder = tmp_path / "imagenet_c" / kind / name
            folder.mkdir(parents=True)
            for severity in range(1, 6):
                (folder / str(severity)).symlink_to(first if kind == "noise" else both)
    return tmp_path


OF_IMAGENET = ("datamodule=imagenet", "datamodule.resolution=32", "method.backbone.patch_size=16")


def test_the_published_sets_in_units_of_alexnet(data: Path) -> None:
    checkpoint = save_classifier(data / "last.ckpt", *OF_IMAGENET)
    record = evaluated(f"checkpoint={checkpoint}", "corruptions=all", "batch_size=12", "output=results.jsonl")
    halves = [ALEXNET_ERRORS[name] for name in ALEXNET_ERRORS if not name.endswith("_noise")]
    metrics = record["metrics"]
    assert metrics["clean_error"] == pytest.approx(0.75)
    assert metrics["mce"] == pytest.approx(sum(0.5 / error for error in halves) / 15)
    assert metrics["ce_shot_noise"] == 0
    assert metrics["ce_fog"] == pytest.approx(0.5 / ALEXNET_ERRORS["fog"])
    added = [(0.0 if name.endswith("_noise") else 0.5) - 0.75 for name in ALEXNET_ERRORS]
    relative = [a / (error - ALEXNET_CLEAN_ERROR) for a, error in zip(added, ALEXNET_ERRORS.values(), strict=True)]
    assert metrics["relative_mce"] == pytest.approx(sum(relative) / 15)
    assert len(metrics) == 3 + 15
    assert record["errors"]["fog"] == [0.5] * 5
    assert record["num_images"] == 5 * (3 * 1 + 12 * 2)
    assert record["protocol"]["task"] == "corruptions"
    assert record["protocol"]["data"] == "imagenet_c:test"
    assert record["protocol"]["clean_data"] == "imagenet:test"


def test_missing_sets_are_named_all_at_once(data: Path) -> None:
    checkpoint = save_classifier(data / "last.ckpt", *OF_IMAGENET)
    shutil.rmtree(data / "imagenet_c/weather/fog")
    for severity in (2, 4):
        (data / "imagenet_c/blur/zoom_blur" / str(severity)).unlink()
    with pytest.raises(ValueError, match="of ImageNet-C") as caught:
        evaluated(f"checkpoint={checkpoint}", "corruptions=all")
    assert str(caught.value) == (
        f"7 of the 75 sets of ImageNet-C are not in {data / 'imagenet_c'} (zoom_blur 2, 4; fog): unpack blur.tar, "
        "weather.tar there (Zenodo, record 2235448), or give corruptions=regenerated to compute all of them from ImageNet"
    )


def test_computed_images_are_named_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_package(monkeypatch)
    monkeypatch.setenv("POLYMORPH_DATA", str(tmp_path))
    shutil.move(write_photos(tmp_path / "made", WNIDS[1:3], side=256), tmp_path / "photos/val")
    prepare(tmp_path / "photos", tmp_path / "imagenet", resolutions=[256])
    checkpoint = save_classifier(
        tmp_path / "last.ckpt", "datamodule=imagenet", "datamodule.resolution=256", "method.backbone.patch_size=128"
    )
    record = evaluated(f"checkpoint={checkpoint}", "corruptions=regenerated", "output=results.jsonl")
    assert record["protocol"]["data"] == "imagenet_c_regenerated:test"
    metrics = record["metrics"]
    assert metrics["mce_regenerated"] == pytest.approx(sum(1 / error for error in ALEXNET_ERRORS.values()) / 15)
    assert "mce" not in metrics
    assert all(name == "clean_error" or name.endswith("_regenerated") for name in metrics)


def test_what_cannot_be_tested_on_it_is_refused(tmp_path: Path, small_run: Callable) -> None:
    digits = save_classifier(tmp_path / "digits.ckpt", "datamodule=digits")
    with pytest.raises(
        ValueError, match=r"1000 classes of colour photos, and .* tells 10 classes of images of 1 channels"
    ):
        evaluated(f"checkpoint={digits}", "corruptions=all")
    with pytest.raises(ValueError, match="corruptions must be all or regenerated, got 'fog'"):
        evaluated(f"checkpoint={digits}", "corruptions=fog")
    with pytest.raises(ValueError, match="seed= has no effect on the corruptions of ImageNet-C: leave it out"):
        evaluated(f"checkpoint={digits}", "corruptions=all", "seed=3")
    with pytest.raises(ValueError, match="num_workers= has no effect on a checkpoint: leave it out"):
        evaluated(f"checkpoint={digits}", "num_workers=2")
    folder, _ = small_run("max_kimg=0.016")
    with pytest.raises(ValueError, match=r"corruptions= tests a classifier, and .* holds a PolyINR"):
        evaluated(f"checkpoint={folder / 'checkpoints/last.ckpt'}", "corruptions=all")
