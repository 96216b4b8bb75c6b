"""Augmentations as functions of given random numbers, a whole batch at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from torch import Tensor

DRAWS = 3  # uniform numbers an image: row, column, mirrored
TURN_DRAWS = 3  # angle, down, right
SCALE_DRAWS = 4  # scale, row, column, mirrored
NUM_THREADS = 4  # that scale: Pillow lets go of the interpreter's lock while it does


def flip_and_crop(images: Tensor, uniform: Tensor, *, flip: bool, padding: int, fill: float = -1.0) -> Tensor:
    """Each image [B, C, H, W] padded by ``padding`` pixels of ``fill``, cut to its size at random, mirrored in half the cases.

    ``uniform`` [B, 3] in [0, 1) says where: the cut's top row and left column out of 0 .. 2 padding, and whether the
    image is mirrored left to right (below 1/2; only with ``flip``). The default ``fill`` is black. For tensors on the CPU.
    """
    if padding < 0:
        raise ValueError(f"padding must be at least 0, got {padding}")
    if uniform.shape != (len(images), DRAWS):
        raise ValueError(
            f"{len(images)} images need random numbers [{len(images)}, {DRAWS}], got {list(uniform.shape)}"
        )
    # In double precision the product stays below 2 padding + 1 for every number below 1.
    places = uniform.double().numpy()
    rows, columns = (places[:, :2] * (2 * padding + 1)).astype(np.int64).T
    padded = F.pad(images, (padding,) * 4, value=fill).numpy()
    # A view of all windows of each image. NumPy copies a chosen one row by row, torch number by number.
    windows = sliding_window_view(padded, images.shape[2:], axis=(2, 3))
    cut = windows[np.arange(len(images)), :, rows, columns]
    if flip:
        mirrored = np.flatnonzero(places[:, 2] < 0.5)
        cut[mirrored] = torch.from_numpy(cut[mirrored]).flip(3).numpy()
    return torch.from_numpy(cut)


def turn_and_shift(images: Tensor, uniform: Tensor, *, degrees: float, pixels: float) -> Tensor:
    """Each image [B, C, H, W] turned by up to ``degrees`` either way, then moved by up to ``pixels`` down and right or back.

    ``uniform`` [B, 3] in [0, 1): the angle, against the clock above 1/2, and both moves; 1/2 leaves an image as it is.
    Bilinear; what comes in from outside is as the nearest pixel of the border.
    """
    if uniform.shape != (len(images), TURN_DRAWS):
        raise ValueError(
            f"{len(images)} images need random numbers [{len(images)}, {TURN_DRAWS}], got {list(uniform.shape)}"
        )
    angles, down, right = (2.0 * uniform.to(images) - 1.0).unbind(dim=1)
    cosine, sine = (torch.cos(angles * math.radians(degrees)), torch.sin(angles * math.radians(degrees)))
    height, width = images.shape[2:]
    # Where each pixel comes from: back by the move, then turned back. In units of half an image, as torch counts.
    x, y = -2.0 * pixels * right / width, -2.0 * pixels * down / height
    ratio = height / width
    rows = [cosine, -sine * ratio, cosine * x - sine * ratio * y, sine / ratio, cosine, sine / ratio * x + cosine * y]
    grid = F.affine_grid(torch.stack(rows, dim=1).view(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def flip_and_crop_boxes(
    boxes: Tensor, labels: Tensor, uniform: Tensor, *, size: Sequence[int], flip: bool, padding: int
) -> tuple[Tensor, Tensor]:
    """Boxes [B, K, 4] and their labels [B, K] where :func:`flip_and_crop` moves images of ``size`` (height, width).

    A box is its left, top, right and bottom edge in pixels; it is cut at the border. Label -1: no box, and so becomes
    one of which nothing is left.
    """
    height, width = size
    places = uniform.double().numpy()
    rows, columns = (places[:, :2] * (2 * padding + 1)).astype(np.int64).T
    shift = torch.from_numpy(np.stack([padding - columns, padding - rows] * 2, axis=1)).to(boxes.dtype)
    moved = boxes + shift[:, None]
    if flip:
        left, top, right, bottom = moved.unbind(dim=2)
        mirrored = torch.stack([width - right, top, width - left, bottom], dim=2)
        moved = torch.where((uniform[:, 2] < 0.5)[:, None, None], mirrored, moved)
    moved = torch.minimum(moved.clamp(min=0), torch.tensor([width, height] * 2, dtype=boxes.dtype))
    there = (labels >= 0) & (moved[..., 2:] > moved[..., :2]).all(dim=2)
    return moved * there[..., None], torch.where(there, labels, -1)


@dataclass(frozen=True)
class Cut:
    """The ``count`` pixels from ``first`` on, of an axis of ``size`` pixels that is brought to ``scaled``."""

    size: int
    scaled: int
    first: int
    count: int

    def nearest(self) -> np.ndarray:
        """For each of its pixels the source pixel that its centre lies in, by whole numbers: no rounding at ties."""
        return (2 * np.arange(self.first, self.first + self.count) + 1) * self.size // (2 * self.scaled)

    def window(self) -> tuple[slice, float, float]:
        """The source pixels that interpolation looks at, and where in them the cut begins and ends."""
        first, last = (place * self.size / self.scaled for place in (self.first, self.first + self.count))
        reach = math.ceil(max(1.0, self.size / self.scaled)) + 1
        start, stop = max(0, math.floor(first) - reach), min(self.size, math.ceil(last) + reach)
        return slice(start, stop), first - start, last - start


def scale_flip_and_crop(
    images: Tensor,
    masks: Tensor,
    uniform: Tensor,
    *,
    sizes: Tensor,
    scales: Sequence[float],
    side: int,
    flip: bool,
    no_class: int,
) -> tuple[Tensor, Tensor]:
    """Images [B, C, H, W] and masks [B, H, W], uint8, at random scales, cut to ``side`` pixels, mirrored in half the cases.

    ``uniform`` [B, 4] in [0, 1) says where: the scale between the two of ``scales``, the cut's top row and left column
    out of all that lie within the scaled image, and whether it is mirrored left to right (below 1/2; only with
    ``flip``). ``sizes`` [B, 2]: the height and width of each image, top left in its tensor. Images are interpolated
    bilinearly, antialiased where they shrink; masks take the nearest pixel. What a smaller image leaves free, below and on
    its right before it is mirrored, is black and ``no_class``.
    """
    if uniform.shape != (len(images), SCALE_DRAWS):
        raise ValueError(
            f"{len(images)} images need random numbers [{len(images)}, {SCALE_DRAWS}], got {list(uniform.shape)}"
        )
    cut_images = torch.zeros(*images.shape[:2], side, side, dtype=torch.uint8)
    cut_masks = torch.full((len(images), side, side), no_class, dtype=torch.uint8)

    def fill(number: int) -> None:
        draws = uniform[number].double().tolist()
        cuts = choose_cuts(sizes[number].tolist(), draws, scales=scales, side=side)
        image, mask = scale_and_cut(images[number].numpy(), masks[number].numpy(), *cuts)
        step = -1 if flip and draws[3] < 0.5 else 1
        height, width = mask.shape
        cut_images[number].numpy()[:, :, ::step][:, :height, :width] = image
        cut_masks[number].numpy()[:, ::step][:height, :width] = mask

    with ThreadPoolExecutor(NUM_THREADS) as threads:
        list(threads.map(fill, range(len(images))))
    return cut_images, cut_masks


def choose_cuts(size: Sequence[int], draws: Sequence[float], *, scales: Sequence[float], side: int) -> list[Cut]:
    """Of the rows and of the columns of an image of ``size``, by the draws of its scale, row and column."""
    scale = scales[0] + draws[0] * (scales[1] - scales[0])
    cuts = []
    for pixels, draw in zip(size, draws[1:3], strict=True):
        scaled = max(1, math.floor(pixels * scale + 0.5))
        cuts.append(Cut(pixels, scaled, int(draw * (max(0, scaled - side) + 1)), min(side, scaled)))
    return cuts


def scale_and_cut(image: np.ndarray, mask: np.ndarray, rows: Cut, columns: Cut) -> tuple[np.ndarray, np.ndarray]:
    """A cut of an image [C, H, W] and of its mask [H, W], without scaling what lies outside of it."""
    cut_mask = mask[rows.nearest()[:, None], columns.nearest()]
    if (rows.size, columns.size) == (rows.scaled, columns.scaled):
        places = (slice(cut.first, cut.first + cut.count) for cut in (rows, columns))
        return image[:, *places], cut_mask
    (down, top, bottom), (right, left, edge) = rows.window(), columns.window()
    size, box = (columns.count, rows.count), (left, top, edge, bottom)
    channels = [
        Image.fromarray(channel[down, right]).resize(size, Image.Resampling.BILINEAR, box=box) for channel in image
    ]
    return np.stack([np.asarray(channel) for channel in channels]), cut_mask
