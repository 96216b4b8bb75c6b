"""Holes in images: which pixels of each are known."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from generative.randomness import Stream

BLOCKS_AT_ONCE = 64  # places that are drawn together


def random_blocks(count: int, height: int, width: int, *, share: float, block: int, seed: int) -> Tensor:
    """Masks of ``count`` images whose ``share`` is hidden by squares of ``block`` pixels: bool [count, 1, H, W], true where known.

    The squares lie at uniform places inside the image and may overlap. Of the last one only as many pixels are hidden, row
    by row, as bring their number to round(share H W) exactly. The mask of image k is a function of (seed, k) alone.
    """
    check_block(block, height, width)
    hidden = round(share * height * width)
    if not 0 < hidden < height * width:
        raise ValueError(
            f"share must leave some pixels and hide some: {share} of {height} x {width} pixels are {hidden} pixels"
        )
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
    check_block(block, height, width)
    if block == height == width:
        raise ValueError(f"a square of {block} pixels hides the whole image: choose a smaller block")
    known = torch.ones(count, 1, height, width, dtype=torch.bool)
    top, left = (height - block) // 2, (width - block) // 2
    known[:, :, top : top + block, left : left + block] = False
    return known


def check_block(block: int, height: int, width: int) -> None:
    if not 1 <= block <= min(height, width):
        raise ValueError(
            f"block must be between 1 and {min(height, width)}, the smaller side of the image, got {block}"
        )
