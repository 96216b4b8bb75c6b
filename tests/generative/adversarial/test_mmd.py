"""Maximum mean discrepancy against its sums written out, known laws, and what an unbiased estimate must do."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from generative.adversarial.mmd import (
    BANDWIDTHS,
    gaussian_mixture,
    gaussian_mmd,
    mean_off_diagonal,
    unbiased_mmd,
    witness,
)
from metrics.functional import kernel, polynomial_mmd


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def plain_kernel(x: torch.Tensor, y: torch.Tensor) -> float:
    """The mixture of two rows, written out."""
    distance = float((x - y).square().sum())
    return sum(math.exp(-distance / (2 * b)) for b in (2, 5, 10, 20, 40, 80)) / 6


def test_the_kernel_is_the_mean_of_gaussians_whose_variances_are_the_bandwidths() -> None:
    x, y = drawn(4, 3), 3 * drawn(5, 3, seed=1) + 1
    expected = torch.tensor([[plain_kernel(a, b) for b in y] for a in x], dtype=torch.float64)
    torch.testing.assert_close(gaussian_mixture(x, y), expected, rtol=1e-12, atol=1e-12)
    assert gaussian_mixture(x, x).diagonal().tolist() == pytest.approx([1.0] * 4, abs=1e-12)
    # Far from 0 float32 would lose all digits of a distance that is a difference of squares.
    far = torch.tensor([[1000.0], [1002.0]])
    assert gaussian_mixture(far, far)[0, 1].item() == pytest.approx(plain_kernel(far[0], far[1]), abs=1e-6)


def test_the_estimate_is_the_mean_over_all_pairs_of_different_rows() -> None:
    x, y = drawn(4, 3), drawn(5, 3, seed=1)
    within = [
        sum(plain_kernel(a, b) for a, b in itertools.permutations(rows, 2)) / (len(rows) * (len(rows) - 1))
        for rows in (x, y)
    ]
    across = sum(plain_kernel(a, b) for a in x for b in y) / 20
    assert gaussian_mmd(x[None], y[None]).item() == pytest.approx(sum(within) - 2 * across, abs=1e-12)


def test_groups_are_compared_on_their_own() -> None:
    x, y = drawn(3, 4, 2), drawn(3, 4, 2, seed=1)
    alone = [gaussian_mmd(a[None], b[None]).item() for a, b in zip(x, y, strict=True)]
    assert gaussian_mmd(x, y).item() == pytest.approx(sum(alone) / 3, abs=1e-12)
    assert len(set(alone)) == 3


def test_two_point_masses() -> None:
    """2 - 2 k: each side's own pairs are at distance 0."""
    x, y = torch.zeros(1, 3, 2, dtype=torch.float64), torch.full((1, 4, 2), 1.5, dtype=torch.float64)
    expected = 2 - 2 * plain_kernel(x[0, 0], y[0, 0])
    assert gaussian_mmd(x, y).item() == pytest.approx(expected, abs=1e-12)


def test_the_mean_over_samples_is_the_discrepancy_of_the_laws() -> None:
    """N(0, 1) and N(1, 1) under a Gaussian kernel of variance b: E k = sqrt(b / (b + 2)) exp(-(m - m')^2 / (2 (b + 2))).

    4,000 pairs of samples of 3: with the pairs of a row and itself the mean would be larger by more than 0.1.
    """
    samples = drawn(4000, 6, 1)
    x, y = samples[:, :3], samples[:, 3:]
    b = 2.0
    expected = 2 * math.sqrt(b / (b + 2)) * (1 - math.exp(-1 / (2 * (b + 2))))
    for shift, value in ((0.0, 0.0), (1.0, expected)):
        estimates = unbiased_mmd(
            *(gaussian_mixture(p, q + r, bandwidths=[b]) for p, q, r in ((x, x, 0.0), (y, y, 0.0), (x, y, shift)))
        )
        error = estimates.std() / math.sqrt(len(estimates))
        assert abs(estimates.mean() - value) < 4 * error
        assert error < 0.01
        assert (estimates < 0).any(), "an unbiased estimate of a small number is below 0 at times"


def test_its_gradient_by_the_rows() -> None:
    x, y = drawn(1, 3, 2), drawn(1, 4, 2, seed=1)
    assert torch.autograd.gradcheck(gaussian_mmd, (x.requires_grad_(), y.requires_grad_()))
    same = torch.zeros(1, 3, 2, requires_grad=True)  # rows that coincide, where a root of the distance has no gradient
    (gradient,) = torch.autograd.grad(gaussian_mmd(same, torch.ones(1, 3, 2)), same)
    assert torch.isfinite(gradient).all()
    assert (gradient < 0).all(), "downhill is towards the other rows"


def test_the_witness_is_what_the_discrepancy_gains_by_a_point() -> None:
    """MMD^2 with the pairs of rows and themselves is the mean of the witness over x less that over y."""
    x, y = drawn(2, 4, 3), drawn(2, 5, 3, seed=1)
    biased = gaussian_mixture(x, x).mean() + gaussian_mixture(y, y).mean() - 2 * gaussian_mixture(x, y).mean()
    assert float(witness(x, x, y).mean() - witness(y, x, y).mean()) == pytest.approx(float(biased), abs=1e-12)
    points = drawn(2, 6, 3, seed=2)
    assert witness(points, x, y).shape == (2, 6)
    torch.testing.assert_close(witness(points, x, y), -witness(points, y, x))


def test_training_and_evaluation_share_the_estimate() -> None:
    x, y = drawn(5, 3), drawn(6, 3, seed=1)
    assert polynomial_mmd(x, y) == float(unbiased_mmd(kernel(x, x), kernel(y, y), kernel(x, y)))
    matrix = torch.tensor([[5.0, 1.0], [3.0, 7.0]])
    assert mean_off_diagonal(matrix).item() == 2.0
    assert BANDWIDTHS == (2, 5, 10, 20, 40, 80)
