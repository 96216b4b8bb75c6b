"""Texture as correlations of feature maps: Gram matrices and the style loss (Gatys et al. 2016, eq. 3 to 5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def gram_matrix(features: Tensor) -> Tensor:
    """G_ij = sum_p F_i(p) F_j(p) / (C H W) of features [B, C, H, W]: [B, C, C], which says nothing of places.

    The source sums without a factor (eq. 3) and divides in the loss by (2 C H W)^2 (eq. 4). With the mean here a loss is of
    one size for maps of any size.
    """
    rows = features.flatten(2)
    return rows @ rows.transpose(1, 2) / (rows.shape[1] * rows.shape[2])


def style_loss(stages_a: Sequence[Tensor], stages_b: Sequence[Tensor]) -> Tensor:
    """The mean squared difference of the Gram matrices of a network's stages, each [B, C, H, W], summed over stages: [B].

    ``stages_a`` and ``stages_b`` may have maps of different height and width, but the same channels. Differentiable.
    """
    return torch.stack(
        [(gram_matrix(a) - gram_matrix(b)).square().mean(dim=(1, 2)) for a, b in zip(stages_a, stages_b, strict=True)]
    ).sum(dim=0)
