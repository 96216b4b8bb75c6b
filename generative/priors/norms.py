"""Norms of latents and of their midpoints under isotropic laws."""

from __future__ import annotations

import math

import numpy as np

SMALLEST_ANGLES = 64  # enough up to dimension 450; the peak of the angles' law narrows as 1 / sqrt(dim)


def cosines(dim: int) -> tuple[np.ndarray, np.ndarray]:
    """The cosine c between two directions uniform on the sphere of ``dim`` dimensions: nodes and weights of a quadrature.

    c = 2 Beta((dim - 1) / 2, (dim - 1) / 2) - 1, so the angle has a density in proportion to sin^(dim - 2); the rule takes
    the middles of equal parts of [0, pi]. Gauss nodes would leave out nearly parallel pairs from dimension 50 on, and
    only those have midpoints near the largest norm. Dimension 1 has the cosines -1 and 1.
    """
    if dim == 1:
        return np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    count = max(SMALLEST_ANGLES, 3 * math.isqrt(dim))
    angles = (np.arange(count) + 0.5) * (math.pi / count)
    weights = np.sin(angles) ** (dim - 2)
    return np.cos(angles), weights / weights.sum()
