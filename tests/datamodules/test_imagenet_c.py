"""The published folders of ImageNet-C, sets that are computed instead, and what is said where something is missing."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.imagenet import ImageNet
from datamodules.imagenet_c import CorruptedRows, ImageNetC
from datamodules.preparation import prepare
from generative.rendering.images import from_uint8
from metrics.splits import real_images
from tests.datamodules.test_corruptions import stand_in_for_package
from tests.metrics.test_features import PHOTOS
from tests.support.layouts import WNIDS, write_imagenet_c


def made(root: Path, **changed: Any) -> ImageNetC:
    settings: dict[str, Any] = {"corruption": "fog", "severity": 3, "resolution": 224, "batch_size": 4, "seed": 0}
    folders = {"data_dir": str(root / "imagenet_c"), "imagenet_dir": str(root / "imagenet")}
    return ImageNetC(**(folders | settings | changed))


@pytest.mark.parametrize("folder", ["fog", "weather/fog"])
def test_published_folders_with_or_without_those_of_the_archives(
    tmp_path: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_imagenet_c(tmp_path / "imagenet_c" / folder, severity=3)
    images, labels = made(tmp_path).split("test")
    assert "has 24 test images, the published ImageNet-C 50000" in capsys.readouterr().err
    assert labels.tolist() == [0] * 6 + [1] * 6 + [281] * 6 + [999] * 6
    first = tmp_path / "imagenet_c" / folder / f"3/{WNIDS[2]}/ILSVRC2012_val_00000001.JPEG"
    assert torch.equal(images[13:14][0], torch.from_numpy(np.array(Image.open(first))).permute(2, 0, 1))
    assert made(tmp_path, resolution=64).split("test")[0][:2].shape == (2, 3, 64, 64)


def test_its_name_says_which(tmp_path: Path) -> None:
    write_imagenet_c(tmp_path / "imagenet_c/fog", severity=3)
    assert real_images(made(tmp_path), "test").name == "imagenet_c_fog_3:test"
    assert made(tmp_path, corruption="snow", severity=5, regenerate=True).name == "imagenet_c_snow_5_regenerated"


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    def refused(match: str, **changed: Any) -> None:
        with pytest.raises(ValueError, match=match):
            made(tmp_path, **changed).split("test")

    refused("there is no corruption 'gausian_noise'; did you mean 'gaussian_noise'", corruption="gausian_noise")
    refused("severity must be 1, 2, 3, 4 or 5, got 6", severity=6)
    refused(r"ImageNet-C's spatter is not in .*imagenet_c: unpack extra\.tar there", corruption="spatter")
    write_imagenet_c(tmp_path / "imagenet_c/fog", severity=1, side=96)
    refused(r"fog has no severity 3, but 1: unpack weather\.tar again")
    write_imagenet_c(tmp_path / "imagenet_c/fog", severity=2, wnids=["cats"])
    refused("class folders of ImageNet are wnids such as n01440764, not cats", severity=2)
    (tmp_path / "imagenet_c/fog/3").mkdir()
    refused("fog/3 has no images in class folders")
    images = made(tmp_path, severity=1).split("test")[0]
    with pytest.raises(ValueError, match=r"JPEG has 96 x 96 pixels, and the published images 224 x 224"):
        images[:1]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    write_imagenet_c(tmp_path / "imagenet_c/fog", severity=3)
    file = tmp_path / f"imagenet_c/fog/3/{WNIDS[0]}/ILSVRC2012_val_00000000.JPEG"
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"00000000\.JPEG is damaged .*: unpack weather\.tar again"):
        made(tmp_path).split("test")[0][:1]


def test_a_prepared_set_is_refused(tmp_path: Path) -> None:
    write_imagenet_c(tmp_path / "val", severity=3)
    prepare(tmp_path / "val/3", tmp_path / "imagenet_c", resolutions=[224])
    with pytest.raises(ValueError, match="is a prepared set, which does not say its corruption"):
        made(tmp_path).split("test")


def prepare_imagenet(root: Path) -> None:
    """A validation split at 256 pixels."""
    write_imagenet_c(root / "made", side=256)
    shutil.move(root / "made/1", root / "photos/val")
    prepare(root / "photos", root / "imagenet", resolutions=[256])


def test_images_are_computed_from_imagenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_package(monkeypatch)
    with pytest.raises(ValueError, match=r"ImageNet is not in .*--resolution 256"):
        made(tmp_path, regenerate=True).split("test")
    prepare_imagenet(tmp_path)
    datamodule = made(tmp_path, regenerate=True)
    images, labels = datamodule.split("test")
    assert images.shape == (24, 3, 224, 224)
    assert labels.unique().tolist() == [0, 1, 281, 999]
    whole = images[:]
    chosen = torch.tensor([20, 3, 7])
    assert torch.equal(images[chosen], whole[chosen]), "an image is a function of its number"
    assert torch.equal(made(tmp_path, regenerate=True, seed=7).split("test")[0][:], whole), "not of the run's seed"
    shared = made(tmp_path, regenerate=True, num_workers=2)
    shared.trainer = SimpleNamespace(global_rank=1, world_size=2)  # type: ignore[assignment]
    shown = torch.cat([batch["image"] for batch in shared.test_dataloader()])
    assert torch.equal(shown, from_uint8(whole[1::2])), "neither of the rank nor of the loading process"
    assert not torch.equal(made(tmp_path, regenerate=True, severity=4).split("test")[0][:], whole)
    assert real_images(datamodule, "test").name == "imagenet_c_fog_3_regenerated:test"
    assert made(tmp_path, regenerate=True, resolution=64).split("test")[0][:2].shape == (2, 3, 64, 64)


def test_equal_photos_are_corrupted_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_package(monkeypatch)
    grey = torch.full((3, 3, 256, 256), 128, dtype=torch.uint8)
    rows = CorruptedRows(grey, corruption="fog", severity=5, resolution=224)
    assert len({row.numpy().tobytes() for row in rows[:]}) == 3


def test_real_photos(tmp_path: Path) -> None:
    """Noise of the size that the paper states, on photos, through the whole pipeline."""
    if not PHOTOS.exists():
        pytest.skip(f"needs {PHOTOS.name}, one ImageNet photo a class")
    pytest.importorskip("imagecorruptions", reason="needs the extra [corruptions]")
    shutil.unpack_archive(PHOTOS, tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    for wnid in sorted(folder.iterdir())[::200]:
        shutil.copytree(wnid, tmp_path / "photos/val" / wnid.name)
    prepare(tmp_path / "photos", tmp_path / "imagenet", resolutions=[256])
    images, labels = made(tmp_path, regenerate=True, corruption="gaussian_noise", severity=1).split("test")
    assert labels.tolist() == [0, 200, 400, 600, 800]
    photos = ImageNet(data_dir=str(tmp_path / "imagenet"), resolution=256, batch_size=4, seed=0).split("test")[0]
    photos = photos[:, :, 16:240, 16:240]
    inner = (photos > 60) & (photos < 195)  # where nothing is clipped
    change = (images[:].float() - photos.float())[inner].std()
    assert 0.6 * 0.08 * 255 < change < 0.08 * 255 + 2, "JPEG takes some of it away"
