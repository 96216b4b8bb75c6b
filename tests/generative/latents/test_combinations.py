"""Combinations of members: their covariance by enumeration, the hull, the weights, and SMOTE's segments."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from scipy import stats
from scipy.optimize import nnls
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from generative.latents.addressed import dirichlet, distinct
from generative.latents.bank import Bank
from generative.latents.combinations import (
    Combination,
    Smote,
    covariance_factor,
    number_of_subsets,
    variance_keeping_spread,
)
from generative.latents.names import make_sampler
from generative.randomness import Stream
from tests.generative.latents.clouds import cloud, covariance, moment_scores

STREAM = Stream(4, "tests")


def all_combinations(sampler: Combination, theta: Tensor) -> Tensor:
    """Of every ordered choice of n distinct members of class 0, which the sampler draws with one probability: [.., D]."""
    choices = permutations(sampler.bank.members(0).tolist(), sampler.n)
    return torch.stack([sampler.combine(torch.tensor(choice), theta, 0) for choice in choices])


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("law", ["uniform", "given", "dirichlet"])
def test_covariances_of_all_combinations_of_four_members(n: int, law: str) -> None:
    bank = cloud(4, 2, dim=3)
    theta = (3.0, 1.0, 2.0)[:n] if law == "given" else law
    sigma, mean = bank.covariance(0), bank.mean(0)
    paper, kept, half = (Combination(bank, n, theta=theta, spread=spread) for spread in (1.0, "variance", 0.5))
    weights = paper.weights(7, STREAM)
    factor = covariance_factor(weights, 4)
    found = all_combinations(paper, weights)
    torch.testing.assert_close(covariance(found), factor * sigma, rtol=0, atol=1e-9)
    torch.testing.assert_close(covariance(all_combinations(half, weights)), factor / 4 * sigma, rtol=0, atol=1e-9)
    torch.testing.assert_close(covariance(all_combinations(kept, weights)), sigma, rtol=0, atol=1e-9)
    torch.testing.assert_close(all_combinations(kept, weights).mean(dim=0), mean, rtol=0, atol=1e-9)
    if law == "uniform":
        assert factor == pytest.approx({1: 1.0, 2: 1 / 3, 3: 1 / 9}[n])
        assert variance_keeping_spread(weights, 4) == pytest.approx({1: 1.0, 2: 3**0.5, 3: 3.0}[n])


def test_theorem_2_fails_the_covariance_of_combinations_is_not_that_of_the_class() -> None:
    """The mixture of two latents has the class's law, as is proved; their average, which is drawn, has half its covariance."""
    bank = cloud(300, dim=3)
    sigma, labels = bank.covariance(0), torch.zeros(1500, dtype=torch.int64)
    drawn = Combination(bank, 2).draw(range(1500), labels, STREAM).latents
    assert covariance_factor(torch.full((2,), 0.5)) == 0.5
    assert float(moment_scores(drawn, bank.mean(0), 0.5 * sigma).abs().max()) < 4.5
    assert float(moment_scores(drawn, bank.mean(0), sigma).abs().max()) > 20
    chosen = Combination(bank, 1).draw(range(1500), labels, STREAM).latents
    assert float(moment_scores(chosen, bank.mean(0), sigma).abs().max()) < 4.5


def test_the_factor_is_the_one_of_independent_draws_where_members_are_many() -> None:
    theta = torch.full((50,), 0.02, dtype=torch.float64)
    assert covariance_factor(theta, 6_000_000) == pytest.approx(covariance_factor(theta), rel=1e-5)
    assert covariance_factor(theta, 144) / covariance_factor(theta) == pytest.approx(0.657, abs=5e-4)


def test_the_number_of_subsets() -> None:
    for members in range(1, 7):
        subsets = [n for n in range(2**members) if n.bit_count() >= 2]
        assert number_of_subsets(members) == len(subsets)


@pytest.mark.parametrize("name", ["training", "convex_2", "convex_5", "dirichlet_3", "smote"])
def test_combinations_lie_in_the_hull_of_their_class_and_those_that_keep_the_variance_do_not(name: str) -> None:
    bank = cloud(12, 5, dim=20)
    labels = torch.zeros(20, dtype=torch.int64)
    assert distances_to_hull(bank, make_sampler(name, bank).draw(range(20), labels, STREAM).latents).max() < 1e-9
    beyond = make_sampler("variance_2", bank).draw(range(20), labels, STREAM).latents
    assert distances_to_hull(bank, beyond).min() > 0.1


def distances_to_hull(bank: Bank, latents: Tensor) -> Tensor:
    """Of rows from the convex hull of class 0, by least squares with weights from 0 whose sum is 1."""
    members = bank.rows(bank.members(0))
    heavy = 1e3  # of the equation for the sum
    left = torch.cat([members.T, torch.full((1, len(members)), heavy, dtype=torch.float64)])
    right = torch.cat([latents, torch.full((len(latents), 1), heavy, dtype=torch.float64)], dim=1)
    return torch.tensor([nnls(left.numpy(), row.numpy())[1] for row in right])


def test_one_member_comes_out_as_it_is() -> None:
    bank = cloud(9, dim=4)
    for sampler in (
        Combination(bank, 1),
        Combination(bank, 1, spread="variance"),
        Combination(bank, 1, theta="dirichlet"),
    ):
        drawn = sampler.draw(range(9), torch.zeros(9, dtype=torch.int64), STREAM)
        assert torch.equal(drawn.latents, bank.rows(drawn.sources[:, 0]))


def test_every_ordered_choice_is_as_likely() -> None:
    choices = [tuple(distinct(STREAM, number, 3, 4).tolist()) for number in range(2400)]
    counts = [choices.count(choice) for choice in permutations(range(4), 3)]
    assert sum(counts) == 2400
    assert stats.chisquare(counts).pvalue > 0.001
    assert sorted(distinct(STREAM, 8, 50, 50).tolist()) == list(range(50))


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_weights_have_the_dirichlet_law(alpha: float) -> None:
    weights = torch.stack([dirichlet(STREAM, number, 3, alpha=alpha) for number in range(1000)])
    assert float((weights.sum(dim=1) - 1).abs().max()) < 1e-15
    for place in range(3):  # each has the beta law of (alpha, 2 alpha)
        assert stats.kstest(weights[:, place].numpy(), stats.beta(alpha, 2 * alpha).cdf).pvalue > 0.001
    tiny = dirichlet(STREAM, 0, 3, alpha=1e-4)
    assert float(tiny.sum()) == pytest.approx(1.0)


def test_alpha_reaches_the_weights() -> None:
    bank = cloud(9, dim=2)
    even = Combination(bank, 2, theta="dirichlet", alpha=1e6).draw(range(5), torch.zeros(5, dtype=torch.int64), STREAM)
    torch.testing.assert_close(even.weights, torch.full((5, 2), 0.5, dtype=torch.float64), rtol=0, atol=0.01)


def test_smote_lies_between_a_latent_and_one_of_its_nearest() -> None:
    bank = cloud(30, 20, dim=4)
    labels = torch.arange(200) % 2
    drawn = Smote(bank, neighbours=3).draw(range(200), labels, STREAM)
    ranks = []
    for latent, (first, second), weights, label in zip(
        drawn.latents, drawn.sources, drawn.weights, labels, strict=True
    ):
        members = bank.members(int(label))
        nearest = NearestNeighbors(n_neighbors=4).fit(bank.rows(members).numpy())
        found = members[nearest.kneighbors(bank.rows(first[None]).numpy(), return_distance=False)[0]]
        assert found[0] == first
        ranks.append(found.tolist().index(int(second)))
        ends = bank.rows(torch.stack([first, second]))
        torch.testing.assert_close(latent, weights @ ends, rtol=0, atol=1e-9)
        off, side = latent - ends[0], ends[1] - ends[0]
        assert float(off.norm() / side.norm()) == pytest.approx(float(weights[1]), abs=1e-9)
    assert set(ranks) == {1, 2, 3}
    assert stats.kstest(drawn.weights[:, 1].numpy(), "uniform").pvalue > 0.001


def test_settings_that_make_no_combination_are_refused() -> None:
    bank = cloud(4, dim=2)
    labels = torch.tensor([0])
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        Combination(bank, 0)
    with pytest.raises(ValueError, match="unknown theta 'even': choose one of uniform, dirichlet"):
        Combination(bank, 2, theta="even")
    with pytest.raises(ValueError, match="spread must be a number from 0 or 'variance', got 'wide'"):
        Combination(bank, 2, spread="wide")
    with pytest.raises(ValueError, match=r"spread must be at least 0, got -0\.5"):
        Combination(bank, 2, spread=-0.5)
    with pytest.raises(ValueError, match=r"n = 2 members take as many weights theta, got \[1\.0\]"):
        Combination(bank, 2, theta=[1.0])
    for theta in ([1.0, -0.5], [0.0, 0.0], [1.0, float("nan")]):
        with pytest.raises(ValueError, match="finite, from 0 and not all 0, got"):
            Combination(bank, 2, theta=theta)
    with pytest.raises(ValueError, match=r"alpha 2\.0 is of Dirichlet weights, and theta is 'uniform'"):
        Combination(bank, 2, alpha=2.0)
    with pytest.raises(ValueError, match="alpha must be a finite number above 0, got 0"):
        Combination(bank, 2, theta="dirichlet", alpha=0.0)
    with pytest.raises(ValueError, match="average of n = 4 members of a class of 4 always is its mean"):
        Combination(bank, 4, spread="variance").draw([0], labels, STREAM)
    with pytest.raises(ValueError, match="average of n = 1 members of a class of 1 always is its mean"):
        variance_keeping_spread(torch.ones(1), 1)
    with pytest.raises(ValueError, match="neighbours must be at least 1, got 0"):
        Smote(bank, 0)
