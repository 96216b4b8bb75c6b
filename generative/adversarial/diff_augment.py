"""DiffAugment (Zhao et al. 2020): what a critic sees of an image is changed at random, differentiably, real and fake alike.

Functions of given random numbers, as all augmentations of the house: on any rank, and in any part of a batch, the same.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from generative.checks import check_choice

POLICIES = {"color": 3, "translation": 2, "cutout": 2}  # name: uniform numbers an image


def num_draws(policies: tuple[str, ...]) -> int:
    """How many uniform numbers an image these policies take; ValueError for one that there is not."""
    for name in policies:
        check_choice("policy", name, tuple(POLICIES))
    return sum(POLICIES[name] for name in policies)


def diff_augment(
    images: Tensor, uniform: Tensor, *, policies: tuple[str, ...], translation: float, cutout: float
) -> Tensor:
    """Images [B, C, H, W] in [-1, 1], changed by ``policies`` in order; ``uniform`` [B, num_draws] in [0, 1) says how.

    ``translation``: the largest move and ``cutout``: the square's side, as shares of the image's.
    """
    if uniform.shape != (len(images), num_draws(policies)):
        raise ValueError(
            f"{len(images)} images need random numbers [{len(images)}, {num_draws(policies)}], got {list(uniform.shape)}"
        )
    draws = uniform.to(images).split([POLICIES[name] for name in policies], dim=1)
    for name, own in zip(policies, draws, strict=True):
        if name == "color":
            images = recolored(images, own)
        elif name == "translation":
            images = translated(images, own, share=translation)
        else:
            images = cut_out(images, own, share=cutout)
    return images


def recolored(images: Tensor, uniform: Tensor) -> Tensor:
    """Brighter or darker by up to 0.5, 0 to 2 times the saturation, then 0.5 to 1.5 times the contrast; ``uniform`` [B, 3]."""
    brightness, saturation, contrast = uniform.view(-1, 3, 1, 1, 1).unbind(dim=1)
    x = images + (brightness - 0.5)
    grey = x.mean(dim=1, keepdim=True)
    x = (x - grey) * (2.0 * saturation) + grey
    level = x.mean(dim=(1, 2, 3), keepdim=True)
    return (x - level) * (contrast + 0.5) + level


def translated(images: Tensor, uniform: Tensor, *, share: float) -> Tensor:
    """Moved down and right, or back, by whole pixels up to ``share`` of the side, 0 coming in; ``uniform`` [B, 2]."""
    height, width = images.shape[2:]
    most = [round(side * share) for side in (height, width)]
    moves = [(uniform[:, axis] * (2 * m + 1)).long().clamp(max=2 * m) for axis, m in enumerate(most)]
    padded = F.pad(images, (most[1], most[1], most[0], most[0]))
    rows = torch.arange(height, device=images.device) + moves[0][:, None]
    columns = torch.arange(width, device=images.device) + moves[1][:, None]
    first = torch.arange(len(images), device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[first, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cut_out(images: Tensor, uniform: Tensor, *, share: float) -> Tensor:
    """0 in a square of ``share`` of the side, whose middle lies anywhere on the image; ``uniform`` [B, 2]."""
    inside = None
    for axis, side in enumerate(images.shape[2:]):
        length = round(side * share)
        # The first pixel, so that the middle is uniform over the image; what lies beside it is cut off.
        first = (uniform[:, axis] * (side + 1 - length % 2)).long() - length // 2
        place = torch.arange(side, device=images.device) - first[:, None]
        own = (place >= 0) & (place < length)
        inside = own[:, :, None] if inside is None else inside & own[:, None, :]
    assert inside is not None
    return images * ~inside[:, None]
