"""Augmentations as functions of given random numbers, a whole batch at once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

DRAWS = 3  # uniform numbers an image: row, column, mirrored


def flip_and_crop(images: Tensor, uniform: Tensor, *, flip: bool, padding: int, fill: float = -1.0) -> Tensor:
    """Each image [B, C, H, W] padded by ``padding`` pixels of ``fill``, cut to its size at random, mirrored in half the cases.

    ``uniform`` [B, 3] in [0, 1) says where: the cut's top row and left column out of 0 .. 2 padding, and whether the
    image is mirrored left to right (below 1/2; only with ``flip``). The default ``fill`` is black.
    """
    if padding < 0:
        raise ValueError(f"padding must be at least 0, got {padding}")
    if uniform.shape != (len(images), DRAWS):
        raise ValueError(
            f"{len(images)} images need random numbers [{len(images)}, {DRAWS}], got {list(uniform.shape)}"
        )
    uniform = uniform.to(images.device, torch.float64)
    # In double precision the product stays below 2 padding + 1 for every number below 1.
    rows, columns = (uniform[:, :2] * (2 * padding + 1)).long().unbind(dim=1)
    # A view of all windows of each padded image: only the chosen ones are copied.
    windows = F.pad(images, (padding,) * 4, value=fill).unfold(2, images.shape[2], 1).unfold(3, images.shape[3], 1)
    cut = windows[torch.arange(len(images), device=images.device), :, rows, columns]
    return torch.where((uniform[:, 2] < 0.5)[:, None, None, None], cut.flip(3), cut) if flip else cut
