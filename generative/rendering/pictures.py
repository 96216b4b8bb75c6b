"""One encoded picture as an eye sees it: upright by its EXIF data, transparent parts on a background, 8 bits grey or colour.

Everything that opens a user's pictures does it here, so that training and measuring see the same pixels.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import ExifTags, Image, ImageColor, UnidentifiedImageError

GREY_MODES = {"L", "LA", "1"}
READABLE_MODES = {*GREY_MODES, "RGB", "RGBA", "P", "CMYK"}
NUM_THREADS = 4  # that decode: Pillow lets go of the interpreter's lock while it does
WHITE = "white"  # what browsers and most programs show transparent pictures on
# EXIF's orientation, where it is not 1, and what brings the stored pixels upright
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
LYING = {5, 6, 7, 8}  # width and height change places
EXIF_OF_PNG = {"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"}


@dataclass(frozen=True)
class Picture:
    """``image`` in mode L or RGB, upright; ``turned``: it was stored otherwise; ``transparent``: it has a background of ours."""

    image: Image.Image
    turned: bool
    transparent: bool


@dataclass(frozen=True)
class Header:
    """What a picture is before it is decoded. ``height`` and ``width`` are those of the upright picture, in pixels."""

    mode: str
    height: int
    width: int
    turned: bool
    transparent: bool

    @property
    def is_grey(self) -> bool:
        return self.mode in GREY_MODES


def open_picture(content: bytes, name: str) -> Image.Image:
    """An image whose header was read; ValueError names it where that cannot be, or where it is of more than 8 bits."""
    try:
        picture = Image.open(io.BytesIO(content))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name} is not a readable image: {reason(error)}") from error
    if picture.mode not in READABLE_MODES:
        raise ValueError(f"{name} is of mode {picture.mode}, not 8 bits grey or colour: convert it first")
    return picture


def read_header(content: bytes, name: str) -> Header:
    """The header of an encoded picture; ValueError names one that cannot be used. Of alpha channels all is read."""
    with naming(name), open_picture(content, name) as picture:
        check_still(picture, name)
        height, width = upright_size(picture)
        turned = orientation_of(picture) in TURNS
        transparent = picture.has_transparency_data and lets_through(picture.convert("RGBA"))
        return Header(picture.mode, height, width, turned, transparent)


def read_picture(content: bytes, name: str, *, channels: int = 3, background: str = WHITE) -> Picture:
    """Decoded, in grey (``channels`` 1) or in colour (3), transparent parts on ``background``, a colour that Pillow knows.

    ValueError names the picture and the remedy: one in colour is not made grey.
    """
    with naming(name), open_picture(content, name) as opened:
        check_still(opened, name)
        if channels == 1 and opened.mode not in GREY_MODES:
            raise ValueError(f"{name} is in colour ({opened.mode}) among grey images: give --channels 3")
        turned, transparent = orientation_of(opened) in TURNS, False
        picture = upright(opened)
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            if transparent := lets_through(picture):
                canvas = Image.new("RGBA", picture.size, (*colour(background), 255))
                canvas.alpha_composite(picture)
                picture = canvas
        return Picture(picture.convert("L" if channels == 1 else "RGB"), turned, transparent)


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Whatever goes wrong within is a ValueError that names the picture."""
    try:
        yield
    except ValueError as error:
        if name in str(error):
            raise
        raise ValueError(f"{name}: {error}") from error
    except Exception as error:  # Pillow's decoders let through whatever damaged bytes lead to
        raise ValueError(f"{name} is not a readable image: {error or type(error).__name__}") from error


def lets_through(picture: Image.Image) -> bool:
    """Whether some pixel of a picture in mode RGBA is not opaque."""
    return picture.getchannel("A").getextrema()[0] < 255  # type: ignore[operator] # of one channel: two numbers


def check_still(picture: Image.Image, name: str) -> None:
    """ValueError for a moving picture: which of its frames is meant?"""
    num_frames = getattr(picture, "n_frames", 1)
    if num_frames > 1 and picture.format != "MPO":  # cameras put a preview behind the photo
        raise ValueError(f"{name} is an animation of {num_frames} frames: save the one that is meant")


def orientation_of(picture: Image.Image) -> int:
    """EXIF's, from 1 (as it is stored) to 8, of a picture whose pixels are not read yet; 1 where nothing readable says it."""
    if picture.format == "PNG" and not EXIF_OF_PNG & picture.info.keys():
        return 1  # to ask would decode all of it, for what may stand behind the pixels
    try:
        found = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # as for damaged pixels; the picture itself may be whole
        return 1
    return found if found in TURNS else 1


def upright(picture: Image.Image) -> Image.Image:
    """The picture in its own mode, all of it read, turned and mirrored as its EXIF data ask for."""
    orientation = orientation_of(picture)
    is_turned_by_pillow = picture.format == "TIFF"  # as it reads the pixels
    picture.load()
    if orientation == 1 or is_turned_by_pillow:
        return picture
    return picture.transpose(TURNS[orientation])


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """Height and width of the upright picture, before its pixels are read."""
    if picture.format != "TIFF" and orientation_of(picture) in LYING:
        return picture.width, picture.height
    return picture.height, picture.width


def colour(name: str) -> tuple[int, int, int]:
    """Red, green and blue of a colour's name or of ``#rrggbb``; ValueError where it is neither."""
    try:
        return ImageColor.getrgb(name)[:3]
    except ValueError as error:
        raise ValueError(f"{name!r} is no colour for a background: give a name such as white, or #rrggbb") from error


def reason(error: Exception) -> str:
    """What is wrong with a file, without the address of the buffer that it was read from."""
    return "no known format of images" if isinstance(error, UnidentifiedImageError) else str(error)
