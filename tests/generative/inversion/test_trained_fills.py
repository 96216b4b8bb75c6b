"""What is fitted to training images, against closed forms and planted images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from generative.inversion import trained_fills
from generative.inversion.trained_fills import RIDGE, ConditionalGaussian, Retrieval
from generative.rendering.images import from_uint8

SHAPE = (2, 4, 5)
SIZE = 40


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def training_images(count: int = 300) -> Tensor:
    """Correlated values of 40 dimensions around a mean that is not 0."""
    mixing = torch.randn(SIZE, SIZE, generator=generator(0)) / SIZE
    return (torch.randn(count, SIZE, generator=generator(1)) @ mixing + 0.1).unflatten(1, SHAPE)


def masks(share: float, count: int = 6) -> Tensor:
    return torch.rand(count, 1, *SHAPE[1:], generator=generator(2)) > share


def fills_of(images: Tensor) -> list[Callable[[Tensor, Tensor], Tensor]]:
    return [ConditionalGaussian(images).fill, Retrieval(images).fill]


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_a_gaussian_gives_the_closed_form(share: float) -> None:
    """In both forms: that of few hidden pixels and that of few known ones."""
    images, known = training_images(), masks(share)
    filled = ConditionalGaussian(images).fill(training_images(6).double(), known)
    rows = images.double().flatten(1).numpy()
    mean, covariance = rows.mean(axis=0), np.cov(rows.T)
    for image, result, mask in zip(training_images(6).double(), filled, known, strict=True):
        k = mask.expand(SHAPE).flatten().numpy()
        gain = covariance[~k][:, k] @ np.linalg.inv(covariance[k][:, k] + RIDGE * np.eye(k.sum()))
        expected = mean[~k] + gain @ (image.flatten().numpy()[k] - mean[k])
        np.testing.assert_allclose(result.flatten().numpy()[~k], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_what_images_miss_is_carried_into_the_hole_as_the_training_images_vary(share: float) -> None:
    """The fill is affine in what is known, so an image y for x becomes y + fill(x) - fill(y) there."""
    gaussian, known = ConditionalGaussian(training_images()), masks(share)
    drawn, seen = training_images(12)[6:].double(), training_images(6).double()
    expected = drawn + gaussian.fill(seen, known) - gaussian.fill(drawn, known)
    hidden = torch.where(known, seen, torch.nan)
    mended = gaussian.mended(drawn, hidden, known)
    torch.testing.assert_close(mended, torch.where(known, seen, expected), rtol=0, atol=1e-9)
    torch.testing.assert_close(gaussian.mended(seen, hidden, known), seen, rtol=0, atol=1e-12)


def test_values_that_follow_from_each_other_are_found() -> None:
    """The second pixel is minus a half of the first, plus 0.2: a regression that a covariance of any sample holds exactly."""
    first = torch.rand(50, generator=generator(3), dtype=torch.float64)
    images = torch.stack([first, 0.2 - 0.5 * first], dim=1).view(50, 1, 1, 2)
    seen = torch.tensor([0.6, torch.nan], dtype=torch.float64).view(1, 1, 1, 2)
    filled = ConditionalGaussian(images).fill(seen, ~seen.isnan())
    assert filled[0, 0, 0, 1].item() == pytest.approx(-0.1, abs=1e-3)  # the ridge shrinks it a little


def test_retrieval_finds_the_image_that_was_planted_with_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        trained_fills, "ROWS_AT_ONCE", 32
    )  # so that there are several parts, of training images and others
    monkeypatch.setattr(trained_fills, "IMAGES_AT_ONCE", 4)
    stored = torch.randint(0, 256, (100, *SHAPE), dtype=torch.uint8, generator=generator(4))
    planted = torch.tensor([99, 3, 31, 32, 64, 3])
    noise = 0.02 * torch.randn(6, *SHAPE, generator=generator(5))
    known = masks(0.4)
    seen = torch.where(known, from_uint8(stored[planted]) + noise, torch.nan)
    retrieval = Retrieval(stored)
    assert retrieval.nearest(seen, known).tolist() == planted.tolist()
    torch.testing.assert_close(retrieval.fill(seen, known), torch.where(known, seen, from_uint8(stored[planted])))


def test_retrieval_is_by_the_known_pixels_and_of_equals_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trained_fills, "ROWS_AT_ONCE", 40)  # equal ones are in the same part and in others
    images, known = training_images(60), masks(0.5)
    seen = training_images(400)[-6:]
    errors = torch.where(known[:, None], (seen[:, None] - images) ** 2, 0.0).sum(dim=(2, 3, 4))
    assert torch.equal(Retrieval(images).nearest(seen, known), errors.argmin(dim=1))
    twice = torch.cat([images, images])
    assert torch.equal(Retrieval(twice).nearest(seen, known), errors.argmin(dim=1))
    nearly_equal = torch.tensor([0.9, 0.5 + 1e-6, 0.5], dtype=torch.float64).view(3, 1, 1, 1).repeat(1, 1, 1, 2)
    seen = torch.tensor([0.5, torch.nan], dtype=torch.float64).view(1, 1, 1, 2)
    assert Retrieval(nearly_equal).nearest(seen, ~seen.isnan()).tolist() == [1], "what rounding could decide is equal"


@pytest.mark.parametrize("fill", fills_of(training_images()))
def test_laws_of_a_fill(fill: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Exact where known, blind to the rest, images alone as together and in any order, those of one mask as others."""
    images, known = training_images(306)[300:], masks(0.4)
    known[3] = known[1]
    known[4] = True
    filled = fill(images, known)
    assert filled.dtype == images.dtype
    assert torch.equal(filled[known.expand_as(images)], images[known.expand_as(images)])
    assert torch.equal(filled[4], images[4])
    assert not torch.equal(filled, images)
    assert torch.equal(fill(torch.where(known, images, torch.nan), known), filled)
    alone = torch.cat([fill(image, mask) for image, mask in zip(images.split(1), known.split(1), strict=True)])
    torch.testing.assert_close(alone, filled)
    order = torch.randperm(6, generator=generator(6))
    torch.testing.assert_close(fill(images[order], known[order]), filled[order])


def test_bytes_and_floats_are_the_same_training_images() -> None:
    stored = torch.randint(0, 256, (50, *SHAPE), dtype=torch.uint8, generator=generator(4))
    images, known = training_images(6), masks(0.4)
    for one, other in zip(fills_of(stored), fills_of(from_uint8(stored)), strict=True):
        torch.testing.assert_close(one(images, known), other(images, known))


def test_bad_input() -> None:
    with pytest.raises(
        ValueError, match=r"12,288 values have a covariance of 1\.2 GB: take images of at most 3,072 values"
    ):
        ConditionalGaussian(torch.zeros(5, 3, 64, 64))
    with pytest.raises(ValueError, match="at least two training images, got 1"):
        ConditionalGaussian(torch.zeros(1, 1, 2, 2))
    with pytest.raises(ValueError, match="no training image to retrieve"):
        Retrieval(torch.zeros(0, 1, 2, 2))
    for fill in fills_of(training_images()):
        with pytest.raises(
            ValueError, match="images of 1 x 4 x 4 values cannot be filled from training images of 2 x 4 x 5"
        ):
            fill(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4, dtype=torch.bool))
        with pytest.raises(ValueError, match="leave a known pixel in every image"):
            fill(torch.zeros(1, *SHAPE), torch.zeros(1, 1, 4, 5, dtype=torch.bool))
