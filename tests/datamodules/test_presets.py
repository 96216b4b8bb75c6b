"""Each preset against another implementation."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import center_crop, resize

from datamodules.presets import PRESETS


def random_picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    shape = (height, width) if mode == "L" else (height, width, 3)
    return Image.fromarray(np.random.default_rng(width).integers(0, 256, shape, np.uint8))


def same(a: Image.Image, b: Image.Image) -> bool:
    return a.mode == b.mode and np.array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(
    ("preset", "crop", "side", "interpolation"),
    [
        ("crop_bilinear", None, 64, InterpolationMode.BILINEAR),
        ("crop_bilinear", None, 300, InterpolationMode.BILINEAR),
        ("crop_lanczos", None, 64, InterpolationMode.LANCZOS),
        ("celeba_140", 140, 64, InterpolationMode.BILINEAR),
        ("celeba_108", 108, 64, InterpolationMode.BILINEAR),
        ("celeba_aligned", 178, 128, InterpolationMode.BILINEAR),
    ],
)
def test_crops_are_those_of_torchvision(
    preset: str, crop: int | None, side: int, interpolation: InterpolationMode, mode: str
) -> None:
    picture = random_picture(178, 218, mode)
    expected = resize(center_crop(picture, [crop or 178] * 2), [side, side], interpolation)
    made = PRESETS[preset](picture, side)
    assert made.size == (side, side)
    assert same(made, expected)


def test_an_odd_margin_is_smaller_at_the_left_and_the_top() -> None:
    picture = random_picture(9, 6)
    assert same(PRESETS["crop_bilinear"](picture, 6), picture.crop((1, 0, 7, 6)))
    assert same(PRESETS["crop_lanczos"](picture, 6), picture.crop((1, 0, 7, 6)))


@pytest.mark.parametrize("side", [1, 3, 4, 6, 12, 24, 48])
def test_area_is_the_mean_over_blocks(side: int) -> None:
    picture = random_picture(48, 48)
    factor = 48 // side
    sums = np.asarray(picture).astype(int).reshape(side, factor, side, factor, 3).sum((1, 3))
    assert np.array_equal(np.asarray(PRESETS["area"](picture, side)), (sums + factor**2 // 2) // factor**2)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_pad_keeps_every_pixel_in_the_middle_of_black(mode: str) -> None:
    picture = random_picture(28, 27, mode)
    made = np.asarray(PRESETS["pad"](picture, 32)).copy()
    assert np.array_equal(made[2:29, 2:30], np.asarray(picture))
    made[2:29, 2:30] = 0
    assert not made.any()


@pytest.mark.parametrize(
    ("preset", "size", "side", "message"),
    [
        ("celeba_140", (178, 139), 64, "178 x 139 pixels has no centre of 140 x 140"),
        ("celeba_108", (107, 218), 64, "107 x 218 pixels has no centre of 108 x 108"),
        ("celeba_aligned", (177, 218), 64, "177 x 218 pixels has no centre of 178 x 178"),
        ("area", (32, 32), 12, "12 does not divide a picture of 32 x 32"),
        ("area", (32, 32), 64, "64 does not divide a picture of 32 x 32"),
        ("area", (32, 16), 8, "8 does not divide a picture of 32 x 16"),
        ("pad", (33, 28), 32, "33 x 28 pixels does not fit into 32 x 32"),
    ],
)
def test_a_picture_that_does_not_fit_is_refused(preset: str, size: tuple[int, int], side: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PRESETS[preset](random_picture(*size), side)
