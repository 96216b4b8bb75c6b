"""The bound against closed forms: the divergence by torch's, both laws of pixels, and a model whose evidence is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, MultivariateNormal, Normal, kl_divergence

from lightning_modules.vae.bound import (
    BernoulliPixels,
    Bound,
    GaussianPixels,
    Posterior,
    active_units,
    pixel_law,
)

DOUBLE = torch.float64


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def exactly(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_the_divergence_is_that_of_two_normal_laws() -> None:
    posterior = Posterior(random(5, 3, seed=0), random(5, 3, seed=1))
    law = Normal(posterior.mean, (0.5 * posterior.log_variance).exp())
    exactly(posterior.divergence(), kl_divergence(law, Normal(torch.zeros(3, dtype=DOUBLE), 1.0)))


def test_a_point_of_the_posterior_has_its_mean_and_deviation() -> None:
    posterior, noise = Posterior(random(4, 3, seed=0), random(4, 3, seed=1)), random(4, 3, seed=2)
    law = Normal(posterior.mean, (0.5 * posterior.log_variance).exp())
    exactly(law.cdf(posterior.at(noise)), Normal(torch.tensor(0.0, dtype=DOUBLE), 1.0).cdf(noise))


@pytest.mark.parametrize("sigma", [None, 0.05])
def test_pixels_are_normal_around_what_is_drawn(sigma: float | None) -> None:
    law = GaussianPixels(sigma).double()
    assert len(list(law.parameters())) == (sigma is None)
    images, drawn = torch.rand(3, 2, 4, 4, dtype=DOUBLE), torch.rand(3, 2, 4, 4, dtype=DOUBLE)
    expected = Normal(drawn, law.log_sigma.detach().exp()).log_prob(images).sum(dim=(1, 2, 3))
    exactly(law(images, drawn), expected)


def test_the_best_deviation_is_the_root_of_the_mean_squared_error() -> None:
    """Rybkin et al. 2021, eq. 5: there the gradient of the learnt one is 0, and only there."""
    law = GaussianPixels().double()
    images, drawn = torch.rand(8, 1, 4, 4, dtype=DOUBLE), torch.rand(8, 1, 4, 4, dtype=DOUBLE)
    best = 0.5 * (images - drawn).square().mean().log()
    for shift, sign in ((0.0, 0.0), (0.1, -1.0), (-0.1, 1.0)):
        law.zero_grad()
        assert isinstance(law.log_sigma, nn.Parameter)
        law.log_sigma.data.copy_(best + shift)
        law(images, drawn).mean().backward()
        assert law.log_sigma.grad is not None
        assert float(law.log_sigma.grad.sign() if abs(law.log_sigma.grad) > 1e-9 else 0.0) == sign


def test_pixels_of_two_values() -> None:
    images, drawn = torch.rand(3, 1, 4, 4, dtype=DOUBLE).round(), torch.rand(3, 1, 4, 4, dtype=DOUBLE)
    exactly(BernoulliPixels()(images, drawn), Bernoulli(drawn).log_prob(images).sum(dim=(1, 2, 3)))
    assert BernoulliPixels()(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)).isfinite().all()


def test_the_bound_of_a_linear_model_is_its_evidence_at_the_true_posterior_and_below_elsewhere() -> None:
    """x = W z + m + sigma e has log p(x) in closed form. With orthogonal columns of W its posterior has independent units,
    so that the bound can be tight. The mean over z is that of 2 d points, exact for what is quadratic in z.
    """
    pixels, units = 6, 3
    law = GaussianPixels(0.2).double()
    sigma = float(law.log_sigma.exp())  # of which 24 bits were kept
    columns = torch.linalg.qr(random(pixels, units, seed=0))[0] * torch.tensor([1.5, 0.7, 0.3], dtype=DOUBLE)
    middle, images = random(pixels, seed=1), random(4, pixels, seed=2)
    covariance = columns @ columns.mT + sigma**2 * torch.eye(pixels, dtype=DOUBLE)
    evidence = MultivariateNormal(middle, covariance).log_prob(images)
    precision = columns.square().sum(dim=0) / sigma**2 + 1.0
    true = Posterior((images - middle) @ columns / sigma**2 / precision, (-precision.log()).expand(4, units))

    def bound_at(posterior: Posterior) -> Tensor:
        points = math.sqrt(units) * torch.cat([torch.eye(units, dtype=DOUBLE), -torch.eye(units, dtype=DOUBLE)])
        bounds = []
        for point in points:
            drawn = posterior.at(point.expand(4, units)) @ columns.mT + middle
            bounds.append(Bound.of(images[:, None, None], drawn[:, None, None], law, posterior).value)
        return torch.stack(bounds).mean(dim=0)

    exactly(bound_at(true), evidence)
    gap = bound_at(Posterior(true.mean + 0.1, true.log_variance)) - bound_at(true)
    exactly(gap, torch.full((4,), -0.5 * 0.01 * float(precision.sum()), dtype=DOUBLE))
    wide = Posterior(true.mean, true.log_variance + 0.5)
    exactly(bound_at(true) - bound_at(wide), torch.full((4,), 0.5 * units * (math.exp(0.5) - 1.5), dtype=DOUBLE))


def test_the_weight_is_of_the_divergence_alone() -> None:
    bound = Bound(torch.tensor([1.0, 3.0]), torch.tensor([0.5, 1.5]))
    assert [float(bound.loss(beta)) for beta in (0.0, 1.0, 4.0)] == [-2.0, -1.0, 2.0]
    assert bound.value.tolist() == [0.5, 1.5]


def test_units_in_use_are_those_whose_means_vary() -> None:
    means = torch.zeros(100, 4)
    means[:50] = torch.tensor([0.0, 0.19, 0.21, 5.0])  # of variance 0, 0.009, 0.011 and 6.25
    means[:, 0] = 7.0
    assert active_units(means) == 2


@pytest.mark.parametrize(("likelihood", "sigma", "message"), [
    ("normal", None, "unknown likelihood 'normal': choose one of gaussian, bernoulli"),
    ("bernoulli", 0.1, "sigma=0.1 is of likelihood=gaussian: leave it out with likelihood=bernoulli"),
    ("gaussian", 0.0, r"deviation of a pixel in \[0, 1\], above 0, got 0.0: leave it out, and it is learnt"),
])  # fmt: skip
def test_laws_that_are_refused(likelihood: str, sigma: float | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pixel_law(likelihood, sigma)
