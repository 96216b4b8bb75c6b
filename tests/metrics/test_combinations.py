"""Combined codes have the laws that they should have, and an image is one image whatever it is drawn with."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lightning_modules.base import HasLatents
from metrics.combinations import (
    Combination,
    DecodedImages,
    code,
    combinations_of,
    combined_code,
    end_distance,
    samples_of,
)

DIM = 16


class Model(HasLatents):
    """An image is its latent, its class and, drawn together, the sum of its group's latents."""

    latent_dim = DIM

    def __init__(self, *, drawn_together: int = 1) -> None:
        super().__init__(image_shape=(1, 1, DIM), num_classes=3, seed=0)
        self.drawn_together = drawn_together
        self.sizes: list[int] = []

    def decode(
        self, latents: Tensor, labels: Tensor | None = None, *, image_size: int | None = None, psi: float = 1.0
    ) -> Tensor:
        self.sizes.append(len(latents))
        images = latents / 8 + (0.0 if labels is None else labels[:, None] / 8)
        if self.drawn_together > 1:
            assert len(latents) == self.drawn_together
            images = images + latents.sum(dim=0) / 64
        return images[:, None, None]


def test_variance_preserving_midpoints_of_normal_codes_have_the_law_of_codes() -> None:
    """As many numbers as the fourth moment of a normal law takes to tell 1 from 0.9, six deviations off."""
    codes = [code(Model(), 0, 2048, place=place, seed=0).double() for place in range(2)]
    halves = (0.5, 0.5)
    preserved = combined_code(Model(), 0, 2048, weights=halves, path="variance_preserving", seed=0)
    torch.testing.assert_close(preserved.double(), (codes[0] + codes[1]) / math.sqrt(2), rtol=0, atol=1e-6)
    error = 6 * math.sqrt(2 / (2048 * DIM))
    assert abs(preserved.double().square().mean() - 1) < error
    straight = combined_code(Model(), 0, 2048, weights=halves, path="linear", seed=0)
    assert abs(straight.double().square().mean() - 0.5) < error
    assert abs((codes[0] * codes[1]).mean()) < error, "the codes of an image are independent"


def test_a_mean_of_one_code_and_the_first_code_are_the_evaluation_samples() -> None:
    model = Model()
    samples = model.latents(3, 5, seed=1)
    assert code(model, 3, 5, place=0, seed=1).equal(samples)
    assert combined_code(model, 3, 5, weights=(1.0,), path="linear", seed=1).equal(samples)
    for path in ("linear", "transport"):
        ends = combined_code(model, 3, 5, weights=(1.0, 0.0), path=path, seed=1)
        assert ends.equal(samples)


def test_an_image_is_the_same_in_any_batch_with_its_class_and_its_group() -> None:
    model = Model(drawn_together=4)
    cycle = torch.tensor([0, 1, 2])
    images = combinations_of(model, Combination("midpoint", (0.5, 0.5)), 10, path="linear", seed=0, cycle=cycle)
    whole = images.images(0, 10)
    assert set(model.sizes) == {4}, "groups are whole, the last one filled up"
    for first, count in ((0, 1), (3, 2), (5, 5), (9, 1)):
        assert images.images(first, count).equal(whole[first : first + count])
    codes = combined_code(model, 8, 4, weights=(0.5, 0.5), path="linear", seed=0)
    last = model.decode(codes, torch.tensor([2, 0, 1, 2]))[:2]
    assert whole[8:].equal(((last + 1) * 127.5).round().clamp(0, 255).to(torch.uint8))
    labels = images.labels()
    assert labels is not None
    assert labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]


def test_images_alone_are_decoded_at_once() -> None:
    model = Model()
    samples_of(model, 9, place=1, seed=0, cycle=None).images(0, 9)
    assert model.sizes == [9]


def test_pixels_that_are_not_finite_name_their_image() -> None:
    images = DecodedImages(Model(), lambda first, count: torch.full((count, DIM), math.nan), 3, cycle=None, name="x")
    with pytest.raises(ValueError, match="sample number 2 has pixels that are not finite"):
        images.images(2, 1)


def test_distance_to_the_nearest_end_in_units_of_two_samples() -> None:
    ends = [torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([[4.0, 0.0], [0.0, 6.0]])]  # 5 apart in the mean
    points = torch.tensor([[1.0, 0.0], [0.0, 2.0]])  # 1 from the first end, and 2
    assert end_distance(points, ends) == pytest.approx(1.5 / 5)
    assert end_distance(points, [*ends, points]) == 0
    assert end_distance(points, [points, points]) is None


def test_bad_weights_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="outside the domain of spherical interpolation"):
        combined_code(Model(), 0, 2, weights=(-0.25, 1.25), path="spherical", seed=0)
