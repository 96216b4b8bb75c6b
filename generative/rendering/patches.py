"""Images cut in patches that lie in another order: what is near a pixel stays, what an object is of is lost."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from generative.randomness import Stream


def patch_orders(numbers: Tensor, side: int, *, seed: int) -> Tensor:
    """For each image number the order of its ``side`` x ``side`` patches, a permutation: int64 [B, side * side]."""
    stream = Stream(seed, f"patches {side}")
    return torch.cat([stream.uniform(number, 1, side * side).argsort(dim=1) for number in numbers.tolist()])


def other_orders(side: int) -> Tensor:
    """All orders of ``side`` x ``side`` patches but the one they have: int64 [(side * side)! - 1, side * side]."""
    return torch.tensor(list(itertools.permutations(range(side * side)))[1:])


def shuffle_patches(images: Tensor, orders: Tensor) -> Tensor:
    """Images [B, C, H, W] cut in k x k patches that lie in another order: orders [B, k * k]."""
    side = math.isqrt(orders.shape[1])
    height, width = images.shape[2:]
    if height % side or width % side:
        raise ValueError(
            f"images of {height} x {width} pixels cannot be cut in {side} x {side} patches: leave out {side}"
        )
    patches = images.unflatten(3, (side, -1)).unflatten(2, (side, -1))  # [B, C, k, h, k, w]
    patches = patches.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)  # [B, k * k, C, h, w]
    patches = patches[torch.arange(len(images))[:, None], orders]
    return patches.unflatten(1, (side, side)).permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
