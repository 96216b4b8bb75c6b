"""Laws of the norm of isotropic priors against scipy's, and the scales that are stated of them."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from generative.priors.base import IsotropicPrior
from generative.priors.gamma import Gamma
from generative.priors.normal import Normal
from generative.priors.radial import Radial
from generative.priors.student import Student
from generative.randomness import Stream

PROBABILITIES = torch.tensor([1e-9, 1e-3, 0.1, 0.5, 0.99], dtype=torch.float64)


def squared_norm(prior: IsotropicPrior, dim: int) -> stats.rv_frozen:
    """scipy's law of the squared norm."""
    if isinstance(prior, Normal):
        return stats.chi2(dim)
    if isinstance(prior, Student):
        return stats.f(dim, prior.nu, scale=dim * prior.scale**2)
    assert isinstance(prior, Gamma)
    return stats.gamma(0.5, scale=prior.theta or 2.0 * dim)  # eq. 4.7


@pytest.mark.parametrize("dim", [1, 2, 100])
@pytest.mark.parametrize(
    "prior",
    [Normal(), Gamma(), Gamma(theta=0.5), Student(nu=1.0), Student(nu=2.5), Student(nu=3.0, unit_variance=True)],
)
def test_norms_have_the_law_of_the_textbook(prior: IsotropicPrior, dim: int) -> None:
    law = squared_norm(prior, dim)
    norms = torch.from_numpy(law.ppf(PROBABILITIES.numpy()) ** 0.5)
    assert torch.allclose(prior.norm_quantile(PROBABILITIES, dim), norms, rtol=1e-7, atol=0)
    assert torch.allclose(prior.norm_cdf(norms, dim), PROBABILITIES, rtol=1e-7, atol=0)
    far = torch.from_numpy(law.isf(PROBABILITIES.numpy()) ** 0.5)
    assert torch.allclose(prior.norm_upper_quantile(PROBABILITIES, dim), far, rtol=1e-7, atol=0)
    assert torch.allclose(prior.norm_survival(far, dim), PROBABILITIES, rtol=1e-7, atol=0)


@pytest.mark.parametrize("dim", [1, 2, 100])
@pytest.mark.parametrize("prior", [Normal(), Gamma(), Student(nu=1.0), Student(nu=3.0, unit_variance=True)])
def test_quantiles_keep_their_digits_where_a_probability_is_almost_1(prior: IsotropicPrior, dim: int) -> None:
    law = squared_norm(prior, dim)
    almost = 1.0 - torch.tensor([1e-3, 1e-9, 1e-12, 2.0**-53], dtype=torch.float64)
    rest = (1.0 - almost).numpy()  # exact
    far, near = (torch.from_numpy(squares(rest) ** 0.5) for squares in (law.isf, law.ppf))
    assert torch.allclose(prior.norm_quantile(almost, dim), far, rtol=1e-7, atol=0)
    assert torch.allclose(prior.norm_upper_quantile(almost, dim), near, rtol=1e-7, atol=0)


@pytest.mark.parametrize("prior", [Normal(), Gamma(), Student(nu=3.0), Radial()])
def test_directions_are_uniform_and_know_nothing_of_the_norm(prior: IsotropicPrior) -> None:
    latents = prior.sample(0, 6_000, 3, Stream(0, "latents")).double()
    norms = latents.norm(dim=1)
    heights = latents / norms[:, None]  # of each axis uniform on [-1, 1] (Archimedes)
    for axis in range(3):
        assert stats.kstest(heights[:, axis].numpy(), stats.uniform(-1, 2).cdf).pvalue > 1e-3
    far = norms > norms.median()
    assert stats.ks_2samp(heights[far, 0].numpy(), heights[~far, 0].numpy()).pvalue > 1e-3


def test_a_scale_by_a_variance_that_is_infinite_is_refused() -> None:
    with pytest.raises(ValueError, match="has a variance for nu above 2, got nu 2: give unit_variance=false"):
        Student(nu=2, unit_variance=True)


def test_a_squared_norm_of_normal_midpoints_is_half_a_chi_squared() -> None:
    first, second = (Normal().sample(0, 5_000, 4, Stream(seed, "latents")) for seed in (0, 1))
    squares = ((first + second) / 2).double().square().sum(dim=1)
    assert stats.kstest(squares.numpy(), stats.chi2(4, scale=0.5).cdf).pvalue > 1e-3  # eq. 4.2


def test_the_norm_of_the_gamma_prior_is_half_normal() -> None:
    norms = Gamma().norm_quantile(PROBABILITIES, 9)
    assert torch.allclose(norms, torch.from_numpy(stats.halfnorm(scale=math.sqrt(9)).ppf(PROBABILITIES.numpy())))
