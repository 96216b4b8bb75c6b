"""Many codes, one image: features of several latents weighed channel by channel and added up (eqs. 4.3 and 4.4)."""

from __future__ import annotations

import torch
from torch import Tensor


def composed(features: Tensor, importance: Tensor) -> Tensor:
    """sum over n of F_n * alpha_n: features [B, N, C, H, W] and the codes' importance [B, N, C] -> [B, C, H, W].

    What follows in the generator opens with a pixel norm, so only the directions of all alpha of an image together matter.
    """
    return torch.einsum("bnchw,bnc->bchw", features, importance)


def shares_of_codes(features: Tensor, importance: Tensor) -> Tensor:
    """How much each code draws at each place: sum over c of |F_n,c alpha_n,c|, over that of all codes: [B, N, H, W]."""
    amounts = torch.einsum("bnchw,bnc->bnhw", features.abs(), importance.abs())
    return amounts / amounts.sum(dim=1, keepdim=True).clamp(min=torch.finfo(amounts.dtype).tiny)
