"""Laws of a class by their exact moments: noise of all members, the kernel, the mixture on principal directions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from generative.latents import densities
from generative.latents.densities import Gaussian, KernelDensity
from generative.latents.subspaces import Mixture, NormalMixture, principal_directions
from generative.randomness import Stream
from tests.generative.latents.clouds import cloud

STREAM = Stream(6, "tests")


@pytest.mark.parametrize("dim", [4, 30])
def test_noise_has_the_covariance_of_the_class_exactly(dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its normal numbers replaced by each unit vector in turn, the squares of what comes out sum to the covariance."""
    monkeypatch.setattr(
        densities, "normals", lambda stream, number, count: torch.eye(count, dtype=torch.float64)[number]
    )
    bank = cloud(12, dim=dim)
    off = Gaussian(bank).draw(range(12), torch.zeros(12, dtype=torch.int64), STREAM).latents - bank.mean(0)
    torch.testing.assert_close(off.T @ off, bank.covariance(0), rtol=0, atol=1e-9)


def test_the_kernel_lies_between_the_training_latents_and_the_normal_law() -> None:
    bank = cloud(12, dim=4)
    labels = torch.zeros(20, dtype=torch.int64)
    members, half, normal = (KernelDensity(bank, width).draw(range(20), labels, STREAM) for width in (0.0, 0.5, 1.0))
    torch.testing.assert_close(members.latents, bank.rows(members.sources[:, 0]), rtol=0, atol=1e-12)
    torch.testing.assert_close(
        normal.latents, Gaussian(bank).draw(range(20), labels, STREAM).latents, rtol=0, atol=1e-12
    )
    mean = bank.mean(0)
    between = mean + math.sqrt(0.75) * (members.latents - mean) + 0.5 * (normal.latents - mean)
    torch.testing.assert_close(half.latents, between, rtol=0, atol=1e-12)
    for width in (-0.1, 1.1, math.nan):
        with pytest.raises(
            ValueError, match=f"width must be a share of the class's deviation, from 0 to 1, got {width}"
        ):
            KernelDensity(bank, width)


@pytest.mark.parametrize("dim", [5, 40])
def test_principal_directions_are_those_of_a_singular_value_decomposition(dim: int) -> None:
    centred = cloud(15, dim=dim).centred(0)
    for most in (1, 3, 100):
        found = principal_directions(centred, most)
        reference = torch.from_numpy(np.linalg.svd(centred.numpy(), full_matrices=False)[2])[: len(found)]
        assert len(found) == min(most, dim, 14)
        torch.testing.assert_close(
            found @ reference.T, torch.diag((found * reference).sum(dim=1).sign()), rtol=0, atol=1e-7
        )
        assert (found.gather(1, found.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_a_mixture_has_the_mean_and_the_covariance_of_the_scores_exactly() -> None:
    bank = cloud(60, dim=8)
    scores = bank.centred(0) @ principal_directions(bank.centred(0), 4).T
    law = Mixture(bank, 3, directions=4).law(scores)
    mean = law.shares @ law.means
    squares = law.factors @ law.factors.mT + law.means[:, :, None] * law.means[:, None]
    sigma = (law.shares[:, None, None] * squares).sum(dim=0)
    wanted = scores.T @ scores / 60
    added = 1e-6 * wanted[0, 0] * torch.eye(4, dtype=torch.float64)  # scikit-learn's regularisation
    assert float(mean.abs().max()) < 1e-9
    torch.testing.assert_close(sigma, wanted + added, rtol=0, atol=1e-9)
    assert float(law.shares.sum()) == pytest.approx(1.0)


def test_a_mixture_draws_each_component_as_often_as_it_should_and_its_own_law() -> None:
    factors = torch.diag_embed(torch.tensor([[0.1, 0.2], [0.3, 0.1]], dtype=torch.float64))
    factors[0, 1, 0] = 0.1
    law = NormalMixture(torch.tensor([0.25, 0.75]).double(), torch.tensor([[9.0, 0.0], [-9.0, 1.0]]).double(), factors)
    points = torch.stack([law(number, STREAM) for number in range(1200)])
    first = points[:, 0] > 0
    assert abs(int(first.sum()) - 300) < 4 * 15  # a binomial count: 300 +- 15
    for component, own in ((0, points[first]), (1, points[~first])):
        whitened = torch.linalg.solve_triangular(factors[component], (own - law.means[component]).T, upper=False)
        assert float((whitened @ whitened.T / len(own) - torch.eye(2)).abs().max()) < 5 * math.sqrt(2 / len(own))


def test_beyond_the_leading_directions_a_mixture_is_the_noise_of_the_gaussian() -> None:
    bank = cloud(40, dim=8)
    labels = torch.zeros(10, dtype=torch.int64)
    sampler = Mixture(bank, 3, directions=2)
    mixed, normal = (each.draw(range(10), labels, STREAM).latents for each in (sampler, Gaussian(bank)))
    directions, law = sampler.learnt[0]
    apart = mixed - normal
    torch.testing.assert_close(apart @ directions.T @ directions, apart, rtol=0, atol=1e-9)
    points = torch.stack([law(number, STREAM.branch("class 0")) for number in range(10)])
    torch.testing.assert_close((mixed - bank.mean(0)) @ directions.T, points, rtol=0, atol=1e-9)
    assert float(apart.norm(dim=1).min()) > 0.01
    for words in ({"components": 0}, {"components": 2, "directions": 0}):
        with pytest.raises(ValueError, match="must be at least 1, got 0"):
            Mixture(bank, **words)
