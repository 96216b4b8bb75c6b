"""Distances between feature sets: by what is known without computing them, and against independent references."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import calculate_precision_recall_full
from torchmetrics.image.fid import _compute_fid

from metrics.functional import (
    Gaussian,
    authenticity,
    frechet_distance,
    inception_score,
    kernel_distance,
    manifolds,
    nearest_rows,
    polynomial_mmd,
    polynomial_mmd_with_error,
    trace_of_root,
)


def gaussian(count: int, dim: int, *, seed: int) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return frechet_distance(Gaussian.of(a), Gaussian.of(b))


@pytest.mark.parametrize("count", [500, 5], ids=["full rank", "fewer rows than dimensions"])
def test_frechet_known_answers(count: int) -> None:
    features = gaussian(count, 8, seed=0)
    assert distance(features, features) == pytest.approx(0, abs=1e-9)
    shift = torch.tensor([3.0, 0, 0, 4.0, 0, 0, 0, 0])
    assert distance(features, features + shift) == pytest.approx(25)
    # Scaling by 2: tr(C + 4 C - 2 * 2 C) = tr C, plus the shift of the mean.
    fitted = Gaussian.of(features)
    assert distance(features, 2 * features) == pytest.approx(float(fitted.trace() + fitted.mean.square().sum()))
    # Each direction by a factor of its own: sum of (1 - s)^2 times the variances.
    scales = torch.linspace(0.5, 3.0, 8, dtype=torch.float64)
    variances = torch.arange(1.0, 9.0, dtype=torch.float64)
    a = Gaussian(9, torch.zeros(8, dtype=torch.float64), covariance=variances.diag())
    b = Gaussian(9, torch.zeros(8, dtype=torch.float64), covariance=(scales.square() * variances).diag())
    assert frechet_distance(a, b) == pytest.approx(float(((1 - scales).square() * variances).sum()), rel=1e-12)
    with pytest.raises(ValueError, match="features of 8 and of 7 numbers"):
        distance(features, features[:, 1:])


def test_frechet_against_torch_fidelity_torchmetrics_and_sqrtm() -> None:
    a, b = gaussian(300, 8, seed=1) @ gaussian(8, 8, seed=2), gaussian(200, 8, seed=3)
    (mean_a, cov_a), (mean_b, cov_b) = ((fit.mean, fit.full_covariance()) for fit in (Gaussian.of(a), Gaussian.of(b)))
    ours = distance(a, b)
    assert ours > 1
    root = np.real(sqrtm((cov_a @ cov_b).numpy()))
    by_sqrtm = float((mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace()) - 2 * np.trace(root)
    theirs = fid_statistics_to_metric(fid_features_to_statistics(a), fid_features_to_statistics(b), False)
    assert ours == pytest.approx(by_sqrtm, rel=1e-9)
    assert ours == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)
    assert ours == pytest.approx(float(_compute_fid(mean_a, cov_a, mean_b, cov_b)), rel=1e-6)


@pytest.mark.parametrize("count", [10, 14], ids=["10 rows in 12 dimensions", "14 rows in 12 dimensions"])
def test_frechet_against_forty_digits(count: int) -> None:
    """An exact reference: eigenvalues of the product of covariances in 40-digit arithmetic."""
    a, b = gaussian(count, 12, seed=4), 1.5 * gaussian(count + 3, 12, seed=5) + 0.2
    with mpmath.workdps(40):

        def statistics(rows: torch.Tensor) -> tuple[mpmath.matrix, mpmath.matrix]:
            x = mpmath.matrix(rows.tolist())
            mean = mpmath.matrix(1, x.cols)
            for column in range(x.cols):
                mean[column] = mpmath.fsum(x[row, column] for row in range(x.rows)) / x.rows
            centred = mpmath.matrix(x.rows, x.cols)
            for row in range(x.rows):
                for column in range(x.cols):
                    centred[row, column] = x[row, column] - mean[column]
            return mean, centred.T * centred / (x.rows - 1)

        (mean_a, cov_a), (mean_b, cov_b) = statistics(a), statistics(b)
        # A symmetric root by eigenvectors: the product itself is not symmetric.
        values, vectors = mpmath.eigsy(cov_a)
        root = vectors * mpmath.diag([mpmath.sqrt(max(value, 0)) for value in values]) * vectors.T
        overlap = mpmath.fsum(
            mpmath.sqrt(max(value, 0)) for value in mpmath.eigsy(root * cov_b * root, eigvals_only=True)
        )
        shift = mpmath.fsum((mean_a[i] - mean_b[i]) ** 2 for i in range(12))
        trace = mpmath.fsum(cov_a[i, i] + cov_b[i, i] for i in range(12))
        exact = float(shift + trace - 2 * overlap)
    assert distance(a, b) == pytest.approx(exact, rel=1e-9)


def test_singular_covariances_give_real_numbers() -> None:
    a, b = gaussian(300, 8, seed=1), gaussian(300, 8, seed=3) * 2
    a[:, 0] = b[:, 0] = 1.0  # a pixel that is always black
    assert distance(a, a) == pytest.approx(0, abs=1e-9)
    without = distance(a[:, 1:], b[:, 1:])
    assert distance(a, b) == pytest.approx(without, rel=1e-9)
    assert without > 0.1
    # Few rows against a stored full covariance: the same number by either form.
    few, many = gaussian(6, 8, seed=7), gaussian(100, 8, seed=8)
    whole = Gaussian(6, few.mean(dim=0), covariance=Gaussian.of(few).full_covariance())
    assert distance(few, many) == pytest.approx(frechet_distance(whole, Gaussian.of(many)), rel=1e-7)
    assert distance(few, many) == pytest.approx(distance(many, few), rel=1e-9)


@pytest.mark.parametrize("count", [4, 9, 40, 300])
def test_equal_sets_have_no_distance_below_zero(count: int) -> None:
    """The traces cancel but for their rounding, which lay at -1.8e-12 for forty small pictures."""
    for seed in range(8):
        rows = 100 * torch.randn(count, 24, generator=torch.Generator().manual_seed(seed)).double()
        found = distance(rows, rows)
        assert 0 <= found < 1e-4
    nowhere = Gaussian.of(rows)._replace(mean=torch.full((24,), math.nan, dtype=torch.float64))
    assert math.isnan(frechet_distance(Gaussian.of(rows), nowhere)), "what is no number is not called 0"


def test_statistics_from_sums_are_those_of_the_rows() -> None:
    rows = gaussian(50, 6, seed=0) + 3
    of_rows, of_sums = Gaussian.of(rows), Gaussian.of_sums(50, rows.sum(dim=0), rows.T @ rows)
    torch.testing.assert_close(of_sums.full_covariance(), of_rows.full_covariance(), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(of_rows.full_covariance(), rows.T.cov(), rtol=1e-10, atol=1e-12)
    few = Gaussian.of(rows[:4])
    assert few.covariance is None
    torch.testing.assert_close(few.full_covariance(), rows[:4].T.cov(), rtol=1e-10, atol=1e-12)
    both_singular = Gaussian(4, few.mean, covariance=few.full_covariance())
    assert float(trace_of_root(both_singular, both_singular)) == pytest.approx(float(few.trace()), rel=1e-7)
    with pytest.raises(ValueError, match="at least 2 rows"):
        Gaussian.of(rows[:1])


def test_kernel_distance_against_torch_fidelity() -> None:
    """Their subsets come from another generator: a single subset of all images is the same in any."""
    real, fake = gaussian(60, 5, seed=0), gaussian(60, 5, seed=1) + 0.5
    settings = {"kid_subsets": 1, "kid_subset_size": 60, "verbose": False, "rng_seed": 0}
    theirs = kid_features_to_metric(real, fake, **settings)["kernel_inception_distance_mean"]
    assert polynomial_mmd(real, fake) == pytest.approx(theirs, rel=1e-10)
    assert kernel_distance(real, fake)[0] == pytest.approx(theirs, rel=1e-10)


def test_kernel_distance_known_answers() -> None:
    real, same, other = gaussian(900, 5, seed=0), gaussian(900, 5, seed=1), gaussian(900, 5, seed=2) + 1
    settings = {"num_subsets": 50, "subset_size": 300}
    value, error = kernel_distance(real, same, **settings)
    assert abs(value) < 4 * error, "unbiased: no distance between two draws of one distribution"
    far, far_error = kernel_distance(real, other, **settings)
    assert far > 10 * far_error
    assert kernel_distance(real, other, **settings) == (far, far_error)
    assert kernel_distance(real, other, **settings, seed=1)[0] != far


@pytest.mark.parametrize("count", [60, 300], ids=["all images at once", "subsets of 100"])
def test_the_error_of_a_kernel_distance_is_that_of_another_draw(count: int) -> None:
    """Stated errors against the spread of the value over forty pairs of fresh sets."""
    found = [
        kernel_distance(gaussian(count, 4, seed=2 * i), gaussian(count, 4, seed=2 * i + 1) + 0.5, subset_size=100)
        for i in range(40)
    ]
    values, errors = np.array(found).T
    assert 0.6 < np.mean(errors) / np.std(values, ddof=1) < 1.6


def test_the_jackknife_leaves_each_image_out() -> None:
    a, b = gaussian(7, 3, seed=0), gaussian(5, 3, seed=1)
    value, error = polynomial_mmd_with_error(a, b)
    assert value == pytest.approx(polynomial_mmd(a, b), rel=1e-12)
    variance = 0.0
    for own, other in ((a, b), (b, a)):
        left_out = [polynomial_mmd(torch.cat([own[:i], own[i + 1 :]]), other) for i in range(len(own))]
        variance += (len(own) - 1) * np.var(left_out)
    assert error == pytest.approx(math.sqrt(variance), rel=1e-9)
    assert math.isnan(polynomial_mmd_with_error(a[:2], b)[1]), "two images have no spread"
    with pytest.raises(ValueError, match="at least 2 images"):
        kernel_distance(a[:1], b)


def test_inception_score_against_torch_fidelity() -> None:
    logits = 3 * gaussian(107, 6, seed=0)
    for splits in (1, 10):
        theirs = isc_features_to_metric(logits, splits=splits, shuffle=False)
        mean, spread = inception_score(logits, num_splits=splits, seed=None)
        assert mean == pytest.approx(theirs["inception_score_mean"], rel=1e-10)
        assert spread == pytest.approx(theirs["inception_score_std"], rel=1e-8, abs=1e-10)


def test_inception_score_known_answers() -> None:
    certain = 1000 * torch.eye(10).repeat(20, 1)  # saturated: softmax is 0 or 1 to the last bit
    assert inception_score(certain, num_splits=1)[0] == pytest.approx(10)
    assert inception_score(torch.zeros(50, 10), num_splits=5)[0] == pytest.approx(1)
    assert inception_score(certain[:1].repeat(50, 1), num_splits=1)[0] == pytest.approx(1), "one class only"
    # Sorted by class, an unshuffled split sees few classes: why rows are shuffled first.
    rows = torch.cat([certain[i::10] for i in range(10)])
    assert inception_score(rows, num_splits=10, seed=None)[0] == pytest.approx(1)
    assert inception_score(rows, num_splits=10)[0] > 5
    with pytest.raises(ValueError, match="3 images cannot be cut into 10 splits"):
        inception_score(certain[:3])


def test_manifolds_against_torch_fidelity() -> None:
    """Their first set is the generated one."""
    real, fake = gaussian(300, 5, seed=0).float(), (gaussian(250, 5, seed=1) * 1.2).float()
    precision, recall = calculate_precision_recall_full(fake, real)
    ours = manifolds(real, fake)
    assert ours.precision == pytest.approx(precision)
    assert ours.recall == pytest.approx(recall)
    assert 0.2 < min(precision, recall) < max(precision, recall) < 1


def test_manifolds_by_brute_force_and_any_chunk() -> None:
    real, fake = gaussian(120, 5, seed=0), gaussian(90, 5, seed=1) * 1.2
    between = torch.cdist(fake, real)
    radii = {name: torch.cdist(x, x).kthvalue(4, dim=1).values for name, x in (("real", real), ("fake", fake))}
    inside = between <= radii["real"]
    expected = (
        inside.any(dim=1).double().mean().item(),
        (between <= radii["fake"][:, None]).any(dim=0).double().mean().item(),
        inside.double().sum(dim=1).mean().item() / 3,
        (between.min(dim=0).values <= radii["real"]).double().mean().item(),
    )
    for chunk in (1000, 64, 7):
        ours = manifolds(real, fake, chunk=chunk)
        assert (ours.precision, ours.recall, ours.density, ours.coverage) == pytest.approx(expected)


def test_manifolds_known_answers() -> None:
    real = gaussian(400, 4, seed=0)
    same = manifolds(real, real)
    assert (same.precision, same.recall, same.coverage) == (1.0, 1.0, 1.0)
    apart = manifolds(real, real + 1000)
    assert (apart.precision, apart.recall, apart.density, apart.coverage) == (0.0, 0.0, 0.0, 0.0)
    # Mode collapse: all fakes close to one real image. Precise, and blind to the rest.
    collapsed = manifolds(real, real[:1] + 1e-3 * gaussian(400, 4, seed=1))
    assert collapsed.precision == 1.0
    assert collapsed.recall < 0.05
    assert collapsed.coverage < 0.05
    # One of two modes dropped: recall and coverage fall to a half, precision stays.
    dropped = manifolds(torch.cat([real, real + 100]), gaussian(800, 4, seed=2))
    assert dropped.precision > 0.9
    assert 0.3 < dropped.recall < 0.51
    assert 0.3 < dropped.coverage < 0.51
    with pytest.raises(ValueError, match="3 neighbours need more than 3 images"):
        manifolds(real[:3], real)


def test_authenticity_tells_copies_from_draws() -> None:
    train, fresh = gaussian(500, 6, seed=0), gaussian(500, 6, seed=1)
    assert authenticity(train, train + 1e-6) == 0.0
    assert 0.35 < authenticity(train, fresh) < 0.65
    half = torch.cat([train[:250] + 1e-6, fresh[:250]])
    assert 0.15 < authenticity(train, half) < 0.35


def test_a_copy_is_nearer_than_the_next_of_its_own_original() -> None:
    """Two originals 1 apart and two 100 apart, a fake 5 away from one of each pair: a copy only in the sparse pair."""
    train = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1000.0, 0.0], [1100.0, 0.0]], dtype=torch.float64)
    beside_dense, beside_sparse = torch.tensor([[0.0, 5.0], [1000.0, 5.0]], dtype=torch.float64)
    assert authenticity(train, beside_dense[None]) == 1.0
    assert authenticity(train, beside_sparse[None]) == 0.0
    assert authenticity(train, torch.stack([beside_dense, beside_sparse])) == 0.5


def test_nearest_rows_are_those_of_brute_force() -> None:
    a, b = gaussian(50, 4, seed=0), gaussian(30, 4, seed=1)
    distances, numbers = nearest_rows(a, b, chunk=7)
    expected = torch.cdist(a, b).min(dim=1)
    assert torch.equal(numbers, expected.indices)
    torch.testing.assert_close(distances, expected.values, rtol=1e-7, atol=1e-9)
