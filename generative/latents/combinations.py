"""Samplers that combine a few members of a class, and what a combination does to the covariance.

"Classify and generate" (Neurocomputing 2021) averages n members (eq. 11). Its Theorem 2 holds that averages have the law of
the latents. That is so of a member chosen at random; the sum of theta_i z_i has the covariance (sum theta_i^2) Sigma_c.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from generative.checks import check_at_least, check_choice
from generative.latents.addressed import dirichlet, distinct, uniform
from generative.latents.bank import Bank
from generative.latents.samplers import Row, Sampler
from generative.randomness import Stream

LAWS = ("uniform", "dirichlet")
DEGENERATE = 1e-9  # of the class's covariance: combinations that keep less of it are all but the class mean


def number_of_subsets(members: int) -> int:
    """2^N - N - 1, the sets of at least two of N latents, each of which has an average (section 3.4 of the paper)."""
    return 2**members - members - 1


def covariance_factor(theta: Tensor, members: int | None = None) -> float:
    """What multiplies Sigma_c in the covariance of sum theta_i z_i, for weights ``theta`` [n] that sum to 1.

    sum theta_i^2 for independent draws. n distinct ones of ``members`` N, N from 2, have Cov(z_i, z_j) = -Sigma_c / (N - 1),
    and as sum_{i != j} theta_i theta_j = 1 - sum theta_i^2 the factor is (N sum theta_i^2 - 1) / (N - 1): 0 for the average
    of all.
    """
    squares = float(theta.square().sum())
    return squares if members is None else (members * squares - 1.0) / (members - 1)


def variance_keeping_spread(theta: Tensor, members: int) -> float:
    """The s for which mu_c + s sum theta_i (z_i - mu_c), of distinct members, has the covariance Sigma_c.

    ValueError where no s does it, as for the average of all members and for a class of one.
    """
    factor = covariance_factor(theta, members) if members > 1 else 0.0
    if factor < DEGENERATE:
        raise ValueError(
            f"the average of n = {len(theta)} members of a class of {members} always is its mean, and no spread gives it "
            "the variance of the class: take a smaller n, or a bank with more members"
        )
    return math.sqrt(1.0 / factor)


class Combination(Sampler):
    """z = mu_c + s sum theta_i (z_i - mu_c) of ``n`` distinct members of the class, eq. 11 where the ``spread`` s is 1.

    ``theta``: ``"uniform"``, 1/n each; ``"dirichlet"``, drawn anew for each latent with the concentration ``alpha`` (1 unless
    given, uniform on the simplex); or n numbers from 0, of which shares are made. ``spread``: a number from 0 (0 is the class
    mean), or ``"variance"``, with which the draws have the class's own covariance, whatever theta. Beyond 1 a latent may
    lie outside the hull of its class, and Lemma 1 says nothing of it. n = 1 draws training latents.
    """

    def __init__(
        self,
        bank: Bank,
        n: int = 2,
        *,
        theta: str | Sequence[float] = "uniform",
        alpha: float | None = None,
        spread: float | str = 1.0,
    ) -> None:
        super().__init__(bank)
        check_at_least(1, n=n)
        if not isinstance(spread, str):
            check_at_least(0, spread=spread)
        elif spread != "variance":
            raise ValueError(f"spread must be a number from 0 or 'variance', got {spread!r}")
        if alpha is not None and theta != "dirichlet":
            raise ValueError(f"alpha {alpha} is of Dirichlet weights, and theta is {theta!r}: leave one of them out")
        if alpha is not None and not (math.isfinite(alpha) and alpha > 0):
            raise ValueError(f"alpha must be a finite number above 0, got {alpha}")
        self.n, self.spread = n, spread
        if isinstance(theta, str):
            check_choice("theta", theta, LAWS)
        self.theta = theta if isinstance(theta, str) else shares(theta, n)
        self.alpha = 1.0 if alpha is None else alpha

    def of_class(self, label: int, stream: Stream) -> Callable[[int], Row]:
        members = self.bank.members(label, least=self.n)
        choices, weights = stream.branch("members"), stream.branch("theta")

        def row(number: int) -> Row:
            sources = members[distinct(choices, number, self.n, len(members))]
            theta = self.weights(number, weights)
            return Row(self.combine(sources, theta, label), sources, theta)

        return row

    def weights(self, number: int, stream: Stream) -> Tensor:
        """theta of a number, float64 [n], with the sum 1 (to rounding: in float32 the bounds of Lemma 1 would fail by 1e-9)."""
        if isinstance(self.theta, Tensor):
            return self.theta
        if self.theta == "dirichlet":
            return dirichlet(stream, number, self.n, alpha=self.alpha)
        return torch.full((self.n,), 1.0 / self.n, dtype=torch.float64)

    def combine(self, sources: Tensor, theta: Tensor, label: int) -> Tensor:
        """The latent [D] of members ``sources`` [n] of class ``label`` with weights ``theta`` [n]."""
        combined = (theta[:, None] * self.bank.rows(sources)).sum(dim=0)
        spread = self.spread
        if isinstance(spread, str):
            spread = variance_keeping_spread(theta, len(self.bank.members(label)))
        if spread == 1.0:  # without the mean, so that one member comes out as it is
            return combined
        mean = self.bank.mean(label)
        return mean + spread * (combined - mean)


class Smote(Sampler):
    """A latent and one of the ``neighbours`` nearest of its class, (1 - r) z_i + r z_j with r uniform (Chawla et al. 2002).

    Of members at one distance the first in the bank are nearest.
    """

    def __init__(self, bank: Bank, neighbours: int = 5) -> None:
        super().__init__(bank)
        check_at_least(1, neighbours=neighbours)
        self.neighbours = neighbours

    def of_class(self, label: int, stream: Stream) -> Callable[[int], Row]:
        members = self.bank.members(label, least=self.neighbours + 1)
        latents = self.bank.rows(members)
        choices, neighbours, ratios = (stream.branch(what) for what in ("members", "neighbour", "ratio"))

        def row(number: int) -> Row:
            first = int(distinct(choices, number, 1, len(members)))
            distances = (latents - latents[first]).square().sum(dim=1)
            distances[first] = torch.inf
            nearest = distances.argsort(stable=True)[: self.neighbours]
            second = int(nearest[int(distinct(neighbours, number, 1, self.neighbours))])
            ratio = uniform(ratios, number)
            latent = (1.0 - ratio) * latents[first] + ratio * latents[second]
            weights = torch.tensor([1.0 - ratio, ratio], dtype=torch.float64)
            return Row(latent, members[torch.tensor([first, second])], weights)

        return row


def shares(theta: Sequence[float], n: int) -> Tensor:
    """n weights divided by their sum, float64 [n]; ValueError unless they are n finite numbers from 0, not all 0."""
    given = torch.tensor([float(weight) for weight in theta], dtype=torch.float64)
    if len(given) != n:
        raise ValueError(f"n = {n} members take as many weights theta, got {given.tolist()}")
    if not given.isfinite().all() or (given < 0).any() or not given.sum() > 0:
        raise ValueError(
            f"weights theta of a convex combination are finite, from 0 and not all 0, got {given.tolist()}"
        )
    return given / given.sum()
