"""Distances between two sets of features [N, D], one row an image. Pure functions; statistics are float64."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from generative.randomness import Stream


def gaussian_statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [D] and unbiased covariance [D, D] of features [N, D], in float64."""
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"statistics need at least 2 rows of features, got shape {tuple(features.shape)}")
    rows = features.double()
    mean = rows.mean(dim=0)
    centred = rows - mean
    return mean, centred.T @ centred / (len(rows) - 1)


def symmetric_root(matrix: Tensor) -> Tensor:
    """Square root of a positive semi-definite matrix [D, D]; eigenvalues below 0 are rounding and count as 0."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def trace_of_root(covariance_a: Tensor, covariance_b: Tensor) -> Tensor:
    """tr (C_a C_b)^(1/2) of two covariances [D, D] in float64: real also where one of them is singular.

    With C = L L' of one of them it is the sum of the roots of the eigenvalues of L' C_other L, a symmetric matrix;
    where neither has a Cholesky factor the symmetric root takes the factor's place.
    """
    for one, other in ((covariance_a, covariance_b), (covariance_b, covariance_a)):
        factor, failed = torch.linalg.cholesky_ex(one)
        if not failed:
            return torch.linalg.eigvalsh(factor.T @ other @ factor).clamp(min=0).sqrt().sum()
    root = symmetric_root(covariance_a)
    return torch.linalg.eigvalsh(root @ covariance_b @ root).clamp(min=0).sqrt().sum()


def frechet_distance(mean_a: Tensor, covariance_a: Tensor, mean_b: Tensor, covariance_b: Tensor) -> Tensor:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) between two Gaussians (dissertation eq. 2.9), in float64."""
    overlap = trace_of_root(covariance_a.double(), covariance_b.double())
    shift = (mean_a.double() - mean_b.double()).square().sum()
    return shift + covariance_a.double().trace() + covariance_b.double().trace() - 2.0 * overlap


def frechet_distance_of_features(a: Tensor, b: Tensor) -> Tensor:
    """The Frechet distance of features [N, D] and [M, D].

    With fewer rows than dimensions on one side the covariances are never formed: tr (C_a C_b)^(1/2) is the nuclear
    norm of X_a X_b' over sqrt((N - 1)(M - 1)) with centred rows X. That is exact where the eigenvalues of a product
    of two singular matrices are not, and much faster.
    """
    if min(len(a), len(b)) >= a.shape[1]:
        return frechet_distance(*gaussian_statistics(a), *gaussian_statistics(b))
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a Frechet distance needs at least 2 images on each side, got {len(a)} and {len(b)}")
    a, b = a.double(), b.double()
    mean_a, mean_b = a.mean(dim=0), b.mean(dim=0)
    rows_a, rows_b = (a - mean_a) / math.sqrt(len(a) - 1), (b - mean_b) / math.sqrt(len(b) - 1)
    overlap = torch.linalg.svdvals(rows_a @ rows_b.T).sum()
    return (mean_a - mean_b).square().sum() + rows_a.square().sum() + rows_b.square().sum() - 2.0 * overlap


def polynomial_mmd(a: Tensor, b: Tensor) -> Tensor:
    """Unbiased squared maximum mean discrepancy with the kernel (x . y / D + 1)^3 (Binkowski et al. 2018), float64."""
    a, b = a.double(), b.double()

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1.0) ** 3

    def mean_off_diagonal(k: Tensor) -> Tensor:
        return (k.sum() - k.trace()) / (len(k) * (len(k) - 1))

    return mean_off_diagonal(kernel(a, a)) + mean_off_diagonal(kernel(b, b)) - 2.0 * kernel(a, b).mean()


def kernel_distance(
    real: Tensor, fake: Tensor, *, num_subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Kernel distance (KID in Inception features): mean over subsets and its standard error.

    Subsets are drawn without replacement by a generator of their own; with fewer images than ``subset_size`` on a
    side the subsets are as large as that side.
    """
    size = min(subset_size, len(real), len(fake))
    if size < 2:
        raise ValueError(f"a kernel distance needs at least 2 images on each side, got {len(real)} and {len(fake)}")
    if size == len(real) == len(fake):
        num_subsets = 1  # every subset is the whole
    generator = np.random.Generator(np.random.Philox(key=Stream(seed, "kernel distance").key))
    values = []
    for _ in range(num_subsets):
        rows = [torch.from_numpy(generator.choice(len(part), size, replace=False)) for part in (real, fake)]
        values.append(float(polynomial_mmd(real[rows[0]], fake[rows[1]])))
    error = float(np.std(values, ddof=1) / math.sqrt(num_subsets)) if num_subsets > 1 else math.nan
    return float(np.mean(values)), error


def inception_score(logits: Tensor, *, num_splits: int = 10, seed: int | None = 0) -> tuple[float, float]:
    """exp E KL(p(y|x) || p(y)) of logits [N, classes]: mean and standard deviation over splits, in float64.

    Rows are shuffled by a private generator first (``seed`` None: left in order), for a score of class-sorted rows
    depends on their order. Finite on saturated logits: logarithms are taken of sums of exponentials.
    """
    if not 1 <= num_splits <= len(logits):
        raise ValueError(f"{len(logits)} images cannot be cut into {num_splits} splits")
    rows = logits.double()
    if seed is not None:
        order = np.random.Generator(np.random.Philox(key=Stream(seed, "inception score").key)).permutation(len(rows))
        rows = rows[torch.from_numpy(order)]
    scores = []
    for split in range(num_splits):
        log_p = rows[split * len(rows) // num_splits : (split + 1) * len(rows) // num_splits].log_softmax(dim=1)
        log_marginal = log_p.logsumexp(dim=0) - math.log(len(log_p))
        scores.append(float((log_p.exp() * (log_p - log_marginal)).sum(dim=1).mean().exp()))
    return float(np.mean(scores)), float(np.std(scores))


@dataclass(frozen=True)
class Manifolds:
    """Shares in [0, 1] but for ``density``, which has no upper bound."""

    precision: float
    recall: float
    density: float
    coverage: float


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """|a_i - b_j|^2 of rows [N, D] and [M, D] by one matrix product: [N, M], at least 0."""
    norms = a.square().sum(dim=1)[:, None] + b.square().sum(dim=1)
    return torch.addmm(norms, a, b.T, alpha=-2.0).clamp_(min=0)


def squared_radii(features: Tensor, *, num_neighbours: int, chunk: int) -> Tensor:
    """Squared distance of each row of [N, D] to its k-th nearest other row: [N]."""
    if len(features) <= num_neighbours:
        raise ValueError(f"{num_neighbours} neighbours need more than {num_neighbours} images, got {len(features)}")
    # The nearest row is the row itself, at distance 0: hence k + 1. Each block of the symmetric matrix serves its rows
    # and its columns, so only one half of the products is made.
    blocks = features.split(chunk)
    nearest = [
        torch.full((len(rows), num_neighbours + 1), math.inf, dtype=rows.dtype, device=rows.device) for rows in blocks
    ]
    for i, rows in enumerate(blocks):
        for j in range(i, len(blocks)):
            distances = squared_distances(rows, blocks[j])
            nearest[i] = smallest(
                torch.cat([nearest[i], smallest(distances, num_neighbours + 1)], dim=1), num_neighbours + 1
            )
            if j > i:
                column_wise = smallest(distances.T.contiguous(), num_neighbours + 1)
                nearest[j] = smallest(torch.cat([nearest[j], column_wise], dim=1), num_neighbours + 1)
    return torch.cat(nearest).amax(dim=1)


def smallest(values: Tensor, count: int) -> Tensor:
    """The ``count`` smallest of each row [N, M], in any order (all, where a row is shorter): [N, count]."""
    return values.topk(min(count, values.shape[1]), dim=1, largest=False, sorted=False).values


def manifolds(real: Tensor, fake: Tensor, *, num_neighbours: int = 3, chunk: int = 1024) -> Manifolds:
    """Improved precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020).

    The manifold of a set is the union of balls around its rows that reach their k-th neighbour. Precision: share of
    the fakes in the real manifold; recall: share of the real in the fakes' manifold; density: mean number of real
    balls that hold a fake, over k; coverage: share of the real balls that hold a fake. The cross distances are made
    once, ``chunk`` rows at a time, in the precision of the features.
    """
    centre = real.mean(dim=0)  # distances stay, and lose less to cancellation
    real, fake = real - centre, fake - centre
    real_radii = squared_radii(real, num_neighbours=num_neighbours, chunk=chunk)
    fake_radii = squared_radii(fake, num_neighbours=num_neighbours, chunk=chunk)
    in_real_balls: list[Tensor] = []
    in_fake = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    covered = torch.zeros_like(in_fake)
    for rows, radii in zip(fake.split(chunk), fake_radii.split(chunk), strict=True):
        distances = squared_distances(rows, real)
        inside = distances <= real_radii
        in_real_balls.append(inside.sum(dim=1))
        covered |= inside.any(dim=0)
        in_fake |= (distances <= radii[:, None]).any(dim=0)
    counts = torch.cat(in_real_balls).double()
    return Manifolds(
        precision=(counts > 0).double().mean().item(),
        recall=in_fake.double().mean().item(),
        density=counts.mean().item() / num_neighbours,
        coverage=covered.double().mean().item(),
    )


def authenticity(train: Tensor, fake: Tensor, *, chunk: int = 1024) -> float:
    """Share of the fakes that are no copies of training rows (Alaa et al. 2022).

    A fake counts as a copy where it is nearer to its nearest training row than that row is to any other. Fresh draws
    of the data's own distribution score about one half; a memorised training set scores 0.
    """
    own = squared_radii(train, num_neighbours=1, chunk=chunk)
    authentic = []
    for rows in fake.split(chunk):
        nearest = squared_distances(rows, train).min(dim=1)
        authentic.append(nearest.values > own[nearest.indices])
    return torch.cat(authentic).double().mean().item()
