"""The tasks `invert` and `edit`, and where their images come from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.digits import Digits
from generative.rendering.images import to_uint8
from lightning_modules.poly_inr.embedding import drawing_with, edit, invert, quality
from lightning_modules.poly_inr.module import PolyINR
from lightning_modules.poly_inr.originals import open_originals

DATA = Digits(batch_size=8, seed=0)
FAST = {"seed": 0, "datamodule": DATA, "steps": 4}


def opened(method: PolyINR, **settings: object) -> tuple[torch.Tensor, torch.Tensor | None]:
    given = {"images": None, "count": 3, "classes": None, "fit": False} | settings
    return open_originals(method, DATA, **given)  # type: ignore[arg-type]


def write_photos(folder: Path, *, size: tuple[int, int] = (20, 12), mode: str = "RGB") -> Path:
    folder.mkdir()
    for number in range(2):
        channels = 3 if mode == "RGB" else 1
        array = np.random.default_rng(number).integers(0, 256, (size[1], size[0], channels), dtype=np.uint8)
        Image.fromarray(array.squeeze()).save(folder / f"{number}.png")
    return folder


def test_test_images_by_number(method: PolyINR) -> None:
    held_out, labels = DATA.split("test")
    first, own = opened(method)
    chosen, _ = opened(method, images=[5, 2])
    assert torch.equal(first, held_out[:3])
    assert torch.equal(chosen, held_out[[5, 2]])
    assert (own is None) if method.num_classes == 0 else torch.equal(own, labels[:3])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"images are numbers from 0 to 358, of the test split of digits.*got \[359\]"):
        opened(method, images=[359])


def test_files_of_another_size_are_refused_or_fitted(method: PolyINR, tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos")
    with pytest.raises(
        ValueError, match=r"is in colour, 12 x 20 pixels, and this model draws images grey, 8 x 8 pixels"
    ):
        opened(method, images=str(folder))
    images, labels = opened(method, images=str(folder), fit=True)
    assert images.shape == (2, 1, 8, 8)
    assert labels is None, "another set's classes are not ours"
    grey, _ = opened(method, images=str(write_photos(tmp_path / "grey", size=(8, 8), mode="L")))
    expected = np.array(Image.open(tmp_path / "grey" / "1.png"))
    assert np.array_equal(to_uint8(grey)[1, 0].numpy(), expected), "of the right size they stay as they are"
    with pytest.raises(ValueError, match="there is no folder or file nowhere of images"):
        opened(method, images="nowhere")


def test_labels_are_checked(method: PolyINR) -> None:
    if method.num_classes == 0:
        with pytest.raises(ValueError, match="this model is unconditional: leave out classes"):
            opened(method, classes=[1])
        return
    assert opened(method, classes=4)[1].tolist() == [4, 4, 4]  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="one class for all images or one for each of the 3, got 2"):
        opened(method, classes=[1, 2])
    with pytest.raises(ValueError, match="class 10 is out of range"):
        opened(method, classes=10)


def test_invert_writes_a_picture_and_numbers(method: PolyINR, tmp_path: Path) -> None:
    written = invert(method, tmp_path, count=2, tuning_steps=3, **FAST)  # type: ignore[arg-type]
    assert [path.name for path in written] == ["invert.png", "invert.jsonl", "invert.md"]
    rows = [json.loads(line) for line in written[1].read_text().splitlines()]
    assert [row["space"] for row in rows] == ["z", "w", "affine", "pivotal"]
    assert all(row["images"] == 2 and row["psnr"] > 0 and row["perceptual"] == 0 for row in rows)
    assert "| affine |" in written[2].read_text()
    assert "seconds_alone" not in rows[0]
    held_out, _ = DATA.split("test")
    tile = np.array(Image.open(written[0]).convert("L"))[22 : 22 + 96 : 12, 10 : 10 + 96 : 12]
    assert np.array_equal(tile, to_uint8(held_out[:1])[0, 0].numpy()), "the first column shows the originals"


def test_a_large_set_is_measured_whole_and_shown_in_part(method: PolyINR, tmp_path: Path) -> None:
    written = invert(method, tmp_path, count=20, tuning_steps=0, **(FAST | {"steps": 1}))  # type: ignore[arg-type]
    rows = [json.loads(line) for line in written[1].read_text().splitlines()]
    assert [(row["space"], row["images"]) for row in rows] == [("z", 20), ("w", 20), ("affine", 20)]
    assert Image.open(written[0]).height == 20 + 16 * 98 + 2 + 8


def test_images_embedded_one_by_one_stand_beside(method: PolyINR, tmp_path: Path) -> None:
    written = invert(method, tmp_path, count=3, one_by_one=2, tuning_steps=1, **FAST)  # type: ignore[arg-type]
    rows = {row["space"]: row for row in map(json.loads, written[1].read_text().splitlines())}
    for space in ("z", "w", "affine"):
        assert rows[space]["images_alone"] == 2
        assert rows[space]["seconds_alone"] > 0
        assert rows[space]["psnr_difference"] < 0.05, "no image depends on its neighbours"
    assert "seconds_alone" not in rows["pivotal"], "the networks of a set are tuned together"


def test_ssim_where_its_window_fits() -> None:
    images = torch.rand(2, 1, 12, 12) * 2 - 1
    assert quality(images, images)["ssim"] == pytest.approx(1)
    assert quality(images[..., :8, :8], images[..., :8, :8]) == {"psnr": 100.0}


def test_edit_with_images_of_another_set(method: PolyINR, tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos")
    before = {name: value.clone() for name, value in method.state_dict().items()}
    written = edit(
        method,
        tmp_path,
        images=str(folder),
        fit=True,
        levels=[1],
        frames=3,
        resolution=16,
        tuning_steps=2,
        **FAST,  # type: ignore[arg-type]
    )
    assert [path.name for path in written] == ["edit_interpolate.png", "edit_mix_levels_1.png"]
    assert Image.open(written[1]).size == (3 * 98 + 2, 3 * 98 + 2)
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    with pytest.raises(ValueError, match="level 7 is out of range"):
        edit(method, tmp_path, levels=[7], **FAST)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="space must be one of z, w, affine, got 'p'"):
        edit(method, tmp_path, space="p", **FAST)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        invert(method, tmp_path, **(FAST | {"steps": 0}))  # type: ignore[arg-type]


def test_the_methods_own_weights_come_back(method: PolyINR) -> None:
    own = method.averaged_generator
    with drawing_with(method, method.generator):
        assert method.averaged_generator is method.generator
    assert method.averaged_generator is own
