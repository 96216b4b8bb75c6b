"""Maximum mean discrepancy (Gretton et al. 2012) as a loss: the distance of two laws by a kernel, fixed or learned."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

BANDWIDTHS = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)  # of generative moment matching networks (Li et al. 2015)
SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # of the kernel of Wasserstein autoencoders, in their public code


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """|x_i - y_j|^2 of rows [..., N, D] and [..., M, D]: [..., N, M], by one product of matrices."""
    centre = x.mean(dim=-2, keepdim=True)  # near 0 the three terms are no larger than what is left of them
    x, y = x - centre, y - centre
    norms = x.square().sum(dim=-1).unsqueeze(-1) + y.square().sum(dim=-1).unsqueeze(-2)
    return norms - 2.0 * x @ y.transpose(-2, -1)


def gaussian_mixture(x: Tensor, y: Tensor, *, bandwidths: Sequence[float] = BANDWIDTHS) -> Tensor:
    """k(x, y), the mean of exp(-|x - y|^2 / (2 b)) over the ``bandwidths`` b: rows as above, 1 where x = y.

    A bandwidth is the variance of its Gaussian, in squared units of the rows, as in the cited paper.
    """
    distances = squared_distances(x, y)
    return torch.stack([(distances / (-2.0 * bandwidth)).exp() for bandwidth in bandwidths]).mean(dim=0)


def mean_off_diagonal(matrix: Tensor) -> Tensor:
    """Of square matrices [..., N, N], N at least 2: [...]."""
    size = matrix.shape[-1]
    total = matrix.sum(dim=(-2, -1)) - matrix.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    return total / (size * (size - 1))


def unbiased_mmd(within_x: Tensor, within_y: Tensor, across: Tensor) -> Tensor:
    """MMD^2 = E k(x, x') - 2 E k(x, y) + E k(y, y') without the pairs of a row and itself: [...].

    Kernel matrices [..., N, N], [..., M, M] and [..., N, M]. The mean over samples is that of their laws, so that the
    estimate from two samples of one law lies below 0 about as often as above.
    """
    return mean_off_diagonal(within_x) + mean_off_diagonal(within_y) - 2.0 * across.mean(dim=(-2, -1))


def gaussian_mmd(x: Tensor, y: Tensor, *, bandwidths: Sequence[float] = BANDWIDTHS) -> Tensor:
    """:func:`unbiased_mmd` under :func:`gaussian_mixture` of groups of rows [G, N, D] and [G, M, D], its mean over groups."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return gaussian_mixture(a, b, bandwidths=bandwidths)

    return unbiased_mmd(kernel(x, x), kernel(y, y), kernel(x, y)).mean()


def witness(points: Tensor, x: Tensor, y: Tensor, *, bandwidths: Sequence[float] = BANDWIDTHS) -> Tensor:
    """E k(p, x) - E k(p, y) at points [G, P, D] for groups of rows [G, N, D] and [G, M, D]: [G, P].

    Where the kernel says that the first law is the denser one: what a critic's logit is to other losses.
    """
    towards_x, towards_y = (gaussian_mixture(points, rows, bandwidths=bandwidths).mean(dim=-1) for rows in (x, y))
    return towards_x - towards_y


def inverse_multiquadratic(x: Tensor, y: Tensor, *, scales: Sequence[float] = SCALES) -> Tensor:
    """k(x, y), the mean of s C / (s C + |x - y|^2) over the ``scales`` s: rows as above, 1 where x = y.

    C = 2 D, the mean squared distance of two normal points of D numbers (Tolstikhin et al. 2018, section 4). Its tails are
    heavy, so that points far from all others are pulled too.
    """
    distances, base = squared_distances(x, y), 2.0 * x.shape[-1]
    return torch.stack([scale * base / (scale * base + distances) for scale in scales]).mean(dim=0)


def inverse_multiquadratic_mmd(x: Tensor, y: Tensor, *, scales: Sequence[float] = SCALES) -> Tensor:
    """:func:`unbiased_mmd` under :func:`inverse_multiquadratic` of groups of rows [G, N, D] and [G, M, D], its mean over groups."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return inverse_multiquadratic(a, b, scales=scales)

    return unbiased_mmd(kernel(x, x), kernel(y, y), kernel(x, y)).mean()
