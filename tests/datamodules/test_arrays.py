"""Arrays in memory and in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.arrays import ArrayFiles, Arrays
from tests.support.layouts import noise

SETTINGS = {"batch_size": 4, "seed": 0}


def test_tensors_as_they_are() -> None:
    images, labels = torch.from_numpy(noise(20, 1, 8, 8, seed=0)), torch.arange(20) % 2
    data = Arrays(train=(images, labels), test=(images[:4] // 2, labels[:4]), num_classes=2, **SETTINGS)
    assert data.image_shape == (1, 8, 8)
    assert torch.equal(data.split("train")[0], images)
    assert torch.equal(data.split("test")[0], images[:4] // 2)
    floats = images.float() / 127.5 - 1
    assert torch.equal(Arrays(train=(floats, labels), num_classes=2, **SETTINGS).split("test")[0], floats[9::10])
    for bad, message in (
        ((images.double(), labels), r"must be uint8 or float32 in \[-1, 1\], got torch.float64"),
        ((images.float(), labels), r"must be uint8 or float32 in \[-1, 1\], got torch.float32 up to 255"),
        ((images, labels + 1), "have labels from 1 to 2, and 2 classes are configured"),
        ((images, labels[:3]), "the train images are 20 and have 3 labels"),
    ):
        with pytest.raises(ValueError, match=message):
            Arrays(train=bad, test=(images, labels), num_classes=2, **SETTINGS).split("train")


def files(folder: Path, *, num_classes: int = 3, test: str | None = None) -> ArrayFiles:
    return ArrayFiles(
        train=str(folder / "train.npz"), test=test, image_shape=[3, 8, 8], num_classes=num_classes, **SETTINGS
    )


def test_files(tmp_path: Path) -> None:
    pixels, labels = noise(30, 8, 8, 3, seed=0), np.arange(30) % 3
    np.savez(tmp_path / "train.npz", pixels, labels)
    data = files(tmp_path)
    assert torch.equal(data.split("test")[0], torch.from_numpy(pixels[9::10]).permute(0, 3, 1, 2))
    assert data.split("train")[1].tolist() == [i % 3 for i in range(30) if i % 10 != 9]
    np.savez(tmp_path / "test.npz", images=pixels[:5], labels=labels[:5])
    data = files(tmp_path, test=str(tmp_path / "test.npz"))
    assert [len(data.split(split)[0]) for split in ("train", "test")] == [30, 5]


def test_classes_that_are_not_used_or_not_there_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "train.npz", noise(30, 8, 8, 3, seed=0), np.array([0, 1, 4] * 10))
    for num_classes, said in (
        (0, "train.npz has 3 classes, and this run does without them: num_classes=0"),
        (5, "2 of 5 classes have no image in"),
    ):
        files(tmp_path, num_classes=num_classes).split("train")
        assert said in capsys.readouterr().err


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    pixels = noise(30, 8, 8, 3, seed=0)
    np.savez(tmp_path / "train.npz", images=pixels)
    with pytest.raises(ValueError, match=r"train.npz holds no labels, and 3 classes are configured: set num_classes=0"):
        files(tmp_path).split("train")
    assert files(tmp_path, num_classes=0).split("train")[1].tolist() == [0] * 27
    np.savez(tmp_path / "train.npz", images=pixels[:, :6], labels=np.zeros(30, np.int64))
    with pytest.raises(ValueError, match=r"train.npz are \(30, 3, 6, 8\), and \[N, 3, 8, 8\] is configured"):
        files(tmp_path).split("train")
    with pytest.raises(ValueError, match="image_shape must be channels, height and width"):
        ArrayFiles(train="a.npz", test=None, image_shape=[8, 8], num_classes=0, **SETTINGS)
