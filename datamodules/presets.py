"""How the chapters bring an image to its size: named, so that a result can say which."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

Preset = Callable[[Image.Image, int], Image.Image]  # picture, side in pixels -> square picture


def centre_square(picture: Image.Image, side: int) -> Image.Image:
    """The central part of ``side`` x ``side`` pixels; ValueError where the picture is smaller."""
    if min(picture.size) < side:
        raise ValueError(f"a picture of {picture.width} x {picture.height} pixels has no centre of {side} x {side}")
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def crop_bilinear(picture: Image.Image, side: int) -> Image.Image:
    """ImageNet, LSUN, FFHQ: the largest central square, brought to the side by antialiased bilinear interpolation."""
    return centre_square(picture, min(picture.size)).resize((side, side), Image.Resampling.BILINEAR)


def crop_lanczos(picture: Image.Image, side: int) -> Image.Image:
    """The same by Lanczos's window: what StyleGAN's tool does to a folder."""
    return centre_square(picture, min(picture.size)).resize((side, side), Image.Resampling.LANCZOS)


def crop_box(picture: Image.Image, side: int) -> Image.Image:
    """The same by means of boxes, the pixels below one of the result: what photos are compared at."""
    return centre_square(picture, min(picture.size)).resize((side, side), Image.Resampling.BOX)


def celeba_140(picture: Image.Image, side: int) -> Image.Image:
    """The aligned photos of CelebA, 178 x 218: the central 140 x 140, brought to the side (64 in the chapter)."""
    return centre_square(picture, 140).resize((side, side), Image.Resampling.BILINEAR)


def celeba_108(picture: Image.Image, side: int) -> Image.Image:
    """DCGAN's: the central 108 x 108."""
    return centre_square(picture, 108).resize((side, side), Image.Resampling.BILINEAR)


def celeba_aligned(picture: Image.Image, side: int) -> Image.Image:
    """The whole width of the aligned photos: the central 178 x 178 (128 in the chapter)."""
    return centre_square(picture, 178).resize((side, side), Image.Resampling.BILINEAR)


def area(picture: Image.Image, side: int) -> Image.Image:
    """Means over blocks, such as CIFAR-10 at 8 and 16; ValueError where the side does not divide the picture's."""
    if picture.width != picture.height or picture.width % side:
        raise ValueError(f"{side} does not divide a picture of {picture.width} x {picture.height} pixels")
    return picture.reduce(picture.width // side) if picture.width > side else picture


def pad(picture: Image.Image, side: int) -> Image.Image:
    """As it is, in the middle of black: the 28 x 28 of MNIST at 32."""
    if max(picture.size) > side:
        raise ValueError(f"a picture of {picture.width} x {picture.height} pixels does not fit into {side} x {side}")
    canvas = Image.new(picture.mode, (side, side))
    canvas.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return canvas


def fit(picture: Image.Image, side: int) -> Image.Image:
    """The whole picture, its longer edge brought to the side, above or beside black."""
    scale = side / max(picture.size)
    if scale != 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    if picture.size == (side, side):
        return picture
    canvas = Image.new(picture.mode, (side, side))
    canvas.paste(picture)
    return canvas


PRESETS: dict[str, Preset] = {
    preset.__name__: preset
    for preset in (crop_bilinear, crop_lanczos, crop_box, celeba_140, celeba_108, celeba_aligned, area, pad, fit)
}
