"""Distances between two sets of features [N, D], one row an image. Pure functions; statistics are float64."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from generative.adversarial.mmd import unbiased_mmd
from generative.randomness import Stream

KERNEL_CHUNK = 2048  # rows of a kernel matrix at a time


class Gaussian(NamedTuple):
    """Mean [D] and unbiased covariance of ``num_rows`` rows of features, in float64.

    With at most D rows the covariance C is kept as its exact factor X [num_rows, D], centred rows over
    sqrt(num_rows - 1), C = X'X; with more it is stored whole, [D, D]. The other of the two is None.
    """

    num_rows: int
    mean: Tensor
    covariance: Tensor | None = None
    factor: Tensor | None = None

    @classmethod
    def of(cls, features: Tensor) -> Gaussian:
        """The statistics of features [N, D]; ValueError with fewer than 2 rows."""
        if features.ndim != 2 or len(features) < 2:
            raise ValueError(f"statistics need at least 2 rows of features, got shape {tuple(features.shape)}")
        rows = features.double()
        mean = rows.mean(dim=0)
        factor = (rows - mean) / math.sqrt(len(rows) - 1)
        if len(rows) <= rows.shape[1]:
            return cls(len(rows), mean, factor=factor)
        return cls(len(rows), mean, covariance=factor.T @ factor)

    @classmethod
    def of_sums(cls, num_rows: int, total: Tensor, outer: Tensor) -> Gaussian:
        """From the sum of the rows [D] and the sum of their outer products [D, D]."""
        mean = total / num_rows
        return cls(num_rows, mean, covariance=(outer - num_rows * torch.outer(mean, mean)) / (num_rows - 1))

    def to(self, device: torch.device) -> Gaussian:
        parts = (None if part is None else part.to(device) for part in (self.covariance, self.factor))
        return Gaussian(self.num_rows, self.mean.to(device), *parts)

    def trace(self) -> Tensor:
        """tr C."""
        return self.factor.square().sum() if self.factor is not None else self.full_covariance().trace()

    def full_covariance(self) -> Tensor:
        if self.covariance is not None:
            return self.covariance
        assert self.factor is not None
        return self.factor.T @ self.factor


def symmetric_root(matrix: Tensor) -> Tensor:
    """Square root of a positive semi-definite matrix [D, D]; eigenvalues below 0 are rounding and count as 0."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def sum_of_roots(eigenvalues: Tensor) -> Tensor:
    return eigenvalues.clamp(min=0).sqrt().sum()


def product_eigenvalues(a: Tensor, b: Tensor) -> Tensor | None:
    """Eigenvalues [D] of the product of a symmetric and a positive definite matrix [D, D]; None if ``b`` is singular.

    They are those of L'aL with b = LL', a symmetric matrix: on the processor by LAPACK's generalised solver, which
    makes L'aL in a quarter of the operations of two products.
    """
    if a.is_cuda:
        factor, failed = torch.linalg.cholesky_ex(b)
        return None if failed else torch.linalg.eigvalsh(factor.T @ a @ factor)
    try:
        # Transposed, which changes nothing in them, they have the order of LAPACK and are copied in a fifth of the time.
        values = scipy.linalg.eigh(a.numpy().T, b.numpy().T, type=2, driver="gv", eigvals_only=True, check_finite=False)
    except np.linalg.LinAlgError:
        return None
    return torch.from_numpy(values)


def trace_of_root(a: Gaussian, b: Gaussian) -> Tensor:
    """tr (C_a C_b)^(1/2), real and finite also where a covariance is singular.

    Two factors: the nuclear norm of X_a X_b', exact where the eigenvalues of a product of two singular matrices are
    not, and much faster. One factor: the roots of the eigenvalues of X C X'. None: those of C_a C_b, and where both
    are singular those of C_a^(1/2) C_b C_a^(1/2).
    """
    if a.factor is not None and b.factor is not None:
        return torch.linalg.svdvals(a.factor @ b.factor.T).sum()
    for one, other in ((a, b), (b, a)):
        if one.factor is not None:
            # Centred rows: the smallest eigenvalue is 0, and the root of its rounding would be a millionth.
            return sum_of_roots(torch.linalg.eigvalsh(one.factor @ other.full_covariance() @ one.factor.T)[1:])
    covariance_a, covariance_b = a.full_covariance(), b.full_covariance()
    for left, right in ((covariance_a, covariance_b), (covariance_b, covariance_a)):
        values = product_eigenvalues(left, right)
        if values is not None:
            return sum_of_roots(values)
    root = symmetric_root(covariance_a)
    return sum_of_roots(torch.linalg.eigvalsh(root @ covariance_b @ root))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) between two Gaussians (dissertation eq. 2.9), at least 0."""
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"features of {len(a.mean)} and of {len(b.mean)} numbers cannot be compared")
    shift = (a.mean - b.mean).square().sum()
    # Of two equal Gaussians the rounding of the traces is left, which may lie below 0.
    return float((shift + a.trace() + b.trace() - 2.0 * trace_of_root(a, b)).clamp(min=0))


def kernel(x: Tensor, y: Tensor) -> Tensor:
    """(x . y / D + 1)^3 of rows [N, D] and [M, D]: [N, M] (Binkowski et al. 2018)."""
    return (x @ y.T / x.shape[1] + 1.0) ** 3


def polynomial_mmd(a: Tensor, b: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy under :func:`kernel` of rows [N, D] and [M, D], in float64."""
    a, b = a.double(), b.double()
    return float(unbiased_mmd(kernel(a, a), kernel(b, b), kernel(a, b)))


def jackknife_variance(left_out: Tensor) -> Tensor:
    """Variance of an estimate from its values [N] with one observation left out each."""
    return (len(left_out) - 1) * left_out.var(correction=0)


def polynomial_mmd_with_error(a: Tensor, b: Tensor) -> tuple[float, float]:
    """:func:`polynomial_mmd` and its standard error by the jackknife over the images of both sides.

    The error is NaN with fewer than 3 images on a side.
    """
    sides = (a.double(), b.double())

    def row_sums(x: Tensor, y: Tensor) -> Tensor:
        return torch.cat([kernel(rows, y).sum(dim=1) for rows in x.split(KERNEL_CHUNK)])

    within = [row_sums(x, x) - (x.square().mean(dim=1) + 1.0) ** 3 for x in sides]
    across = (row_sums(sides[0], sides[1]), row_sums(sides[1], sides[0]))
    n, m = len(a), len(b)
    cross = across[0].sum() / (n * m)
    means = [sums.sum() / (len(sums) * (len(sums) - 1)) for sums in within]
    value = float(means[0] + means[1] - 2.0 * cross)
    if min(n, m) < 3:
        return value, math.nan
    variance = torch.zeros((), dtype=torch.float64, device=a.device)
    for own, other in ((0, 1), (1, 0)):
        count = len(sides[own])
        own_mean = (within[own].sum() - 2.0 * within[own]) / ((count - 1) * (count - 2))
        own_cross = (across[own].sum() - across[own]) / ((count - 1) * len(sides[other]))
        variance += jackknife_variance(own_mean - 2.0 * own_cross)
    return value, float(variance.sqrt())


def kernel_distance(
    real: Tensor, fake: Tensor, *, num_subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Kernel distance (KID in Inception features) of rows [N, D] and [M, D], and its standard error.

    The mean over subsets drawn without replacement by a generator of their own. Subsets share images, so their spread
    s understates the error: the variance is s^2 (1 / num_subsets + b / (N - b)) for b of the N images of the smaller
    side. With fewer than twice ``subset_size`` images on a side all images enter at once (of a larger side at most ten
    times ``subset_size``, chosen as the subsets are) and the error is the jackknife's.
    """
    fewest = min(len(real), len(fake))
    if fewest < 2:
        raise ValueError(f"a kernel distance needs at least 2 images on each side, got {len(real)} and {len(fake)}")
    generator = np.random.Generator(np.random.Philox(key=Stream(seed, "kernel distance").key))

    def some(rows: Tensor, size: int) -> Tensor:
        return rows[torch.from_numpy(generator.choice(len(rows), size, replace=False)).to(rows.device)]

    if fewest < 2 * subset_size:
        most = 10 * subset_size
        return polynomial_mmd_with_error(*(some(rows, most) if len(rows) > most else rows for rows in (real, fake)))
    values = [polynomial_mmd(some(real, subset_size), some(fake, subset_size)) for _ in range(num_subsets)]
    spread = float(np.std(values, ddof=1)) if num_subsets > 1 else math.nan
    return float(np.mean(values)), spread * math.sqrt(1.0 / num_subsets + subset_size / (fewest - subset_size))


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
    centre = train.mean(dim=0)  # distances stay, and those of near copies lose less to cancellation
    train, fake = train - centre, fake - centre
    own = squared_radii(train, num_neighbours=1, chunk=chunk).sqrt()
    distances, nearest = nearest_rows(fake, train, chunk=chunk)
    return (distances > own[nearest]).double().mean().item()


def nearest_rows(features: Tensor, others: Tensor, *, chunk: int = 1024) -> tuple[Tensor, Tensor]:
    """For each row of [N, D] its nearest row of ``others`` [M, D]: distances [N] and row numbers [N]."""
    found = [squared_distances(rows, others).min(dim=1) for rows in features.split(chunk)]
    return torch.cat([part.values for part in found]).sqrt(), torch.cat([part.indices for part in found])
