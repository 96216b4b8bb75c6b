"""The named evaluation of images, its judge and its names."""

from __future__ import annotations

import pytest
import torch

from generative.metrics.evaluation import LabelledImages, evaluate_pixels, metric_name
from generative.metrics.functional import (
    frechet_distance_of_features,
    gaussian_statistics,
    manifolds,
    symmetric_root,
)
from generative.metrics.judge import fit_pixel_judge, judged_accuracy


def test_a_gaussian_passes_on_distance_and_fails_on_precision() -> None:
    """Why a Frechet distance never stands alone, on the real digits."""
    from sklearn.datasets import load_digits

    digits = torch.from_numpy(load_digits().data / 8 - 1)
    mean, covariance = gaussian_statistics(digits)
    normal = torch.randn(1797, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise = mean + normal @ symmetric_root(covariance)
    assert frechet_distance_of_features(digits, noise) < 1.0
    assert manifolds(digits, noise).precision < 0.3
    memory = digits[torch.arange(1797) % 100]
    assert manifolds(digits, memory).recall < 0.1


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
    more = evaluate_pixels(a, b, metrics=["kid", "coverage"])
    assert list(more) == ["coverage", "kid", "kid_error"]
    assert abs(more["kid"]) < 0.05
    assert more["coverage"] > 0.85
    wrong = LabelledImages(images[::2], (labels[::2] + 1) % 10)
    assert evaluate_pixels(wrong, b, metrics=["accuracy"], judge_train=b, judge_test=a)["accuracy"] < 0.1


def test_judge_is_better_than_chance_and_not_on_noise() -> None:
    images = torch.randn(100, 1, 4, 4, generator=torch.Generator().manual_seed(0))
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
