"""Images in [-1, 1] to bytes, grids of images, PNG files and animations."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

GREY = 40  # of the gaps between the images of a grid
HASHED_AT_ONCE = 2**24  # bytes of a set
SHOWN_PIXELS = 96  # smaller images are enlarged about to this, each pixel to a square


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] -> 0 .. 255, rounded to the nearest and clamped: the one place where images become bytes."""
    return ((images.detach().float() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)


def from_uint8(images: Tensor) -> Tensor:
    """0 .. 255 -> [-1, 1] in float32."""
    return images.float().div_(127.5).sub_(1.0) if images.dtype == torch.uint8 else images / 127.5 - 1.0


def as_floats(stored: Tensor) -> Tensor:
    """Images as data modules keep them, bytes or in [-1, 1] -> in [-1, 1]."""
    return from_uint8(stored) if stored.dtype == torch.uint8 else stored


def fingerprint(images: Tensor) -> str:
    """The start of a hash of uint8 images [N, C, H, W], or of what is indexed like such a tensor: shape and pixels."""
    shape = (int(images.shape[1]), int(images.shape[2]), int(images.shape[3]))
    digest = hashlib.sha256(repr(shape).encode())
    at_once = max(1, HASHED_AT_ONCE // math.prod(shape))
    for first in range(0, len(images), at_once):
        digest.update(images[first : first + at_once].contiguous().cpu().numpy().data)
    return digest.hexdigest()[:12]


def to_pil(image: Tensor) -> Image.Image:
    """One uint8 image [C, H, W] with C = 1 or 3 as a PIL image of mode L or RGB."""
    array = image.cpu().numpy()
    return (
        Image.fromarray(array[0])
        if len(array) == 1
        else Image.fromarray(np.ascontiguousarray(array.transpose(1, 2, 0)))
    )


def from_pil(picture: Image.Image) -> Tensor:
    """The way back: an image of mode L or RGB as uint8 [C, H, W]."""
    array = np.array(picture)
    return torch.from_numpy(array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1)))


def pixel_scale(resolution: int) -> int:
    """How many times as large :func:`image_grid` draws the pixels of a small image."""
    return max(1, SHOWN_PIXELS // resolution)


def image_grid(images: Tensor, *, num_columns: int, scale: int = 1, gap: int = 2) -> Image.Image:
    """Images [N, C, H, W] in [-1, 1], row by row, each pixel drawn ``scale`` times as large."""
    if num_columns < 1:
        raise ValueError(f"a grid needs at least one column, got {num_columns}")
    tiles = to_uint8(images).repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    num_rows = math.ceil(len(tiles) / num_columns)
    missing = num_rows * num_columns - len(tiles)
    tiles = torch.cat([tiles, torch.full((missing, *tiles.shape[1:]), GREY, dtype=torch.uint8, device=tiles.device)])
    tiles = F.pad(tiles, (0, gap, 0, gap), value=GREY)
    rows = tiles.unflatten(0, (num_rows, num_columns)).permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)
    return to_pil(F.pad(rows, (gap, 0, gap, 0), value=GREY))


def side_by_side(panels: Sequence[tuple[str, Image.Image]], *, gap: int = 8) -> Image.Image:
    """Pictures next to each other, each under its title, of one line or several, on white."""
    font = ImageFont.load_default(size=14)
    title_height = 20 * max(title.count("\n") + 1 for title, _ in panels)
    widths = [
        max(picture.width, *(math.ceil(font.getlength(line)) for line in title.split("\n")))
        for title, picture in panels
    ]
    height = max(picture.height for _, picture in panels)
    sheet = Image.new("RGB", (sum(widths) + gap * (len(panels) + 1), height + title_height + gap), "white")
    draw = ImageDraw.Draw(sheet)
    left = gap
    for width, (title, picture) in zip(widths, panels, strict=True):
        draw.text((left, 2), title, fill="black", font=font)
        sheet.paste(picture.convert("RGB"), (left, title_height))
        left += width + gap
    return sheet


def stacked(panels: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Pictures below each other, each under its title, on white."""
    titled = [side_by_side([panel]) for panel in panels]
    sheet = Image.new("RGB", (max(part.width for part in titled), sum(part.height for part in titled)), "white")
    top = 0
    for part in titled:
        sheet.paste(part, (0, top))
        top += part.height
    return sheet


def text_column(texts: Sequence[str], *, row_height: int, gap: int = 2) -> Image.Image:
    """A text beside each row of an :func:`image_grid` whose images are drawn ``row_height`` pixels high."""
    font = ImageFont.load_default(size=12)
    lines = [line for text in texts for line in text.splitlines()]
    width = math.ceil(max((font.getlength(line) for line in lines), default=0))
    column = Image.new("RGB", (width + 2 * gap, len(texts) * (row_height + gap) + gap), "white")
    draw = ImageDraw.Draw(column)
    for row, text in enumerate(texts):
        draw.multiline_text((gap, gap + row * (row_height + gap)), text, fill="black", font=font)
    return column


def save_picture(picture: Image.Image, output: Path, name: str) -> Path:
    """Writes ``picture`` as ``name`` into the folder ``output``, which is made, and returns its path."""
    output.mkdir(parents=True, exist_ok=True)
    picture.save(output / name)
    return output / name


def read_png(path: Path) -> Tensor:
    """An image in grey or RGB, such as :func:`to_pil` makes, in [-1, 1]: [C, H, W]."""
    with Image.open(path) as picture:
        return from_uint8(from_pil(picture))


def save_animation(frames: Sequence[Image.Image], path: Path, *, frames_per_second: int = 20) -> None:
    """An endlessly repeating GIF; grey levels are kept exactly, colours are reduced to 256 a frame."""
    first, *others = frames
    first.save(path, save_all=True, append_images=others, duration=round(1000 / frames_per_second), loop=0)
