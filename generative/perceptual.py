"""The distance of two images in the feature maps of a network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def deep_feature_distance(stages_a: Sequence[Tensor], stages_b: Sequence[Tensor]) -> Tensor:
    """Distance of pairs of images in a network's stages, each [B, C, H, W]: [B], 0 for equal images.

    Channels are brought to unit length at every place, squared differences are summed over channels, averaged over
    places and summed over stages: LPIPS (Zhang et al. 2018) without its learned weights. Differentiable.
    """
    return torch.stack(
        [
            (F.normalize(a, dim=1, eps=1e-10) - F.normalize(b, dim=1, eps=1e-10)).square().sum(dim=1).mean(dim=(1, 2))
            for a, b in zip(stages_a, stages_b, strict=True)
        ]
    ).sum(dim=0)
