"""Maps of numbers as colours, alone or over the image they are about."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def min_max_scaled(maps: Tensor) -> Tensor:
    """Each map of [B, H, W] from its least value, 0, to its largest, 1; a flat one is 0 everywhere."""
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    spread = high - low
    return torch.where(spread > 0, (maps - low) / spread.where(spread > 0, 1.0), 0.0)


def enlarged(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Maps [B, h, w], each first brought to [0, 1], at ``size`` (height, width), linear between corners on corners.

    As in the released code of deep geometric moments, also for the maps of a network with strides, whose own pixels lie
    a little further in.
    """
    return F.interpolate(min_max_scaled(maps)[:, None], size=tuple(size), mode="bilinear", align_corners=True)[:, 0]


def hot(shares: Tensor) -> Tensor:
    """Numbers [B, H, W] in [0, 1] as black - red - yellow - white: [B, 3, H, W] in [-1, 1]."""
    return torch.stack([3 * shares, 3 * shares - 1, 3 * shares - 2], dim=1).clamp(0, 1) * 2 - 1


def overlay(images: Tensor, shares: Tensor, *, opacity: float) -> Tensor:
    """The colours of ``shares`` [B, H, W] over images [B, 1 or 3, H, W] in [-1, 1]: [B, 3, H, W]; 1 hides the image."""
    if not 0.0 <= opacity <= 1.0:
        raise ValueError(f"opacity must be between 0 and 1, got {opacity}")
    return torch.lerp(images.expand(-1, 3, -1, -1), hot(shares), opacity)
