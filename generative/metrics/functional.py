"""Distances between two sets of features [N, D], one row an image. Pure functions in float64."""

from __future__ import annotations

import torch
from torch import Tensor


def gaussian_statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [D] and unbiased covariance [D, D] of features [N, D], in float64."""
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"statistics need at least 2 rows of features, got shape {tuple(features.shape)}")
    rows = features.double()
    return rows.mean(dim=0), torch.cov(rows.T).reshape(rows.shape[1], rows.shape[1])


def symmetric_root(matrix: Tensor) -> Tensor:
    """Square root of a positive semi-definite matrix [D, D]; eigenvalues below 0 are rounding and count as 0."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def frechet_distance(mean_a: Tensor, covariance_a: Tensor, mean_b: Tensor, covariance_b: Tensor) -> Tensor:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) between two Gaussians (dissertation eq. 2.9), in float64.

    The last trace is that of (R C_b R)^(1/2) with R the symmetric root of C_a: eigenvalues of a symmetric matrix,
    so the value is real also where a covariance is singular.
    """
    root = symmetric_root(covariance_a.double())
    overlap = torch.linalg.eigvalsh(root @ covariance_b.double() @ root).clamp(min=0).sqrt().sum()
    shift = (mean_a.double() - mean_b.double()).square().sum()
    return shift + covariance_a.double().trace() + covariance_b.double().trace() - 2.0 * overlap


def neighbour_radii(features: Tensor, *, num_neighbours: int, chunk: int = 1024) -> Tensor:
    """Distance of each row of [N, D] to its k-th nearest other row: [N]."""
    if len(features) <= num_neighbours:
        raise ValueError(f"{num_neighbours} neighbours need more than {num_neighbours} images, got {len(features)}")
    # The nearest row is the row itself, at distance 0: hence k + 1.
    parts = [torch.cdist(rows, features).kthvalue(num_neighbours + 1, dim=1).values for rows in features.split(chunk)]
    return torch.cat(parts)


def precision_recall(real: Tensor, fake: Tensor, *, num_neighbours: int = 3, chunk: int = 1024) -> tuple[float, float]:
    """Improved precision and recall (Kynkaanniemi et al. 2019) of features [N, D] and [M, D], in float64.

    The manifold of a set is the union of balls around its rows that reach their k-th neighbour. Precision: share
    of the fakes in the manifold of the real; recall: share of the real in the manifold of the fakes.
    """
    real, fake = real.double(), fake.double()
    real_radii = neighbour_radii(real, num_neighbours=num_neighbours, chunk=chunk)
    fake_radii = neighbour_radii(fake, num_neighbours=num_neighbours, chunk=chunk)
    in_real: list[Tensor] = []
    in_fake = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    for rows, radii in zip(fake.split(chunk), fake_radii.split(chunk), strict=True):
        distances = torch.cdist(rows, real)
        in_real.append((distances <= real_radii).any(dim=1))
        in_fake |= (distances <= radii[:, None]).any(dim=0)
    return torch.cat(in_real).double().mean().item(), in_fake.double().mean().item()
