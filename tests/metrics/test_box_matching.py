"""Found against given boxes: overlaps and the most pairs, against brute force."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from metrics.box_matching import matches, overlaps


def boxes(count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    corner = random.uniform(0, 10, (count, 2))
    return np.concatenate([corner, corner + random.uniform(4, 12, (count, 2))], axis=1)


def test_overlaps_are_those_of_torchvision() -> None:
    first, second = boxes(9, 0), boxes(7, 1)
    second[0] += 100
    expected = box_iou(torch.from_numpy(first), torch.from_numpy(second))
    np.testing.assert_allclose(overlaps(first, second), expected, rtol=1e-12)
    assert overlaps(first[:0], second).shape == (0, 7)
    assert overlaps(np.array([[1.0, 1, 1, 1]]), np.array([[1.0, 1, 1, 1]])).tolist() == [[0.0]]  # no area, no division


@pytest.mark.parametrize("seed", range(6))
def test_there_are_as_many_pairs_as_can_be(seed: int) -> None:
    found, given = boxes(6, seed), boxes(5, 100 + seed)
    matched = matches(found, given, overlap=0.25)
    pairs = [(place, number) for number, place in enumerate(matched) if place >= 0]
    shares = overlaps(found, given)
    assert all(shares[pair] >= 0.25 for pair in pairs)
    assert len({place for place, _ in pairs}) == len(pairs)
    most = max(
        sum(shares[place, number] >= 0.25 for number, place in enumerate(order)) for order in permutations(range(6), 5)
    )
    assert len(pairs) == most


def test_a_greedy_choice_does_not_take_the_only_partner_of_another() -> None:
    """The first found box overlaps both given ones, the second found box the first given one alone."""
    found = np.array([[0.0, 0, 10, 10], [-4, 0, 6, 10]])
    given = np.array([[-1.0, 0, 9, 10], [3, 0, 13, 10]])
    assert matches(found, given).tolist() == [1, 0]
    assert matches(found[:1], given).tolist().count(-1) == 1


def test_an_overlap_of_exactly_the_threshold_counts() -> None:
    half = np.array([[0.0, 0, 10, 5]])
    assert matches(half, np.array([[0.0, 0, 10, 10]]), overlap=0.5).tolist() == [0]
    assert matches(half, np.array([[0.0, 0, 10, 10]]), overlap=0.51).tolist() == [-1]
    assert matches(half[:0], half).tolist() == [-1]
    assert matches(half, half[:0]).tolist() == []
    with pytest.raises(ValueError, match="overlap must be above 0 and at most 1, got 0"):
        matches(half, half, overlap=0)
