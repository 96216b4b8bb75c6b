"""One encoded picture: upright, on a background, and what is refused."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from generative.rendering.pictures import open_picture, read_header, read_picture, upright_size

FORMATS = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}
# By EXIF's standard, the side of the scene that is the stored first row, and the one that is the first column
AS_STORED = {
    1: lambda scene: scene,  # top, left
    2: np.fliplr,  # top, right
    3: lambda scene: np.rot90(scene, 2),  # bottom, right
    4: np.flipud,  # bottom, left
    5: lambda scene: scene.swapaxes(0, 1),  # left, top
    6: np.rot90,  # right, top
    7: lambda scene: np.rot90(scene, 2).swapaxes(0, 1),  # right, bottom
    8: lambda scene: np.rot90(scene, -1),  # left, bottom
}


def encoded(picture: Image.Image, kind: str = "PNG", **settings: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **settings)
    return file.getvalue()


def smooth(width: int = 12, height: int = 8) -> Image.Image:
    """Smooth, so that JPEG keeps it, and like none of its turned or mirrored selves."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 20, y * 30, 4 * x + 6 * y], axis=2).astype(np.uint8))


@pytest.mark.parametrize("kind", FORMATS)
def test_pictures_are_upright_by_exif(kind: str) -> None:
    whole = smooth()
    expected = np.asarray(whole).astype(int)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = Image.fromarray(np.ascontiguousarray(AS_STORED[orientation](np.asarray(whole))))
        content = encoded(stored, kind, exif=exif, **FORMATS[kind])
        header, found = read_header(content, "x"), read_picture(content, "x")
        assert (header.height, header.width, header.turned) == (8, 12, orientation > 1)
        assert found.turned == (orientation > 1)
        assert np.abs(np.asarray(found.image) - expected).max() <= 8 * (kind == "JPEG"), orientation
        with open_picture(content, "x") as picture:
            assert upright_size(picture) == (8, 12)


def test_an_orientation_that_cannot_be_read_turns_nothing() -> None:
    whole = smooth()
    for exif in (b"Exif\0\0MM\0*", b"Exif\0\0" + bytes(range(40)), b""):
        content = encoded(whole, "JPEG", exif=exif, quality=100)
        found = read_picture(content, "x")
        assert not found.turned
        assert np.array_equal(found.image, Image.open(io.BytesIO(content)))
    nine = Image.Exif()
    nine[0x0112] = 9  # phones write such
    assert not read_picture(encoded(whole, "JPEG", exif=nine), "x").turned


def test_transparent_parts_are_shown_on_the_background() -> None:
    hidden = np.random.default_rng(0).integers(0, 256, (8, 8, 4), np.uint8)
    hidden[..., 3] = 0
    hidden[2:4, :, :] = (200, 30, 30, 255)
    hidden[5, :, :] = (0, 0, 0, 51)
    content = encoded(Image.fromarray(hidden))
    assert read_header(content, "x").transparent
    for background, behind in (("white", (255, 255, 255)), ("black", (0, 0, 0)), ("#0a141e", (10, 20, 30))):
        found = read_picture(content, "x", background=background)
        pixels = np.asarray(found.image)
        assert found.transparent
        assert (pixels[:2] == behind).all()
        assert (pixels[2:4] == (200, 30, 30)).all()
        assert np.abs(pixels[5] - 0.8 * np.array(behind)).max() <= 1
    with pytest.raises(
        ValueError, match="'shite' is no colour for a background: give a name such as white, or #rrggbb"
    ):
        read_picture(content, "x", background="shite")


@pytest.mark.filterwarnings("error")
def test_every_kind_of_transparency() -> None:
    grey = Image.new("LA", (4, 4), (60, 0))
    assert np.unique(read_picture(encoded(grey), "x", channels=1).image).tolist() == [255]
    for mode, colour in (("L", 60), ("RGB", (60, 0, 0)), ("1", 1)):  # one colour stands for "nothing here"
        content = encoded(Image.new(mode, (4, 4), colour), transparency=colour)
        found = read_picture(content, "x", background="black")
        assert (found.transparent, np.asarray(found.image).max()) == (True, 0), mode
    palette = smooth().quantize(4)
    assert read_picture(encoded(palette, transparency=0), "x").transparent


def test_opaque_pictures_are_what_they_were() -> None:
    whole = smooth()
    for mode in ("RGB", "RGBA", "P", "L", "LA", "1", "CMYK"):
        stored = whole.quantize(20) if mode == "P" else whole.convert(mode)
        content = encoded(stored, "TIFF")
        assert not read_header(content, "x").transparent
        found = read_picture(content, "x")
        assert not found.transparent
        assert np.array_equal(found.image, stored.convert("RGB")), mode
        if mode in ("L", "LA", "1"):
            assert np.array_equal(read_picture(content, "x", channels=1).image, stored.convert("L")), mode


def test_what_is_no_picture_to_learn_from_is_refused() -> None:
    for content, message in (
        (b"text", "x is not a readable image: no known format of images"),
        (encoded(Image.new("I;16", (4, 4))), "x is of mode I;16, not 8 bits grey or colour: convert it first"),
        (
            encoded(Image.new("L", (4, 4)), "GIF", save_all=True, append_images=[Image.new("L", (4, 4), 255)]),
            "x is an animation of 2 frames: save the one that is meant",
        ),
    ):
        for read in (read_header, read_picture):
            with pytest.raises(ValueError, match=message) as refused:
                read(content, "x")
            assert refused.value.__cause__ is not refused.value, "a circle of causes keeps its reader for ever"
    with pytest.raises(ValueError, match=r"x is in colour \(RGB\) among grey images: give --channels 3"):
        read_picture(encoded(smooth()), "x", channels=1)
