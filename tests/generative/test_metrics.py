"""Metrics by what is known without computing them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from generative.metrics.evaluation import LabelledImages, evaluate_pixels, metric_name
from generative.metrics.functional import frechet_distance, gaussian_statistics, precision_recall
from generative.metrics.judge import fit_pixel_judge, judged_accuracy


def gaussian(count: int, dim: int, *, seed: int) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(frechet_distance(*gaussian_statistics(a), *gaussian_statistics(b)))


def test_frechet_known_answers() -> None:
    features = gaussian(500, 6, seed=0)
    assert distance(features, features) == pytest.approx(0, abs=1e-9)
    shift = torch.tensor([3.0, 0, 0, 4.0, 0, 0])
    assert distance(features, features + shift) == pytest.approx(25)
    # Scaling by 2: tr(C + 4 C - 2 * 2 C) = tr C, plus the shift of the mean.
    mean, covariance = gaussian_statistics(features)
    assert distance(features, 2 * features) == pytest.approx(float(covariance.trace() + mean.square().sum()))


def test_frechet_against_sqrtm_and_singular_covariances() -> None:
    a, b = gaussian(300, 8, seed=1) @ gaussian(8, 8, seed=2), gaussian(300, 8, seed=3)
    (mean_a, cov_a), (mean_b, cov_b) = gaussian_statistics(a), gaussian_statistics(b)
    root = np.real(sqrtm((cov_a @ cov_b).numpy()))
    expected = float((mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace()) - 2 * np.trace(root)
    assert distance(a, b) == pytest.approx(expected, rel=1e-9)
    a[:, 0] = b[:, 0] = 1.0  # a pixel that is always black
    assert np.isfinite(distance(a, b))
    assert distance(a, a) == pytest.approx(0, abs=1e-9)
    assert distance(a, b) > 0.1


def test_precision_recall_known_answers() -> None:
    real = gaussian(400, 4, seed=0)
    assert precision_recall(real, real) == (1.0, 1.0)
    assert precision_recall(real, real + 1000) == (0.0, 0.0)
    # Mode collapse: all fakes close to one real image. Precise, and blind to the rest.
    collapsed = real[:1] + 1e-3 * gaussian(400, 4, seed=1)
    precision, recall = precision_recall(real, collapsed)
    assert precision == 1.0
    assert recall < 0.05
    # Half of the modes dropped: recall falls, precision stays.
    two_modes = torch.cat([real, real + 100])
    precision, recall = precision_recall(two_modes, gaussian(800, 4, seed=2))
    assert precision > 0.9
    assert 0.3 < recall < 0.51


def test_precision_recall_does_not_depend_on_chunks() -> None:
    real, fake = gaussian(300, 5, seed=0), gaussian(250, 5, seed=1) * 1.2
    values = precision_recall(real, fake)
    assert values == precision_recall(real, fake, chunk=7)
    assert 0.2 < min(values) < max(values) < 1
    with pytest.raises(ValueError, match="3 neighbours need more than 3 images"):
        precision_recall(real[:3], fake)


def test_a_gaussian_passes_on_distance_and_fails_on_precision() -> None:
    """Why a Frechet distance never stands alone, on the real digits."""
    from sklearn.datasets import load_digits

    digits = torch.from_numpy(load_digits().data / 8 - 1)
    mean, covariance = gaussian_statistics(digits)
    values, vectors = torch.linalg.eigh(covariance)
    noise = mean + gaussian(1797, 64, seed=0) @ (vectors * values.clamp(min=0).sqrt()).T
    assert distance(digits, noise) < 1.0
    assert precision_recall(digits, noise)[0] < 0.3
    memory = digits[torch.arange(1797) % 100]
    assert precision_recall(digits, memory)[1] < 0.1


def test_evaluate_pixels_on_real_digits() -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images / 16 * 255).round().to(torch.uint8)[:, None]
    labels = torch.from_numpy(digits.target)
    a, b = LabelledImages(images[::2], labels[::2]), LabelledImages(images[1::2], labels[1::2])
    names = ["fd", "precision", "recall", "accuracy", "tstr_accuracy"]
    values = evaluate_pixels(a, b, metrics=names, judge_train=b, judge_test=a)
    assert list(values) == ["fd", "precision", "recall", "accuracy", "judge_accuracy", "tstr_accuracy"]
    assert 0.2 < values["fd"] < 0.35
    assert min(values[name] for name in names[1:]) > 0.85
    wrong = LabelledImages(images[::2], (labels[::2] + 1) % 10)
    assert evaluate_pixels(wrong, b, metrics=["accuracy"], judge_train=b, judge_test=a)["accuracy"] < 0.1


def test_judge_is_better_than_chance_and_not_on_noise() -> None:
    images = gaussian(100, 16, seed=0).view(100, 1, 4, 4)
    labels = (images.flatten(1).sum(dim=1) > 0).long()
    judge = fit_pixel_judge(images[:80], labels[:80])
    assert judged_accuracy(judge, images[80:], labels[80:]) > 0.7


def test_bad_input() -> None:
    images = LabelledImages(torch.zeros(5, 1, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match="unknown metric 'fids'"):
        evaluate_pixels(images, images, metrics=["fids"])
    with pytest.raises(ValueError, match="the images are 1 x 8 x 8 and the reference 1 x 9 x 9"):
        evaluate_pixels(images, LabelledImages(torch.zeros(5, 1, 9, 9, dtype=torch.uint8)), metrics=["fd"])
    with pytest.raises(ValueError, match="need labels"):
        evaluate_pixels(images, images, metrics=["accuracy"])
    with pytest.raises(ValueError, match="at least 2 images"):
        evaluate_pixels(LabelledImages(images.images[:1]), images, metrics=["fd"])


def test_names_state_the_protocol() -> None:
    assert metric_name("fd", "pixels", 1797) == "fd_pixels_1797"
    assert metric_name("fd", "pixels", 50_000) == "fd_pixels_50k"
