"""Augmentations as functions of given random numbers, a whole batch at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

DRAWS = 3  # uniform numbers an image: row, column, mirrored


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
