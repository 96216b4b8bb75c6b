"""Draws of every law: addressed by number, of the distribution that its functions state, in every dimension."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from hydra.utils import instantiate
from scipy import stats

from generative.priors.base import IsotropicPrior, Prior, ProductPrior
from generative.priors.cauchy import Cauchy
from generative.priors.gamma import Gamma
from generative.priors.normal import Normal
from generative.priors.student import Student
from generative.priors.uniform import Uniform
from generative.randomness import Stream

STREAM = Stream(3, "latents")
FILES = sorted((Path(__file__).resolve().parents[3] / "configs" / "prior").glob("*.yaml"))
# A density from a file draws as any other law on bins, but takes a file of the user's.
PRIORS = {path.stem: instantiate(yaml.safe_load(path.read_text())) for path in FILES if path.stem != "density_file"}


@pytest.mark.parametrize("name", PRIORS)
def test_a_latent_is_a_function_of_its_number(name: str) -> None:
    whole = PRIORS[name].sample(0, 20, 6, STREAM)
    parts = [PRIORS[name].sample(first, count, 6, STREAM) for first, count in ((0, 7), (7, 1), (8, 12))]
    assert whole.dtype == torch.float32
    assert torch.equal(whole, torch.cat(parts))
    assert not torch.equal(whole, PRIORS[name].sample(0, 20, 6, Stream(4, "latents")))
    assert not torch.equal(whole, PRIORS[name].sample(20, 20, 6, STREAM))


@pytest.mark.parametrize("name", PRIORS)
def test_dimension_0_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="latents have a dimension of at least 1, got 0"):
        PRIORS[name].sample(0, 2, 0, STREAM)


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
@pytest.mark.parametrize(
    ("law", "parameter"), [(Cauchy, "scale"), (Uniform, "half_width"), (Gamma, "theta"), (Student, "nu")]
)
def test_a_parameter_that_no_law_has_is_refused(law: Callable[..., Prior], parameter: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{parameter} must be positive and finite, got {value}"):
        law(**{parameter: value})


def uniforms(prior: Prior, latents: torch.Tensor) -> torch.Tensor:
    """What the functions of a law make of its draws [count, dim]: uniform on (0, 1), if they are its own; [N]."""
    if isinstance(prior, IsotropicPrior):
        return prior.norm_cdf(latents.norm(dim=1), latents.shape[1])
    assert isinstance(prior, ProductPrior)
    return prior.cdf(latents).flatten()


@pytest.mark.parametrize("dim", [1, 2, 8])
@pytest.mark.parametrize("name", PRIORS)
def test_draws_have_the_law_that_is_stated(name: str, dim: int) -> None:
    latents = PRIORS[name].sample(0, 4_000, dim, STREAM).double()
    assert stats.kstest(uniforms(PRIORS[name], latents).numpy(), "uniform").pvalue > 1e-3
    above = (latents > 0).double().mean(dim=0)
    assert float((above - 0.5).abs().max()) < 4.5 * 0.5 / 4_000**0.5


@pytest.mark.parametrize("dim", [1, 3])
@pytest.mark.parametrize("name", PRIORS)
def test_quantiles_are_the_inverse_of_probabilities(name: str, dim: int) -> None:
    prior = PRIORS[name]
    probabilities = torch.tensor([1e-6, 0.01, 0.3, 0.5, 0.9, 1 - 1e-6], dtype=torch.float64)
    if isinstance(prior, IsotropicPrior):
        back = prior.norm_cdf(prior.norm_quantile(probabilities, dim), dim)
    else:
        assert isinstance(prior, ProductPrior)
        back = prior.cdf(prior.quantile(probabilities))
    assert torch.allclose(back, probabilities, rtol=1e-8, atol=0)


@pytest.mark.parametrize(
    ("prior", "law"),
    [
        (Normal(), stats.norm()),
        (Uniform(), stats.uniform(-1, 2)),
        (Uniform(half_width=3.0), stats.uniform(-3, 6)),
        (Cauchy(), stats.cauchy()),
        (Cauchy(scale=0.5), stats.cauchy(scale=0.5)),
        (Student(nu=5.0), stats.t(5)),
        (Student(nu=3.0, unit_variance=True), stats.t(3, scale=3**-0.5)),
        (Student(nu=1.0), stats.cauchy()),
    ],
)
def test_a_coordinate_has_the_law_of_its_name(prior: Prior, law: stats.rv_continuous) -> None:
    latents = prior.sample(0, 4_000, 6, STREAM)
    assert stats.kstest(latents[:, 4].numpy(), law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", ["normal", "gamma", "nonparametric", "truncated_cauchy", "radial"])
def test_a_coordinate_has_variance_1(name: str) -> None:
    latents = PRIORS[name].sample(0, 20_000, 5, STREAM).double()
    # The fourth moment of the norm, at most 10 times the square of the second here, gives the noise of the mean of z^2.
    assert float(latents.square().mean()) == pytest.approx(1.0, abs=4 * (10 / 20_000) ** 0.5)


# Trained networks know these latents: a change of them would change what checkpoints draw.
DRAWN = {
    "cauchy": [-0.3644513, -0.3121145, 4.709125],
    "gamma": [0.3433953, -0.5518898, -1.420041],
    "nonparametric": [-0.0431304, -0.03649983, 0.5329669],
    "normal": [0.323102, -0.5192753, -1.336123],
    "radial": [0.1377065, -0.2213158, -0.5694571],
    "student": [0.2345226, -0.3769144, -0.9698204],
    "truncated_cauchy": [-0.03108179, -0.0269057, 0.3942756],
    "uniform": [-0.2224927, -0.1925989, 0.8667902],
}


@pytest.mark.parametrize("name", DRAWN)
def test_draws_stay_what_they_were(name: str) -> None:
    latents = PRIORS[name].sample(5, 1, 3, Stream(7, "latents"))[0]
    # Solved laws hang on the last digits of the processor's arithmetic.
    assert latents.tolist() == pytest.approx(DRAWN[name], rel=1e-4 if name in ("nonparametric", "radial") else 1e-6)
