"""Holes in images: which pixels of each are known.

All masks are bool [count, 1, H, W], true where known, and that of image k is a function of (seed, k) alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from generative.randomness import Stream

BLOCKS_AT_ONCE = 64  # places that are drawn together
STROKES_AT_ONCE = 16
WORDS = ("image", "prior", "latent", "critic", "pixel", "inverse", "network", "sample")
FORMS = {  # of the names that a protocol states, each in words
    r"blocks(?P<block>\d+)_(?P<percent>\d+(\.\d+)?)pct": "blocks<pixels>_<percent>pct such as blocks8_25pct",
    r"centre(?P<block>\d+)": "centre<pixels> such as centre16",
    r"strokes(?P<brush>\d+)_(?P<percent>\d+(\.\d+)?)pct": "strokes<pixels>_<percent>pct such as strokes3_12pct",
    r"text(?P<size>\d+)": "text<pixels> such as text8",
}


def holes(name: str, count: int, height: int, width: int, *, seed: int) -> Tensor:
    """The masks that a protocol calls ``name``: bool [count, 1, H, W], true where known.

    ``blocks8_25pct``: :func:`random_blocks` of 8 pixels that hide 25 percent, ``centre16``: the :func:`centre` of 16 pixels,
    ``strokes3_12pct``: :func:`strokes` 3 pixels wide that hide 12 percent, ``text8``: :func:`text` of 8 pixels. ValueError
    for other names, and where the numbers do not go with the size.
    """
    found = next((match for form in FORMS if (match := re.fullmatch(form, name))), None)
    if found is None:
        raise ValueError(f"there are no holes called {name!r}: give {', or '.join(FORMS.values())}")
    numbers = found.groupdict()
    share = float(numbers.get("percent", 0)) / 100
    if name.startswith("blocks"):
        return random_blocks(count, height, width, share=share, block=int(numbers["block"]), seed=seed)
    if name.startswith("centre"):
        return centre(count, height, width, block=int(numbers["block"]))
    if name.startswith("strokes"):
        return strokes(count, height, width, share=share, brush=int(numbers["brush"]), seed=seed)
    return text(count, height, width, size=int(numbers["size"]), seed=seed)


def random_blocks(count: int, height: int, width: int, *, share: float, block: int, seed: int) -> Tensor:
    """Masks of ``count`` images whose ``share`` is hidden by squares of ``block`` pixels: bool [count, 1, H, W], true where known.

    The squares lie at uniform places inside the image and may overlap. Of the last one only as many pixels are hidden, row
    by row, as bring their number to round(share H W) exactly. The mask of image k is a function of (seed, k) alone.
    """
    check_side(height, width, block=block)
    hidden = hidden_count(share, height, width)
    masks = [one_mask(k, height, width, hidden=hidden, block=block, seed=seed) for k in range(count)]
    return torch.stack(masks)[:, None]


def one_mask(number: int, height: int, width: int, *, hidden: int, block: int, seed: int) -> Tensor:
    """The mask of image ``number``: bool [H, W]."""
    known = torch.ones(height, width, dtype=torch.bool)
    for top, left in places(number, height - block + 1, width - block + 1, seed=seed):
        window = known[top : top + block, left : left + block]
        missing = hidden - int((~known).sum())
        rows, columns = (part[:missing] for part in window.nonzero(as_tuple=True))
        window[rows, columns] = False
        if len(rows) == missing:
            break
    return known


def places(number: int, rows: int, columns: int, *, seed: int) -> Iterator[tuple[int, int]]:
    """Uniform places of image ``number`` without end: row below ``rows``, column below ``columns``."""
    stream, first = Stream(seed, f"blocks of image {number}"), 0
    while True:
        for place in stream.integers(first, BLOCKS_AT_ONCE, high=rows * columns).tolist():
            yield divmod(place, columns)
        first += BLOCKS_AT_ONCE


def centre(count: int, height: int, width: int, *, block: int) -> Tensor:
    """Masks of ``count`` images whose central square of ``block`` pixels is hidden: bool [count, 1, H, W], true where known."""
    check_side(height, width, block=block)
    if block == height == width:
        raise ValueError(f"a square of {block} pixels hides the whole image: choose a smaller block")
    known = torch.ones(count, 1, height, width, dtype=torch.bool)
    top, left = (height - block) // 2, (width - block) // 2
    known[:, :, top : top + block, left : left + block] = False
    return known


def strokes(count: int, height: int, width: int, *, share: float, brush: int, seed: int) -> Tensor:
    """Masks of ``count`` images whose ``share`` is hidden by strokes of a round ``brush`` as wide as so many pixels.

    A stroke is an arc: it starts at a uniform pixel in a uniform direction, is between a quarter of the smaller side and the
    whole of it long, and turns by up to a right angle on its way; beyond the border it is cut off. Of the last one only
    the beginning is drawn, so that round(share H W) pixels are hidden exactly.
    """
    check_side(height, width, brush=brush)
    hidden = hidden_count(share, height, width)
    return torch.stack([one_stroked(k, height, width, hidden=hidden, brush=brush, seed=seed) for k in range(count)])


def one_stroked(number: int, height: int, width: int, *, hidden: int, brush: int, seed: int) -> Tensor:
    """The mask of image ``number``: bool [1, H, W]."""
    known = np.ones(height * width, dtype=bool)
    footprint = disc(brush)
    for path in paths(number, height, width, seed=seed):
        pixels = (path[:, None] + footprint).reshape(-1, 2)
        inside = ((pixels >= 0) & (pixels < (height, width))).all(axis=1)
        reached = np.ravel_multi_index(tuple(pixels[inside].T), (height, width))
        fresh, order = np.unique(reached[known[reached]], return_index=True)
        missing = hidden - np.count_nonzero(~known)
        known[fresh[order.argsort()][:missing]] = False
        if len(fresh) >= missing:
            break
    return torch.from_numpy(known).view(1, height, width)


def paths(number: int, height: int, width: int, *, seed: int) -> Iterator[np.ndarray]:
    """The pixels in which the brush lies along the strokes of image ``number``, without end: int64 [T, 2] each."""
    stream, first = Stream(seed, f"strokes of image {number}"), 0
    while True:
        for row, column, direction, length, turn in stream.uniform(first, STROKES_AT_ONCE, 5).double().tolist():
            steps = np.arange(max(1, round((0.25 + 0.75 * length) * min(height, width))))
            angles = 2 * math.pi * direction + math.pi * (turn - 0.5) * steps / len(steps)
            way = np.stack([np.sin(angles), np.cos(angles)], axis=1).cumsum(axis=0)
            start = np.floor([row * height, column * width])
            yield np.rint(start + way - way[0]).astype(np.int64)
        first += STROKES_AT_ONCE


def disc(diameter: int) -> np.ndarray:
    """Pixels of a disc, as steps from the one in its middle: int64 [K, 2]. Of an even diameter it is one of the middle four."""
    steps = np.arange(diameter) - (diameter - 1) // 2
    rows, columns = np.meshgrid(steps, steps, indexing="ij")
    middle = (1 - diameter % 2) / 2
    inside = (rows - middle) ** 2 + (columns - middle) ** 2 <= (diameter / 2) ** 2
    return np.stack([rows[inside], columns[inside]], axis=1)


def text(count: int, height: int, width: int, *, size: int, seed: int) -> Tensor:
    """Masks of ``count`` images over which lines of random words are written, as the installed Pillow draws its own font.

    ``size`` is the font's, in pixels: a line from its highest letter to its lowest. Half as much lies between two lines, and
    the share that is hidden is what the letters cover.
    """
    if not 5 <= size <= min(height, width):
        raise ValueError(
            f"size must be between 5 pixels, below which nothing can be read, and {min(height, width)}, the smaller side of "
            f"the image, got {size}"
        )
    return torch.stack([one_written(k, height, width, size=size, seed=seed) for k in range(count)])


def one_written(number: int, height: int, width: int, *, size: int, seed: int) -> Tensor:
    """The mask of image ``number``: bool [1, H, W]."""
    font = ImageFont.load_default(size=size)
    picture = Image.new("1", (width, height))  # of two values: no grey edges of letters
    draw = ImageDraw.Draw(picture)
    pitch = size + size // 2
    stream = Stream(seed, f"text of image {number}")
    top = int(stream.integers(0, 1, high=min(pitch, height - size + 1)))
    num_words = 1 + width // size  # no word is narrower than the size
    for line in range(math.ceil((height - top) / pitch)):
        words = stream.branch(f"line {line}").integers(0, num_words + 1, high=len(WORDS)).tolist()
        shift = int(
            stream.branch("left").integers(line, 1, high=2 * size)
        )  # the first word may begin before the border
        draw.text((-shift, top + line * pitch), " ".join(WORDS[word] for word in words), fill=1, font=font)
    return torch.from_numpy(~np.array(picture))[None]


def hidden_count(share: float, height: int, width: int) -> int:
    """round(share H W); ValueError where that is none of the pixels or all."""
    hidden = round(share * height * width)
    if not 0 < hidden < height * width:
        raise ValueError(
            f"share must leave some pixels and hide some: {share} of {height} x {width} pixels are {hidden} pixels"
        )
    return hidden


def check_side(height: int, width: int, **sides: int) -> None:
    """ValueError unless each of the named ``sides`` is between 1 and the smaller side of the image."""
    for name, side in sides.items():
        if not 1 <= side <= min(height, width):
            raise ValueError(
                f"{name} must be between 1 and {min(height, width)}, the smaller side of the image, got {side}"
            )
