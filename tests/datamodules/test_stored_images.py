"""Original files, prepared sets and what is said where they do not fit."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

import datamodules.prepared_set
import datamodules.splits
from benchmarks.harness import resident
from datamodules.batches import ChosenRows, EvaluationBatches
from datamodules.cifar import CIFAR10
from datamodules.digits import Digits
from datamodules.ffhq import FFHQ
from datamodules.imagenet import ImageNet
from datamodules.images import OwnImages
from datamodules.mnist import MNIST, FashionMNIST
from datamodules.preparation import prepare
from datamodules.prepared_set import images_file, labels_file, read_split
from datamodules.stored_images import read_idx
from generative.rendering.images import fingerprint, from_uint8
from launch.build import ask_the_data
from launch.compose import compose
from metrics.image_sets import ImagesInMemory
from tests.support.layouts import noise, write_classes, write_flat, write_idx, write_mnist, write_pictures, write_zip

SETTINGS = {"batch_size": 4, "seed": 0}
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def test_idx_files_packed_or_not(tmp_path: Path) -> None:
    values = noise(5, 4, 3, seed=0)
    write_idx(tmp_path, "images", values)
    assert (read_idx(tmp_path, "images") == values).all()
    (tmp_path / "plain").write_bytes(gzip.decompress((tmp_path / "images.gz").read_bytes()))
    assert (read_idx(tmp_path, "plain") == values).all()
    assert read_idx(tmp_path, "nothing") is None
    (tmp_path / "plain").write_bytes((tmp_path / "plain").read_bytes()[:-1])
    with pytest.raises(ValueError, match="plain is no whole IDX file"):
        read_idx(tmp_path, "plain")
    (tmp_path / "images.gz").write_bytes((tmp_path / "images.gz").read_bytes()[:20])
    with pytest.raises(ValueError, match=r"images\.gz cannot be read"):
        read_idx(tmp_path, "images")
    (tmp_path / "short").write_bytes(b"\0\0")
    with pytest.raises(ValueError, match="short is no whole IDX file"):
        read_idx(tmp_path, "short")


def test_a_part_of_a_set_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mnist(tmp_path / "mnist")
    images, labels = MNIST(data_dir=str(tmp_path / "mnist"), resolution=28, **SETTINGS).split("test")
    assert images.shape == (20, 1, 28, 28)
    assert labels.tolist() == list(range(10)) * 2
    assert "has 20 test images, the published MNIST 10000" in capsys.readouterr().err


def test_digits_at_other_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mnist(tmp_path / "mnist")
    small = MNIST(data_dir=str(tmp_path / "mnist"), resolution=16, **SETTINGS)
    large = small.at_resolution(32)
    assert large.image_shape == (1, 32, 32)
    assert small.image_shape == (1, 16, 16)
    blocks = large.split("test")[0].float().unflatten(3, (16, 2)).unflatten(2, (16, 2)).mean(dim=(3, 5))
    assert (small.split("test")[0] - blocks).abs().max() <= 0.5, "means over blocks, rounded"
    assert torch.equal(small.at_resolution(16).split("train")[0], small.split("train")[0])
    whole = small.at_resolution(28).split("test")[0].float()
    for side in (14, 7):  # of the images without their border
        means = whole.unflatten(3, (side, -1)).unflatten(2, (side, -1)).mean(dim=(3, 5))
        assert (small.at_resolution(side).split("test")[0] - means).abs().max() <= 0.5
    with pytest.raises(ValueError, match="digits has images of 8 x 8 pixels only"):
        Digits(batch_size=4, seed=0).at_resolution(16)


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist")
    write_idx(tmp_path / "mnist", "train-labels-idx1-ubyte", np.zeros(3))
    with pytest.raises(ValueError, match="has 60 train images and 3 labels"):
        MNIST(data_dir=str(tmp_path / "mnist"), resolution=28, **SETTINGS).split("train")
    with pytest.raises(ValueError, match="20 does not divide a picture of 32 x 32"):
        MNIST(data_dir=str(tmp_path / "mnist"), resolution=20, **SETTINGS).split("test")


def write_cifar10(root: Path) -> np.ndarray:
    """The published pickles with two images each."""
    folder = root / datasets.CIFAR10.base_folder
    folder.mkdir(parents=True)
    pixels = noise(12, 3 * 32 * 32, seed=0)
    for number, name in enumerate([f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]):
        part = {"data": pixels[2 * number : 2 * number + 2], "labels": [number, 9]}
        (folder / name).write_bytes(pickle.dumps(part))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"c{i}" for i in range(10)]}))
    return pixels.reshape(12, 3, 32, 32)


def test_cifar_in_its_published_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = write_cifar10(tmp_path)
    with pytest.raises(ValueError, match=r"CIFAR-10 in .* is damaged or incomplete: Dataset not found or corrupted"):
        CIFAR10(data_dir=str(tmp_path), resolution=32, **SETTINGS).split("train")
    # The checksums of the published files are torchvision's business; these are made up.
    monkeypatch.setattr(datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *args: True)
    images, labels = CIFAR10(data_dir=str(tmp_path), resolution=32, **SETTINGS).split("train")
    assert torch.equal(images, torch.from_numpy(pixels[:10]))
    assert labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    small, _ = CIFAR10(data_dir=str(tmp_path), resolution=8, **SETTINGS).split("test")
    means = pixels[10:].reshape(2, 3, 8, 4, 8, 4).mean(axis=(3, 5))
    assert np.abs(small.numpy() - means).max() <= 0.5 + 1e-6


def test_prepared_sets_that_do_not_fit(tmp_path: Path) -> None:
    write_classes(tmp_path, "three", ["a", "b", "c"], side=8, resolution=16)
    settings = {"data_dir": str(tmp_path / "three"), **SETTINGS}
    assert OwnImages(resolution=16, num_classes=3, **settings).split("test")[0].shape == (6, 3, 16, 16)
    with pytest.raises(ValueError, match="prepared at 16 pixels, not at 32: prepare it into another folder"):
        OwnImages(resolution=32, num_classes=3, **settings).split("train")
    for other in (2, 10):
        with pytest.raises(
            ValueError, match=f"was prepared with 3 classes, and datamodule.num_classes is {other}: leave it out"
        ):
            OwnImages(resolution=16, num_classes=other, **settings).split("train")
    with pytest.raises(ValueError, match=r"prepared with 3 classes, and CIFAR-10 is configured with 10: .*=images"):
        CIFAR10(resolution=16, **settings).split("train")
    with pytest.raises(ValueError, match=r"holds images of \(3, 16, 16\).*configured for \(1, 16, 16\)"):
        OwnImages(resolution=16, num_classes=3, channels=1, **settings).split("train")
    with pytest.raises(ValueError, match="wnids such as n01440764, not a"):
        ImageNet(resolution=16, **settings).split("train")
    with pytest.raises(ValueError, match=r"channels must be 1 \(grey\) or 3 \(colour\), got 4"):
        OwnImages(resolution=16, num_classes=3, channels=4, **settings)
    with pytest.raises(ValueError, match="resolution must be at least 1 pixel, got 0"):
        OwnImages(resolution=0, num_classes=3, **settings)


def test_the_number_of_classes_is_that_of_the_prepared_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"data_dir": str(tmp_path / "three"), "resolution": 16, **SETTINGS}
    with pytest.raises(
        ValueError, match=r"the set is not in \S+three: take your folder, .* as SOURCE; then `python -m"
    ):
        _ = OwnImages(**settings).num_classes
    write_classes(tmp_path, "three", ["a", "b", "c"], side=8, resolution=16)
    capsys.readouterr()
    asked = OwnImages(**settings)
    assert asked.num_classes == asked.at_resolution(8).num_classes == 3
    assert asked.split("test")[1].unique().tolist() == [0, 1, 2]
    assert capsys.readouterr().err == ""
    without = OwnImages(num_classes=0, **settings)
    assert without.num_classes == 0
    without.split("train"), without.split("test")
    (line,) = capsys.readouterr().err.splitlines()
    assert "three has 3 classes, and this run does without them: datamodule.num_classes=0" in line
    write_flat(tmp_path, "flat", resolution=16)
    settings["data_dir"] = str(tmp_path / "flat")
    assert OwnImages(**settings).num_classes == 0
    with pytest.raises(ValueError, match=r"flat was prepared with no classes, and datamodule\.num_classes is 2: leave"):
        OwnImages(num_classes=2, **settings).split("train")


def test_a_run_writes_down_the_classes_and_channels_that_it_found(tmp_path: Path) -> None:
    write_classes(tmp_path, "three", ["a", "b", "c"], side=8, resolution=16)
    arguments = ["experiment=none", "datamodule=images", f"datamodule.data_dir={tmp_path / 'three'}", "run_dir=nowhere"]
    config = compose("train", arguments)
    ask_the_data(config)
    assert config.datamodule.num_classes == 3
    assert config.datamodule.channels == 3
    write_pictures(tmp_path / "grey", [f"{number}.png" for number in range(20)], side=16, seed=0, channels=1)
    prepare(tmp_path / "grey", tmp_path / "grey_set", resolutions=[16])
    config = compose("train", [*arguments, f"datamodule.data_dir={tmp_path / 'grey_set'}"])
    ask_the_data(config)
    assert (config.datamodule.num_classes, config.datamodule.channels) == (0, 1)
    config = compose("train", [*arguments, "datamodule.num_classes=0"])
    ask_the_data(config)
    assert config.datamodule.num_classes == 0


def test_a_tenth_is_held_out_of_a_set_without_a_test_split(tmp_path: Path) -> None:
    write_flat(tmp_path, "faces", resolution=16)
    faces = FFHQ(data_dir=str(tmp_path / "faces"), resolution=16, **SETTINGS)
    whole = read_split(tmp_path / "faces", "train", 16)[0]
    train, test = faces.split("train")[0], faces.split("test")[0]
    assert torch.equal(train, whole[:36])
    assert torch.equal(test, whole[36:])
    write_zip(tmp_path / "two.zip", [f"{label}/{i}.png" for label in "ab" for i in range(20)], side=8)
    prepare(tmp_path / "two.zip", tmp_path / "two", resolutions=[16])
    two = OwnImages(data_dir=str(tmp_path / "two"), resolution=16, num_classes=2, **SETTINGS)
    assert two.split("test")[1].tolist() == [0, 0, 1, 1], "of each class"
    assert len(two.split("train")[1]) == 36


def test_fashion_mnist_as_debian_packs_it() -> None:
    if not DEBIAN.exists():
        pytest.skip("needs Debian's package dataset-fashion-mnist")
    data = FashionMNIST(data_dir=str(DEBIAN), resolution=28, **SETTINGS)
    images, labels = data.split("train")
    assert images.shape == (60_000, 1, 28, 28)
    assert labels.bincount().tolist() == [6000] * 10
    # The mean that everyone normalises by.
    assert float(images.double().mean() / 255) == pytest.approx(0.2860, abs=5e-5)
    assert len(data.split("test")[0]) == 10_000


def write_prepared(folder: Path, splits: dict[str, int], *, side: int, classes: list[str]) -> None:
    """Random pictures, as `prepare` leaves them but for their fingerprints, which sets of earlier versions lack."""
    folder.mkdir()
    generator = np.random.Generator(np.random.Philox(key=0))
    for split, count in splits.items():
        (folder / images_file(split, side)).write_bytes(generator.bytes(count * side * side * 3))
        (np.arange(count) % max(1, len(classes))).astype(np.int64).tofile(folder / labels_file(split))
    facts = {"format": 1, "resolutions": [side], "channels": 3, "classes": classes, "seconds": 0}
    facts["splits"] = {split: {"count": count} for split, count in splits.items()}
    (folder / "prepared.json").write_text(json.dumps(facts))


@pytest.mark.parametrize("splits", [{"train": 3000, "test": 1000}, {"train": 4000}])
@pytest.mark.parametrize("classes", [["a", "b", "c"], []])
def test_a_large_set_stays_on_the_disk(
    splits: dict[str, int], classes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of its images, also where every tenth is held out: under a tenth of them in memory, and the right ones."""
    write_prepared(tmp_path / "set", splits, side=64, classes=classes)
    settings = {"data_dir": str(tmp_path / "set"), "resolution": 64, "num_classes": len(classes), **SETTINGS}
    copied = ImagesInMemory("in memory", *OwnImages(**settings).split("all"))
    size = copied.tensor[:].numel()
    assert size == 4000 * 3 * 64 * 64
    expected = copied.fingerprint()
    some = copied.images(2990, 30)
    for module in (datamodules.prepared_set, datamodules.splits):
        monkeypatch.setattr(module, "MOST_IN_MEMORY", 2**20)
    before = resident("RssAnon")
    datamodule = OwnImages(**settings)
    images = ImagesInMemory("on disk", *datamodule.split("all"))
    first = images.images(0, 64)
    assert 1024 * (resident("RssAnon") - before) < size / 10
    assert torch.equal(first, copied.images(0, 64))
    assert torch.equal(images.images(2990, 30), some), "also where one split ends and the other begins"
    assert torch.equal(images.select([3999, 5, 3001]), copied.select([3999, 5, 3001]))
    assert torch.equal(images.known_labels, copied.known_labels)
    assert images.fingerprint() == expected
    batch = next(iter(EvaluationBatches(datamodule.rows("train"), batch_size=7, rank=0, world_size=1)))
    assert torch.equal(batch["image"], from_uint8(images.images(0, 7)))


@pytest.mark.parametrize("test", ["test", "val", None])
def test_fingerprints_are_those_of_the_images(test: str | None, tmp_path: Path) -> None:
    """What `prepare` has written down is what a pass over the images would find; sets without it are passed over once."""
    names = [f"{split}/{i}.png" for split, count in (("train", 30), (test, 10)) if split for i in range(count)]
    write_zip(tmp_path / "two.zip", names, side=8)
    prepare(tmp_path / "two.zip", tmp_path / "two", resolutions=[8, 16])
    settings = {"data_dir": str(tmp_path / "two"), "num_classes": 0, **SETTINGS}
    for resolution in (8, 16):
        datamodule = OwnImages(resolution=resolution, **settings)
        for split in ("train", "test", "all"):
            known = datamodule.known_fingerprint(split)
            assert known == fingerprint(datamodule.split(split)[0]) or (known is None and test is None)
        assert datamodule.known_fingerprint("all") is not None
    facts = json.loads((tmp_path / "two" / "prepared.json").read_text())
    del facts["fingerprints"]
    (tmp_path / "two" / "prepared.json").write_text(json.dumps(facts))
    assert datamodule.known_fingerprint("all") is None


@pytest.mark.parametrize("splits", [{"train": 60, "test": 21}, {"train": 60}])
def test_classes_are_those_that_are_asked_for(splits: dict[str, int], tmp_path: Path) -> None:
    """In the order of the set, under the labels and the name that tell which they are."""
    write_prepared(tmp_path / "set", splits, side=8, classes=["a", "b", "c"])
    facts = json.loads((tmp_path / "set" / "prepared.json").read_text())
    facts["fingerprints"] = {"8": {"train": "of the whole set", "test": "of the whole set", "all": "of the whole set"}}
    (tmp_path / "set" / "prepared.json").write_text(json.dumps(facts))
    settings = {"data_dir": str(tmp_path / "set"), "resolution": 8, **SETTINGS}
    whole, some = OwnImages(**settings), OwnImages(classes=[2, 0], **settings)
    for split in ("train", "test", "all"):
        images, labels = whole.split(split)
        kept = labels != 1
        found = some.split(split)
        assert 0 < len(found[1]) < len(labels)
        assert torch.equal(found[0][:], images[:][kept])
        assert torch.equal(found[1], labels[kept])
        assert some.known_fingerprint(split) is None
    assert (some.name, some.num_classes, some.at_resolution(8).name) == ("ownimages_2_0", 3, "ownimages_2_0")
    assert torch.equal(some.at_resolution(8).split("test")[1], some.split("test")[1])


def test_a_class_of_a_large_set_stays_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_prepared(tmp_path / "set", {"train": 60, "test": 21}, side=8, classes=["a", "b", "c"])
    settings = {"data_dir": str(tmp_path / "set"), "resolution": 8, "classes": [1], **SETTINGS}
    expected = OwnImages(**settings).split("train")[0]
    for module in (datamodules.prepared_set, datamodules.splits):
        monkeypatch.setattr(module, "MOST_IN_MEMORY", 2**10)
    found = OwnImages(**settings).split("train")[0]
    assert isinstance(found, ChosenRows)
    assert torch.equal(found[:], expected)


def test_classes_that_are_none(tmp_path: Path) -> None:
    write_prepared(tmp_path / "set", {"train": 30, "test": 10}, side=8, classes=["a", "b", "c"])
    settings = {"data_dir": str(tmp_path / "set"), "resolution": 8, **SETTINGS}
    with pytest.raises(ValueError, match="set has no image of class 3: it has classes 0 to 2"):
        OwnImages(classes=[0, 3], **settings).split("train")
    with pytest.raises(ValueError, match="set has no image of class 0: it has no classes"):
        OwnImages(classes=[0], num_classes=0, **settings).split("train")
    for classes in ([], [1, 1]):
        with pytest.raises(ValueError, match=r"datamodule\.classes names at least one class, each once, got \["):
            OwnImages(classes=classes, **settings)
