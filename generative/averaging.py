"""Exponential moving average of a network's weights, with its half-life counted in images."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def average_decay(batch_images: int, *, half_life_images: float, images_seen: int, ramp_up: float = 0.05) -> float:
    """Share of the old average that survives a step of ``batch_images``: 0.5 ** (batch / half-life).

    Early on the half-life is held to ``ramp_up`` of the images seen, so that the random start is forgotten.
    """
    if half_life_images <= 0:
        raise ValueError(f"half_life_images must be positive, got {half_life_images}")
    half_life = min(half_life_images, max(ramp_up * images_seen, 1e-8)) if ramp_up > 0 else half_life_images
    return 0.5 ** (batch_images / half_life)


def averaged_copy(network: Network) -> Network:
    """A copy of ``network`` in evaluation mode, without gradients: the start of its average."""
    return copy.deepcopy(network).eval().requires_grad_(False)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the average's parameters towards the network's by ``1 - decay`` and copy its buffers."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1.0 - decay)
    for kept, current in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(current)
