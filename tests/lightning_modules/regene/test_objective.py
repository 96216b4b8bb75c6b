"""Eq. 6 against independent code, and its schedule."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from lightning_modules.regene.objective import (
    Stage,
    decoder_loss,
    mean_absolute_error,
    perceptual_term,
    ssim_term,
    stage_at,
)

Array = NDArray[np.float64]


def pairs(number: int = 4, channels: int = 3, height: int = 20, width: int = 16) -> tuple[Tensor, Tensor]:
    """Images in [0, 1], and the same with errors that grow from one to the next."""
    rng = np.random.default_rng(0)
    originals = rng.random((number, channels, height, width))
    errors = rng.standard_normal(originals.shape) * np.linspace(0.02, 0.5, number)[:, None, None, None]
    return torch.tensor(np.clip(originals + errors, 0, 1)), torch.tensor(originals)


def stage(**changes: float) -> Stage:
    return Stage(**({"from_kimg": 0.0, "mae": 1.0, "ssim": 1.0, "perceptual": 0.0, "lr": 1e-3} | changes))


def windowed_similarity(x: Array, y: Array, window: int) -> float:
    """SSIM of one channel, each place by itself from the weighted mean, variances and covariance of its window."""
    distances = np.arange(window) - window // 2
    weights = np.exp(-(distances[:, None] ** 2 + distances[None, :] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for i, j in np.ndindex(x.shape[0] - window + 1, x.shape[1] - window + 1):
        a, b = (image[i : i + window, j : j + window] for image in (x, y))
        mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
        variances = (weights * (a - mean_a) ** 2).sum() + (weights * (b - mean_b) ** 2).sum()
        covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
        luminance = (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
        values.append(luminance * (2 * covariance + 9e-4) / (variances + 9e-4))
    return float(np.mean(values))


def test_ssim_is_that_of_scikit_image_at_valid_positions() -> None:
    drawn, originals = pairs()
    expected = []
    for x, y in zip(drawn.numpy(), originals.numpy(), strict=True):
        _, similarity = structural_similarity(
            x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, channel_axis=0, full=True
        )
        expected.append(1 - similarity[:, 5:-5, 5:-5].mean())
    np.testing.assert_allclose(ssim_term(drawn, originals), expected, rtol=0, atol=1e-9)
    assert expected[0] < 0.05 < 0.5 < expected[-1]


@pytest.mark.parametrize("window", [3, 7, 9])
def test_ssim_of_smaller_windows(window: int) -> None:
    """8 x 8 and 9 x 12 pixels; the window is cut off, not narrowed."""
    for height, width in ((9, 12), (window + 1, window)):
        drawn, originals = pairs(2, 2, height, width)
        expected = [
            1 - np.mean([windowed_similarity(a, b, window) for a, b in zip(x, y, strict=True)])
            for x, y in zip(drawn.numpy(), originals.numpy(), strict=True)
        ]
        np.testing.assert_allclose(ssim_term(drawn, originals, window), expected, rtol=0, atol=1e-9)


def test_ssim_of_a_copy_is_no_loss_and_pulls_nowhere() -> None:
    drawn = pairs()[1].requires_grad_()
    term = ssim_term(drawn, drawn.detach())
    torch.testing.assert_close(term.detach(), torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-12)
    (gradient,) = torch.autograd.grad(term.sum(), drawn)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-9)


def test_ssim_under_autocast_is_that_of_float32() -> None:
    drawn, originals = (images.float() for images in pairs())
    expected = ssim_term(drawn, originals)
    torch.testing.assert_close(expected.double(), ssim_term(drawn.double(), originals.double()), rtol=0, atol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(ssim_term(drawn, originals), expected, rtol=0, atol=1e-6)
        found = ssim_term(drawn.bfloat16(), originals)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


def test_the_other_terms_against_numpy() -> None:
    drawn, originals = pairs()
    x, y = drawn.numpy(), originals.numpy()
    np.testing.assert_allclose(mean_absolute_error(drawn, originals), np.abs(x - y).mean(axis=(1, 2, 3)), atol=1e-12)
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5, 1, bias=True).double().requires_grad_(False)
    weight, bias = layer.weight[:, :, 0, 0].numpy(), layer.bias.numpy()[:, None, None]  # type: ignore[union-attr]

    def activations(images: Array) -> Array:
        return np.maximum(np.einsum("kc,bchw->bkhw", weight, 2 * images - 1) + bias, 0)

    expected = np.abs(activations(x) - activations(y)).mean(axis=(1, 2, 3))
    found = perceptual_term(drawn, originals, lambda images: layer(images).relu())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_the_loss_is_the_weighted_sum_of_its_terms() -> None:
    drawn, originals = pairs()
    layer = nn.AvgPool2d(2)
    found = decoder_loss(drawn, originals, stage(mae=0.5, ssim=2.0, perceptual=3.0), window=7, layer=layer)
    terms = {
        "mae": mean_absolute_error(drawn, originals).mean(),
        "ssim": ssim_term(drawn, originals, 7).mean(),
        "perceptual": perceptual_term(drawn, originals, layer).mean(),
    }
    total = 0.5 * terms["mae"] + 2.0 * terms["ssim"] + 3.0 * terms["perceptual"]
    torch.testing.assert_close(found, {**terms, "total": total}, rtol=0, atol=1e-12)


def test_a_term_without_weight_is_not_computed() -> None:
    small = pairs(2, 1, 4, 4)
    found = decoder_loss(*small, stage(ssim=0.0, mae=2.0))
    assert found.keys() == {"mae", "total"}
    assert found["total"] == 2 * found["mae"] == 2 * mean_absolute_error(*small).mean()


@pytest.mark.parametrize(("seen", "number"), [(0, 0), (11_999, 0), (12_000, 1), (17_999, 1), (18_000, 2), (10**9, 2)])
def test_stages_begin_by_images_seen(seen: int, number: int) -> None:
    stages = [stage(), stage(from_kimg=12.0, ssim=0.0), stage(from_kimg=18.0, ssim=0.0, lr=1e-4)]
    assert stage_at(stages, seen) is stages[number]


@pytest.mark.parametrize(("begins", "message"), [
    ([], "stages begin with one from 0 kimg, and there are none"),
    ([1.0, 2.0], "stages begin with one from 0 kimg, and the first begins at 1.0 kimg: set its from_kimg to 0"),
    ([0.0, 3.0, 2.0], "these begin at 0.0, 3.0, 2.0 kimg: sort them by from_kimg"),
    ([0.0, 2.0, 2.0], "these begin at 0.0, 2.0, 2.0 kimg: sort them by from_kimg"),
])  # fmt: skip
def test_refused_orders_of_stages(begins: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stage_at([stage(from_kimg=begin) for begin in begins], 0)


@pytest.mark.parametrize(("changes", "message"), [
    ({"mae": -1.0}, "mae must be at least 0, got -1.0"),
    ({"ssim": -0.5}, "ssim must be at least 0, got -0.5"),
    ({"perceptual": float("nan")}, "perceptual must be a finite number of at least 0, got nan"),
    ({"from_kimg": -1.0}, "from_kimg must be at least 0, got -1.0"),
    ({"lr": -1e-3}, "lr must be at least 0, got -0.001"),
    ({"lr": 0.0}, "lr must be above 0, got 0 in the stage from 0.0 kimg"),
    ({"mae": 0.0, "ssim": 0.0}, "a stage needs a term with a weight above 0, and the one from 0.0 kimg has none"),
])  # fmt: skip
def test_refused_stages(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stage(**changes)


@pytest.mark.parametrize(("side", "window", "message"), [
    (8, 11, "images of 8 x 8 pixels are smaller than SSIM's window of 11: set ssim_window to 7 or less"),
    (7, 9, "images of 7 x 7 pixels are smaller than SSIM's window of 9: set ssim_window to 7 or less"),
    (8, 6, "ssim_window must be an odd number of at least 3 pixels, got 6"),
    (8, 1, "ssim_window must be an odd number of at least 3 pixels, got 1"),
])  # fmt: skip
def test_refused_windows(side: int, window: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decoder_loss(*pairs(1, 1, side, side), stage(), window=window)


def test_a_perceptual_weight_without_a_layer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a weight of 1.0, and there is no layer to compare in: name an extractor"):
        decoder_loss(*pairs(), stage(perceptual=1.0))
