"""Paths of latents: each by its formula, and those that keep the prior's law by the law itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from generative.priors.base import IsotropicPrior, Prior, ProductPrior
from generative.priors.cauchy import Cauchy
from generative.priors.gamma import Gamma
from generative.priors.line import LEAST, NORMAL, LineLaw, chi, monotone_map
from generative.priors.normal import Normal
from generative.priors.paths import PATHS, combine, path_points
from generative.priors.student import Student
from generative.priors.uniform import Uniform
from generative.randomness import Stream

PRIORS: dict[str, Prior] = {
    "normal": Normal(),
    "uniform": Uniform(half_width=1.5),
    "cauchy": Cauchy(scale=0.5),
    "gamma": Gamma(),
    "student 1": Student(nu=1.0),
    "student 3": Student(nu=3.0, unit_variance=True),
}
WEIGHTS = {  # midpoint, a third, mean of 4, extrapolation, a difference
    2: [(0.5, 0.5), (2 / 3, 1 / 3), (-0.25, 1.25), (1.0, -1.0)],
    4: [(0.25, 0.25, 0.25, 0.25), (0.5, -1.0, 2.0, 0.1)],
}


class Skewed(ProductPrior):
    """Every coordinate exponential: a law with one tail, on one side of 0."""

    def cdf(self, values: Tensor) -> Tensor:
        return -torch.expm1(-values.clamp(min=0.0))

    def log_pdf(self, values: Tensor) -> Tensor:
        return -values

    def quantile(self, probabilities: Tensor) -> Tensor:
        return -torch.log1p(-probabilities)


def codes(prior: Prior, number: int, *, count: int = 2000, dim: int = 3) -> Tensor:
    """Independent latents [number, count, dim]."""
    return torch.stack([prior.sample(0, count, dim, Stream(5, f"codes {i}")) for i in range(number)])


def probabilities(prior: Prior, latents: Tensor) -> Tensor:
    """What is uniform on [0, 1] if ``latents`` [B, d] are of ``prior``: of each coordinate, or of the norms."""
    if isinstance(prior, ProductPrior):
        return prior.cdf(latents.double())
    assert isinstance(prior, IsotropicPrior)
    return prior.norm_cdf(latents.double().norm(dim=1), latents.shape[1])


@pytest.mark.parametrize("name", [*PRIORS, "skewed"])
def test_transport_keeps_the_law_of_the_prior_for_any_number_of_latents_and_any_weights(name: str) -> None:
    prior = PRIORS.get(name, Skewed())
    for number, all_weights in WEIGHTS.items():
        latents = codes(prior, number)
        for weights in all_weights:
            found = combine(latents, weights, path="transport", prior=prior)
            assert found.dtype == torch.float32
            # 0.001: a false alarm once in a thousand draws, and these draws are always the same ones.
            assert stats.kstest(probabilities(prior, found).flatten().numpy(), "uniform").pvalue > 0.001, weights
            directions = found / found.norm(dim=1, keepdim=True)
            if isinstance(prior, IsotropicPrior):  # a coordinate of a point uniform on the sphere of R^3 is uniform
                assert stats.kstest(directions[:, 0].numpy(), "uniform", args=(-1, 2)).pvalue > 0.001
    straight = combine(codes(prior, 2), (0.5, 0.5), path="linear", prior=prior)
    keeps = prior.stability == 1.0
    assert (stats.kstest(probabilities(prior, straight).flatten().numpy(), "uniform").pvalue > 0.001) == keeps


def test_transport_of_the_normal_prior_is_the_variance_preserving_path_to_the_last_bit() -> None:
    for number, all_weights in WEIGHTS.items():
        latents = codes(Normal(), number)
        for weights in all_weights:
            control = combine(latents, weights, path="variance_preserving", prior=Normal())
            assert torch.equal(combine(latents, weights, path="transport", prior=Normal()), control)
            expected = sum(w * z for w, z in zip(weights, latents.double(), strict=True)) / math.hypot(*weights)
            torch.testing.assert_close(control.double(), expected, rtol=2**-23, atol=1e-30)


def test_strictly_stable_laws_are_scaled_by_their_index() -> None:
    for prior in (Cauchy(), Student(nu=1.0)):
        latents = codes(prior, 2)
        mean = combine(latents, (0.5, 0.5), path="linear", prior=prior)
        assert torch.equal(combine(latents, (0.5, 0.5), path="transport", prior=prior), mean)
        beyond = combine(latents, (-0.25, 1.25), path="linear", prior=prior)  # sum |w| = 1.5
        torch.testing.assert_close(combine(latents, (-0.25, 1.25), path="transport", prior=prior) * 1.5, beyond)


@pytest.mark.parametrize("name", [*PRIORS, "skewed"])
def test_every_law_goes_to_the_normal_one_and_comes_back(name: str) -> None:
    prior = PRIORS.get(name, Skewed())
    latents = codes(prior, 1, count=200)[0].double()
    normal = prior.to_normal(latents)
    assert stats.kstest(normal.flatten().numpy(), "norm").pvalue > 0.001
    torch.testing.assert_close(prior.from_normal(normal), latents, rtol=1e-9, atol=1e-12)
    alone = combine(latents.float()[None], (1.0,), path="transport", prior=prior)
    torch.testing.assert_close(alone, latents.float())


def test_the_map_of_a_product_law_is_the_normal_quantile_of_its_distribution_function() -> None:
    found = Uniform(half_width=2.0).to_normal(torch.tensor([[-1.5, 0.0, 1.9]], dtype=torch.float64))
    np.testing.assert_allclose(found[0], stats.norm.ppf([0.125, 0.5, 0.975]), atol=1e-12)
    radial = Gamma(theta=2.0).to_normal(torch.tensor([[3.0, 4.0]], dtype=torch.float64))  # its norm is |N(0, 1)|
    expected = stats.chi.isf(2 * stats.norm.sf(5.0), df=2)
    np.testing.assert_allclose(radial[0], [0.6 * expected, 0.8 * expected], rtol=1e-9)


def test_far_tails_keep_their_digits_and_stay_finite() -> None:
    far = torch.tensor([1e-12, 1e-15], dtype=torch.float64)
    edge = Uniform().to_normal(torch.stack([2 * far - 1, 1 - 2 * far]))  # probabilities 1e-12 and 1 - 1e-12
    torch.testing.assert_close(edge[0], -edge[1], rtol=0.0, atol=0.0)
    np.testing.assert_allclose(edge[0], stats.norm.ppf([1e-12, 1e-15]), rtol=1e-3)  # 1 - 1e-15 has one digit
    for law, reference in ((NORMAL, stats.norm()), (chi(7), stats.chi(7)), (Cauchy(scale=2.0).law, stats.cauchy(0, 2))):
        values = torch.from_numpy(reference.isf(far.numpy()))
        np.testing.assert_allclose(law.survival(values), far, rtol=1e-9)
        low = torch.from_numpy(reference.ppf(far.numpy()))
        np.testing.assert_allclose(law.cdf(low), far, rtol=1e-9)
    for prior in (Gamma(), Student(nu=3.0), Student(nu=0.5)):
        law = prior.norm_law(5)
        values = law.upper_quantile(far)
        np.testing.assert_allclose(law.survival(values), far, rtol=1e-9)
    for prior in PRIORS.values():  # 1 - 1e-12, the very edge, and beyond what any draw reaches
        outermost = torch.tensor([[1 - 1e-12, 1.5, 1e30], [0.0, 0.0, 0.0], [-1.5, -1.5, -1.5]])
        for weights in WEIGHTS[2]:
            found = combine(torch.stack([outermost, outermost.flip(0)]), weights, path="transport", prior=prior)
            assert found.isfinite().all()


def test_the_monotone_map_of_a_far_value_is_that_of_the_farthest_draw() -> None:
    exponential = LineLaw(
        cdf=lambda x: -torch.expm1(-x),
        survival=lambda x: torch.exp(-x),
        quantile=lambda p: -torch.log1p(-p),
        upper_quantile=lambda p: -torch.log(p),
    )
    values = torch.tensor([0.0, 1.0, 30.0, 1e6], dtype=torch.float64)
    found = monotone_map(values, source=exponential, target=NORMAL)
    np.testing.assert_allclose(found[1:3], stats.norm.isf(np.exp([-1.0, -30.0])), rtol=1e-12)
    torch.testing.assert_close(found[[0, 3]], torch.special.ndtri(torch.tensor(LEAST)).double() * torch.tensor([1, -1]))


def test_the_spherical_path_turns_at_an_even_rate_on_the_circle_through_its_ends() -> None:
    a = torch.tensor([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0]], dtype=torch.float64)
    b = torch.tensor([[0.0, 1.0, 0.0], [-1.0, 3.0**0.5, 0.0]], dtype=torch.float64)  # 90 and 120 degrees away
    lambdas = [0.0, 0.25, 0.5, 1.0]
    points = path_points(a, b, lambdas, path="spherical", prior=Normal())
    for row, (radius, angle) in enumerate(((1.0, math.pi / 2), (2.0, 2 * math.pi / 3))):
        expected = [[radius * math.cos(x * angle), radius * math.sin(x * angle), 0.0] for x in lambdas]
        np.testing.assert_allclose(points[:, row], expected, atol=1e-12)


def test_the_spherical_path_is_straight_where_no_great_circle_is_determined() -> None:
    z = torch.tensor([[3.0, -4.0]])
    for a, b in ((z, -z), (z, 2 * z), (z, 0 * z), (0 * z, z), (0 * z, 0 * z), (z, z)):
        straight = path_points(a, b, [0.0, 0.3, 0.5, 1.0], path="linear", prior=Normal())
        torch.testing.assert_close(path_points(a, b, [0.0, 0.3, 0.5, 1.0], path="spherical", prior=Normal()), straight)
    # Next to it the circle is determined: latents one part in a thousand from opposite turn by way of their side.
    b = torch.tensor([[-1.0, 1e-3]], dtype=torch.float64)
    middle = path_points(torch.tensor([[1.0, 0.0]]).double(), b, [0.5], path="spherical", prior=Normal())
    torch.testing.assert_close(middle[0, 0], torch.tensor([0.0, 1.0], dtype=torch.float64), atol=1e-6, rtol=0.0)


def test_the_normalized_path_is_straight_in_direction_and_even_in_norm() -> None:
    a, b = codes(Normal(), 2, count=20).double()
    lambdas = [0.0, 0.2, 0.5, 1.0]
    points = path_points(a, b, lambdas, path="normalized", prior=Normal())
    straight = path_points(a, b, lambdas, path="linear", prior=Normal())
    for x, found, line in zip(lambdas, points, straight, strict=True):
        torch.testing.assert_close(found.norm(dim=1), (1 - x) * a.norm(dim=1) + x * b.norm(dim=1))
        torch.testing.assert_close(torch.cosine_similarity(found, line), torch.ones(20, dtype=torch.float64))
    assert torch.equal(path_points(a, -a, [0.5], path="normalized", prior=Normal())[0], torch.zeros_like(a))


@pytest.mark.parametrize("path", list(PATHS))
@pytest.mark.parametrize("name", list(PRIORS))
def test_every_path_begins_and_ends_at_its_ends_and_a_row_hangs_on_itself_alone(path: str, name: str) -> None:
    a, b = codes(PRIORS[name], 2, count=7)
    points = path_points(a, b, [0.0, 0.4, 1.0], path=path, prior=PRIORS[name])
    assert points.shape == (3, 7, 3)
    torch.testing.assert_close(points[0], a)
    torch.testing.assert_close(points[2], b)
    assert torch.equal(points[:, 2:5], path_points(a[2:5], b[2:5], [0.0, 0.4, 1.0], path=path, prior=PRIORS[name]))


def test_what_cannot_be_combined_is_refused() -> None:
    latents = codes(Normal(), 3, count=4)

    def refused(weights: tuple[float, ...], words: str, *, path: str = "linear", given: Tensor = latents) -> None:
        with pytest.raises(ValueError, match=words):
            combine(given, weights, path=path, prior=Normal())

    refused((0.5, 0.5), "3 latents take as many weights")
    refused((1.0, 0.0, math.nan), "finite numbers")
    for path in PATHS:
        refused((0.0, 0.0, 0.0), "not all 0", path=path)
    refused((1.0, 0.0, 0.0), "there is no path 'geodesic': choose one of linear, variance_preserving", path="geodesic")
    refused((1.0,), r"\[m, B, d\], got \(4, 3\)", given=latents[0])
    for path in ("spherical", "normalized"):
        refused((0.2, 0.3, 0.5), "takes two latents", path=path)
        refused((0.5, 0.6), r"weights \(1 - lambda, lambda\)", path=path, given=latents[:2])
        for x in (1.25, -0.25):
            words = f"lambda {x} is outside the domain of {path} interpolation"
            refused((1 - x, x), words, path=path, given=latents[:2])
