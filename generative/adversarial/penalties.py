"""Penalties on a critic's gradient."""

from __future__ import annotations

import torch
from torch import Tensor


def r1_penalty(real_logits: Tensor, real_images: Tensor) -> Tensor:
    """E |grad_x D(x)|^2 at real images [B, C, H, W] (Mescheder et al. 2018), without the factor gamma / 2.

    ``real_images`` must require a gradient and ``real_logits`` [B] must depend on it, image by image.
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), real_images, create_graph=True)
    return gradient.square().flatten(1).sum(dim=1).mean()
