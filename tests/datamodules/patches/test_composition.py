"""Every batch has its shares, and which window a patch shows hangs on its number alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from datamodules.patches.composition import ComposedOrder, Composition
from datamodules.patches.windows import Windows

CLASSES = 3


def windows(*kinds: tuple[int, int, int]) -> Windows:
    """Of (label, real, count)."""
    labels = torch.tensor([label for label, _, count in kinds for _ in range(count)])
    real = torch.tensor([real for _, real, count in kinds for _ in range(count)])
    images = torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8)
    return Windows(images, labels, labels, torch.zeros(len(labels), 4), real)


ALL = windows((3, 1, 50), *((label, 1, 4) for label in range(CLASSES)), *((label, 0, 9) for label in range(CLASSES)))


def order(made: float, *, seed: int = 0, block: int = 60, of: Windows = ALL) -> ComposedOrder:
    return ComposedOrder(of, Composition(CLASSES, 0.2, made), block=block, seed=seed)


@pytest.mark.parametrize("made", [0.0, 0.5, 0.75, 1.0])
def test_shares_of_a_batch(made: float) -> None:
    rows = torch.from_numpy(order(made)(np.arange(60)))
    labels, real = ALL.labels[rows], ALL.real[rows]
    assert labels.bincount().tolist() == [16, 16, 16, 12]
    for label in range(CLASSES):
        assert int((real[labels == label] == 0).sum()) == 16 * made
    assert real[labels == CLASSES].all()


def test_it_is_a_function_of_the_number() -> None:
    whole = order(0.5)(np.arange(180))
    parts = [order(0.5)(np.arange(first, first + 45)) for first in range(0, 180, 45)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert not np.array_equal(whole, order(0.5, seed=1)(np.arange(180)))
    assert not np.array_equal(whole[:60], whole[60:120])
    many = np.concatenate([order(0.5)(np.arange(first, first + 60)) for first in range(0, 6000, 60)])
    assert len(np.unique(many)) == len(ALL), "every window is shown"


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="batch_size=3 has no room for a patch of each of 4 classes: give 8 or more"):
        order(0.0, block=3)
    without = windows((3, 1, 5), (0, 1, 2), (1, 1, 2), (2, 1, 2))
    with pytest.raises(ValueError, match="class number 0 has no synthetic example: label one, draw some"):
        order(0.5, of=without)
