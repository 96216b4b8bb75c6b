"""Patches in another order."""

from __future__ import annotations

import math

import pytest
import torch

from generative.rendering.patches import other_orders, patch_orders, shuffle_patches


def test_patches_are_permuted_and_come_back() -> None:
    images = torch.rand(3, 3, 8, 8)
    orders = patch_orders(torch.tensor([5, 0, 9]), 4, seed=2)
    assert orders.sort(dim=1).values.equal(torch.arange(16).expand(3, -1))
    mixed = shuffle_patches(images, orders)
    for i in range(3):
        for place, source in enumerate(orders[i].tolist()):
            (to_row, to_column), (row, column) = divmod(place, 4), divmod(source, 4)
            patch = images[i, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert torch.equal(mixed[i, :, 2 * to_row : 2 * to_row + 2, 2 * to_column : 2 * to_column + 2], patch)
    assert torch.equal(shuffle_patches(mixed, orders.argsort(dim=1)), images)
    assert torch.equal(patch_orders(torch.tensor([9]), 4, seed=2), orders[2:]), "of the image's number alone"
    assert not torch.equal(patch_orders(torch.tensor([9]), 4, seed=3), orders[2:])
    with pytest.raises(ValueError, match="images of 8 x 8 pixels cannot be cut in 3 x 3 patches: leave out 3"):
        shuffle_patches(images, patch_orders(torch.arange(3), 3, seed=0))


@pytest.mark.parametrize("side", [1, 2])
def test_all_other_orders(side: int) -> None:
    orders = other_orders(side)
    count = side * side
    assert orders.shape == (math.factorial(count) - 1, count) if count > 1 else len(orders) == 0
    assert len({tuple(order) for order in orders.tolist()} - {tuple(range(count))}) == math.factorial(count) - 1
