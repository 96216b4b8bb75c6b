"""The coordinate pipeline pixel by pixel, as the chapter draws it: grids are moved, convolved and normalised at their pixels.

More arithmetic than the maps of ``bases.py`` in fewer and larger steps, which a GPU takes sooner.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.dgm.bases import AffinePredictor, LevelBases, canonical_grid
from lightning_modules.dgm.layers import ConvNorm


def canonical_pixels(like: Tensor) -> Tensor:
    """Rows and columns of the canonical grid of features [B, C, H, W]: [2, H * W]."""
    return canonical_grid(like.shape[2], like.shape[3], like=like)[:2]


def transformed(affine: AffinePredictor, moments: Tensor, canonical: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """The planes [B, P, N N] of a level and the shared grid [B, 2, N N] they are made of."""
    released, channels = affine.variant == "released", moments.shape[1]
    h = affine.hidden_features(moments)
    grid = affine.matrix(h).view(-1, 2, 2) @ (grid if released else canonical) + affine.shift(h)[:, :, None]
    scale = affine.channel_scale(h).view(-1, channels, 2)
    if released:
        return scale @ grid + affine.channel_shift(h)[:, :, None], grid
    shift = affine.channel_shift(h).view(-1, channels, 2)
    rows, columns = (scale[:, :, i, None] * grid[:, i, None] + shift[:, :, i, None] for i in (0, 1))
    return torch.cat([rows, columns], dim=1), grid


def next_bases(bases: LevelBases, planes: Tensor, before: Tensor) -> Tensor:
    """Planes [B, P, N N] and the bases before [B, C, N, N] -> bases [B, C, N, N]."""
    mixed = F.relu(convolved_and_normalized(bases.mix, planes.unflatten(2, before.shape[2:])) + before)
    return F.relu(convolved_and_normalized(bases.refine, mixed))


def convolved_and_normalized(layer: ConvNorm, x: Tensor) -> Tensor:
    """The convolution and its batch norm, one after the other."""
    return layer.norm(layer.convolution(x))
