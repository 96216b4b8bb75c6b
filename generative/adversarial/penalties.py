"""Penalties on a critic's gradient."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def r1_penalty(real_logits: Tensor, real_images: Tensor) -> Tensor:
    """E |grad_x D(x)|^2 at real images [B, C, H, W] (Mescheder et al. 2018), without the factor gamma / 2.

    ``real_images`` must require a gradient and ``real_logits`` [B] must depend on it, image by image.
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), real_images, create_graph=True)
    return gradient.square().flatten(1).sum(dim=1).mean()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real_images: Tensor, fake_images: Tensor, shares: Tensor
) -> Tensor:
    """E (|grad_x D(x)| - 1)^2 at x = share * real + (1 - share) * fake (Gulrajani et al. 2017), without the factor 10.

    Images [B, C, H, W] of both kinds and ``shares`` [B] in [0, 1]; ``critic``: images -> logits [B], image by image.
    """
    between = torch.lerp(fake_images.detach(), real_images, shares.view(-1, 1, 1, 1)).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1.0).square().mean()


def drift_penalty(real_logits: Tensor) -> Tensor:
    """E D(x)^2 at real images, from their logits [B] (Karras et al. 2018, appendix A.1), without the factor 0.001.

    A Wasserstein loss knows differences of logits alone; this keeps them near 0.
    """
    return real_logits.square().mean()
