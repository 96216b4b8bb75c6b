"""Which found boxes stand for which given ones, and what follows: recall, precision and false calls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

Boxes = NDArray[np.float64]


def overlaps(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Intersection over union, from 0 to 1, of boxes [N, 4] and [M, 4] (left, top, right, bottom): [N, M]."""
    sides = np.minimum(first[:, None, 2:], second[:, 2:]) - np.maximum(first[:, None, :2], second[:, :2])
    both = np.clip(sides, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1] - both
    return np.divide(both, union, out=np.zeros_like(both), where=union > 0)


def matches(found: Boxes, given: Boxes, *, overlap: float = 0.5) -> NDArray[np.int64]:
    """The number of the found box [N, 4] that stands for each of the given ones [M, 4], -1 where none does: int64 [M].

    As many pairs as there can be of which each has an intersection over union of at least ``overlap``, every box in one pair
    at most: so the order of boxes, which here have no score to be sorted by, does not matter to the count.
    """
    if not 0 < overlap <= 1:
        raise ValueError(f"overlap must be above 0 and at most 1, got {overlap}")
    if not len(found) or not len(given):
        return np.full(len(given), -1, dtype=np.int64)
    allowed = csr_array(overlaps(given, found) >= overlap)
    return np.asarray(maximum_bipartite_matching(allowed, perm_type="column"), dtype=np.int64)
