"""Several sets as one: whose images have which class, parts and limits, files that stay files, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.digits import Digits
from datamodules.mnist import MNIST
from datamodules.several_sets import SeveralSets
from generative.rendering.images import fingerprint, to_uint8
from launch.build import ask_the_data
from launch.checkpoint import load_method
from launch.compose import compose
from lightning_modules.regene.module import ReGene
from metrics.splits import real_images
from tests.support.layouts import write_flat, write_mnist, write_pictures, write_several_sets

SIDE = 16


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sets")
    write_flat(root, "prepared", resolution=SIDE)
    write_pictures(root / "loose", [f"{i:02d}.png" for i in range(20)], side=SIDE, seed=1)
    write_pictures(root / "divided" / "train", [f"{i}.png" for i in range(9)], side=SIDE, seed=2)
    write_pictures(root / "divided" / "val", [f"{i}.png" for i in range(3)], side=SIDE, seed=3)
    write_pictures(root / "grey", [f"{i}.png" for i in range(4)], side=SIDE, seed=4, channels=1)
    write_mnist(root / "mnist")
    (root / "empty").mkdir()
    (root / "one" / "alone").mkdir(parents=True)
    return root


def several(root: Path, *names: str, **changes: Any) -> SeveralSets:
    given: dict[str, Any] = {"data_dir": "nowhere", "resolution": SIDE, "batch_size": 4, "seed": 0}
    sets: dict[str, Any] = {name: str(root / name) for name in names}
    return SeveralSets(**(given | {"sets": sets} | changes))


def pixels(folder: Path) -> torch.Tensor:
    """Of the files in a folder, in the order of their names: [N, C, H, W]."""
    return torch.stack(
        [torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) for file in sorted(folder.iterdir())]
    )


def test_a_class_is_a_set_in_the_order_of_the_names_given(places: Path) -> None:
    """Every tenth loose image and the last tenth of a prepared set are held out; ``val`` stands for ``test``."""
    datamodule = several(places, "loose", "prepared", "divided")
    assert (datamodule.num_classes, datamodule.name) == (3, "loose_prepared_divided")
    images, labels = datamodule.split("train")
    assert labels.bincount().tolist() == [18, 36, 9]
    loose = pixels(places / "loose")
    held_out = torch.arange(20) % 10 == 9
    assert torch.equal(images[labels.eq(0).nonzero()[:, 0]], loose[~held_out])
    assert torch.equal(images[labels.eq(2).nonzero()[:, 0]], pixels(places / "divided" / "train"))
    tested, labels = datamodule.split("test")
    assert labels.bincount().tolist() == [2, 4, 3]
    assert torch.equal(tested[:2], loose[held_out])
    assert torch.equal(tested[6:], pixels(places / "divided" / "val"))


def test_images_stay_in_their_files_and_are_brought_to_the_size_when_they_are_shown(places: Path) -> None:
    images, _ = several(places, "loose", "divided", resolution=8, preset="area").split("train")
    assert not isinstance(images, torch.Tensor)
    expected = np.array(Image.open(places / "loose" / "03.png").reduce(2))
    assert torch.equal(images[torch.tensor([3])][0].permute(1, 2, 0), torch.from_numpy(expected))


def test_a_part_of_the_training_images_is_trained_on(places: Path) -> None:
    whole, some = several(places, "loose", "prepared"), several(places, "loose", "prepared", train_part=[0.0, 0.5])
    counts = [len(some.split(part)[1]) for part in ("train", "rest")]
    assert sum(counts) == len(whole.split("train")[1])
    assert min(some.split("train")[1].bincount().tolist()) >= 8, "of each set"
    rows = {image.numpy().tobytes() for part in ("train", "rest") for image in some.split(part)[0][:]}
    assert rows == {image.numpy().tobytes() for image in whole.split("train")[0][:]}
    assert torch.equal(some.split("test")[0][:], whole.split("test")[0][:])


def test_at_most_so_many_of_a_class_spread_over_its_set(places: Path) -> None:
    whole, few = several(places, "prepared", "loose"), several(places, "prepared", "loose", per_class=20)
    images, labels = few.split("train")
    assert labels.bincount().tolist() == [20, 18]
    numbers = torch.arange(20) * 36 // 20
    assert len(numbers.unique()) == 20
    assert torch.equal(images[:20], whole.split("train")[0][numbers])


def test_fingerprints_are_those_of_the_pixels(places: Path) -> None:
    datamodule = several(places, "loose", "prepared")
    images = torch.cat([datamodule.split(part)[0][:] for part in ("train", "test")])
    assert real_images(datamodule, "all").fingerprint() == fingerprint(images)
    other = several(places, "prepared", "loose")
    assert real_images(other, "train").fingerprint() != real_images(datamodule, "train").fingerprint()


def test_data_modules_are_sets_and_their_own_labels_are_left_aside(places: Path) -> None:
    sevens = partial(MNIST, data_dir=str(places / "mnist"), resolution=28, classes=[7])
    others = partial(MNIST, data_dir=str(places / "mnist"), resolution=28, classes=[1, 2])
    datamodule = several(places, sets={"seven": sevens, "others": others}, resolution=28, channels=1)
    images, labels = datamodule.split("train")
    assert labels.tolist() == [0] * 6 + [1] * 12
    assert torch.equal(images[:6], sevens(batch_size=1, seed=0).split("train")[0])


def test_images_in_floats_become_bytes() -> None:
    sets = {"all": Digits, "again": partial(Digits, train_part=[0.0, 0.5])}
    images, labels = several(Path(), sets=sets, resolution=8, channels=1).split("train")
    assert images.dtype == torch.uint8
    assert torch.equal(images[:5], to_uint8(Digits(batch_size=1, seed=0).split("train")[0][:5]))
    assert labels.bincount().tolist() == [1438, 720]


def test_the_folders_of_data_dir_are_sets(tmp_path: Path) -> None:
    write_several_sets(tmp_path)
    (tmp_path / ".hidden").mkdir()
    config = compose("train", ["experiment=none", "datamodule=several_sets", f"datamodule.data_dir={tmp_path}"])
    ask_the_data(config)
    assert config.datamodule.num_classes == 2
    datamodule = several(tmp_path, sets=None, data_dir=str(tmp_path), resolution=64, num_classes=2)
    assert datamodule.split("train")[1].bincount().tolist() == [27, 36], "drawn, faces"
    with pytest.raises(
        ValueError, match=r"has 2 folders, drawn, faces, and 3 classes are configured: take folders away"
    ):
        several(tmp_path, sets=None, data_dir=str(tmp_path), num_classes=3).split("train")


def test_regene_learns_from_two_sets(
    places: Path, small_run: Callable[..., tuple[Path, dict[str, float]]], tmp_path: Path
) -> None:
    """One step of the classifier, one of the decoder; it draws images of both classes from a bank of both."""
    names = {name: str(places / name) for name in ("loose", "divided")}
    sets = ", ".join(f"{name}: {place}" for name, place in names.items())
    folder, _ = small_run(
        "method=regene", "datamodule=several_sets", f"datamodule.sets={{{sets}}}", "datamodule.resolution=8",
        "method.classifier_kimg=0.016", "max_kimg=0.032", "save_every_kimg=0.032", "+datamodule.num_workers=2",
        "callbacks.metrics.every_kimg=0", "callbacks.metrics.test_metrics=[fd]",
    )  # fmt: skip
    method, _ = load_method(folder / "checkpoints" / "last.ckpt")
    assert isinstance(method, ReGene)
    assert method.num_classes == 2
    assert method.bank.labels.bincount().tolist() == [18, 9]
    assert method.sample(0, 2, seed=0, labels=[0, 1]).shape == (2, 3, 8, 8)


@pytest.mark.parametrize(("names", "changes", "message"), [
    (["loose"], {}, "several sets are at least two, a class each, got loose: add one, or take datamodule=images"),
    ([], {}, "several sets are at least two, a class each, got none"),
    (["loose", "Loose"], {}, "the sets 'loose' and 'Loose' have the same name: leave one of them out"),
    (["loose", "divided/../loose"], {}, "have the same images: leave one of them out"),
    (["loose", "prepared"], {"num_classes": 3}, "num_classes is 3, and 2 sets are named: leave it out"),
    (["loose", "prepared"], {"channels": 4}, r"channels must be 1 \(grey\) or 3 \(colour\), got 4"),
    (["loose", "prepared"], {"per_class": 0}, "per_class must be at least 1 image of each class, got 0"),
    (["loose", "prepared"], {"preset": "crop"}, "unknown preset 'crop': choose one of crop_bilinear"),
])  # fmt: skip
def test_refused_before_anything_is_read(names: list[str], changes: dict[str, Any], message: str, places: Path) -> None:
    with pytest.raises(ValueError, match=message):
        several(places, *names, **changes)


@pytest.mark.parametrize(("names", "changes", "message"), [
    (["loose", "nothing"], {}, "the images of nothing are not in .*nothing: put a folder there"),
    (["loose", "empty"], {}, "empty holds no images"),
    (["loose", "prepared"], {"resolution": 8}, "was prepared at 16 pixels, not at 8"),
    (["loose", "grey"], {"channels": 1}, "00.png is in colour"),
    (["prepared", "grey"], {"channels": 1},
     "the images of prepared have 3 channels and 16 x 16 pixels, and those of all sets are to have 1 and 16 x 16"),
    (["loose", "divided"], {"preset": "area", "resolution": 7}, "7 does not divide a picture of 16 x 16 pixels: set "),
    ([], {"sets": {"digits": Digits, "half": partial(Digits, train_part=[0.0, 0.5])}},
     "the images of digits have 1 channels and 8 x 8 pixels, and those of all sets are to have 3 and 16 x 16: give sets"),
])  # fmt: skip
def test_refused_when_they_are_read(names: list[str], changes: dict[str, Any], message: str, places: Path) -> None:
    with pytest.raises(ValueError, match=message):
        several(places, *names, **changes).split("train")[0][:]


def test_folders_are_at_least_two(places: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"a folder of images for each class is not in {tmp_path}: put them there"):
        several(places, sets=None, data_dir=str(tmp_path)).split("train")
    with pytest.raises(ValueError, match="several sets are at least two, a class each, got alone"):
        several(places, sets=None, data_dir=str(places / "one")).split("train")


def test_an_image_that_is_in_both_splits_is_refused(places: Path) -> None:
    again = places / "divided" / "train" / "again.png"
    again.symlink_to(sorted((places / "divided" / "val").iterdir())[0])
    try:
        with pytest.raises(
            ValueError, match=r"1 images of .*divided.* are in the lists of both splits: take them out of one"
        ):
            several(places, "loose", "divided").split("train")
    finally:
        again.unlink()
