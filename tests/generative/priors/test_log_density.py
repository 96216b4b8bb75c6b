"""Log densities of priors: against scipy's laws, and against the distribution functions that latents are drawn by."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from generative.priors.base import IsotropicPrior, Prior, ProductPrior, log_area
from generative.priors.cauchy import Cauchy
from generative.priors.gamma import Gamma
from generative.priors.nonparametric import NonParametric
from generative.priors.normal import Normal
from generative.priors.radial import Radial
from generative.priors.student import Student
from generative.priors.uniform import Uniform
from generative.randomness import Stream
from tests.generative.priors.test_laws import PRIORS

DIM = 5
ISOTROPIC = {name: prior for name, prior in PRIORS.items() if isinstance(prior, IsotropicPrior)}
PRODUCTS = {name: prior for name, prior in PRIORS.items() if isinstance(prior, ProductPrior)}


def drawn(prior: Prior, dim: int = DIM) -> Tensor:
    return prior.sample(0, 200, dim, Stream(0, "latents")).double()


def test_laws_that_scipy_knows() -> None:
    nu, scale = 3.0, math.sqrt(1.0 / 3.0)
    student = stats.multivariate_t(loc=np.zeros(DIM), shape=scale**2 * np.eye(DIM), df=nu)
    references = {
        Normal(): stats.multivariate_normal(mean=np.zeros(DIM)).logpdf,
        Student(nu=nu, unit_variance=True): student.logpdf,
        Cauchy(scale=0.5): lambda z: stats.cauchy(scale=0.5).logpdf(z).sum(axis=1),
        Uniform(half_width=2.0): lambda z: stats.uniform(-2.0, 4.0).logpdf(z).sum(axis=1),
        Gamma(theta=3.0): lambda z: of_gamma(z, theta=3.0),
    }
    for prior, logpdf in references.items():
        latents = drawn(prior)
        found = prior.log_density(latents)
        assert found.shape == (200,)
        np.testing.assert_allclose(found.numpy(), logpdf(latents.numpy()), rtol=1e-12, atol=1e-12)
        batched = prior.log_density(latents.reshape(2, 100, DIM))
        assert torch.equal(batched.flatten(), found)


def of_gamma(latents: np.ndarray, *, theta: float) -> np.ndarray:
    """Eq. 4.7 by its own words: the law of the squared norm, by a change of variables, over the area of the sphere."""
    norms = np.linalg.norm(latents, axis=1)
    area = 2.0 * np.pi ** (DIM / 2.0) / math.gamma(DIM / 2.0) * norms ** (DIM - 1)
    found: np.ndarray = np.log(stats.gamma(0.5, scale=theta).pdf(norms**2) * 2.0 * norms / area)
    return found


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_coordinates_density_is_the_slope_of_its_distribution_function(name: str) -> None:
    prior = PRODUCTS[name]
    values, step = drawn(prior).flatten(), 1e-7
    slopes = (prior.cdf(values + step) - prior.cdf(values - step)) / (2.0 * step)
    found = prior.log_pdf(values).exp()
    # A difference over an edge between two bins lies between both; 2 e-9 is that of rounding over the step.
    off = (found - slopes).abs() > 1e-5 * found + 2e-9
    assert off.double().mean() < 0.01
    assert torch.equal(prior.log_density(values.reshape(-1, DIM)), prior.log_pdf(values).reshape(-1, DIM).sum(dim=1))


@pytest.mark.parametrize("name", ISOTROPIC)
def test_the_density_over_a_sphere_is_the_slope_of_the_norms_distribution_function(name: str) -> None:
    prior = ISOTROPIC[name]
    latents, step = drawn(prior), 1e-7
    norms = latents.norm(dim=1)
    slopes = (prior.norm_cdf(norms * (1 + step), DIM) - prior.norm_cdf(norms * (1 - step), DIM)) / (2.0 * step * norms)
    found = (prior.log_density(latents) + log_area(norms, DIM)).exp()
    off = (found - slopes).abs() > 1e-5 * found + 2e-9
    assert off.double().mean() < 0.03  # of 240 cells of the radial prior each has two edges


@pytest.mark.parametrize("name", ["normal", "student", "gamma"])
def test_in_one_dimension_it_integrates_to_one(name: str) -> None:
    prior = ISOTROPIC[name]
    whole, _ = integrate.quad(
        lambda z: prior.log_density(torch.tensor([z], dtype=torch.float64)).exp().item(), 0, np.inf
    )
    assert 2.0 * whole == pytest.approx(1.0, abs=1e-7)


def test_there_is_no_mass_outside_of_a_support() -> None:
    outside = torch.full((1, DIM), 1e3, dtype=torch.float64)
    for prior in (Uniform(), NonParametric(xi=0.75), Radial()):
        assert prior.log_density(outside).tolist() == [-math.inf]
    assert Radial().log_density(torch.zeros(1, DIM, dtype=torch.float64)).tolist() == [-math.inf]
