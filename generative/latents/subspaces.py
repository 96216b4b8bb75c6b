"""Samplers that learn a law on the leading principal directions of a class, and take the rest as independent noise."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.linalg import eigh
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits
from torch import Tensor

from generative.checks import check_at_least
from generative.latents.addressed import normals, uniform
from generative.latents.bank import Bank
from generative.latents.densities import class_noise
from generative.latents.samplers import Row, Sampler
from generative.randomness import Stream

RANK = 1e-10  # of the largest variance: directions with less are rounding


def principal_directions(centred: Tensor, most: int) -> Tensor:
    """The up to ``most`` orthonormal directions of largest variance of ``centred`` [N, D], largest first: float64 [q, D].

    q is no more than the rank. Each direction's largest entry is positive, so that a library's signs do not matter. Of the
    two products X^T X and X X^T the smaller is decomposed, and of it the leading vectors alone.
    """
    size = min(centred.shape)
    few = centred.shape[0] < centred.shape[1]
    gram = centred @ centred.T if few else centred.T @ centred
    values, vectors = eigh(gram.numpy(), subset_by_index=[max(0, size - most), size - 1])
    values, vectors = values[::-1], vectors[:, ::-1]  # from the largest
    kept = torch.from_numpy(vectors[:, values > RANK * values[0]].copy())
    directions = kept.T @ centred if few else kept.T
    directions = directions / directions.norm(dim=1, keepdim=True)
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    return directions * largest.sign()


class Subspace(Sampler):
    """mu_c + V^T y + (I - V^T V) e: y [q] of a law that is learnt of the class's scores, e normal with its covariance.

    V [q, D] are the up to ``directions`` leading principal directions of the class. The rest of e is independent normal
    noise along the other principal directions, of their own variances. A law is learnt once for each class.
    """

    def __init__(self, bank: Bank, directions: int) -> None:
        super().__init__(bank)
        check_at_least(1, directions=directions)
        self.directions = directions
        self.learnt: dict[int, tuple[Tensor, Callable[[int, Stream], Tensor]]] = {}

    @abstractmethod
    def law(self, scores: Tensor) -> Callable[[int, Stream], Tensor]:
        """What draws y [q] of a number from a stream, learnt of ``scores`` [N_c, q], the centred members along V."""

    def of_class(self, label: int, stream: Stream) -> Callable[[int], Row]:
        mean, centred = self.bank.mean(label), self.bank.centred(label)
        if label not in self.learnt:
            directions = principal_directions(centred, self.directions)
            if len(directions) == 0:
                raise ValueError(f"the members of class {label} are all the same, and no law can be learnt of them")
            self.learnt[label] = directions, self.law(centred @ directions.T)
        directions, law = self.learnt[label]
        noise = class_noise(centred, stream)

        def row(number: int) -> Row:
            rest = noise(number)
            return Row(mean + rest + (law(number, stream) - directions @ rest) @ directions)

        return row


@dataclass(frozen=True)
class NormalMixture:
    """sum_k w_k N(m_k, A_k A_k^T): ``shares`` w [K], ``means`` [K, q], ``factors`` A [K, q, q], float64."""

    shares: Tensor
    means: Tensor
    factors: Tensor

    def __call__(self, number: int, stream: Stream) -> Tensor:
        """The point [q] of a number."""
        level = uniform(stream.branch("component"), number)
        component = min(
            int((self.shares.cumsum(0) <= level).sum()), len(self.shares) - 1
        )  # shares may sum to 1 - 1e-16
        point = normals(stream.branch("point"), number, self.means.shape[1])
        return self.means[component] + self.factors[component] @ point


class Mixture(Subspace):
    """A Gaussian mixture of ``components`` with full covariances on the leading directions, by expectation maximisation.

    At each step of it the mixture has the mean and the covariance of the scores. 24 to 40 directions hold nearly all of the
    variance of a classifier's latents. ValueError for a class with fewer members than components.
    """

    def __init__(self, bank: Bank, components: int, directions: int = 24) -> None:
        super().__init__(bank, directions)
        check_at_least(1, components=components)
        self.components = components

    def of_class(self, label: int, stream: Stream) -> Callable[[int], Row]:
        self.bank.members(label, least=self.components)
        return super().of_class(label, stream)

    def law(self, scores: Tensor) -> NormalMixture:
        return fitted_mixture(scores, self.components, scale=scores[:, 0].square().mean().sqrt())


def fitted_mixture(points: Tensor, components: int, *, scale: Tensor) -> NormalMixture:
    """The mixture of so many components with full covariances that expectation maximisation fits to ``points`` [N, q], float64.

    ``scale``: a typical deviation of the points, so that what is added to each variance, 1e-6, is a share of it.
    """
    with threadpool_limits(1):  # several threads add up in any order, and ranks must learn the same
        model = GaussianMixture(components, random_state=0).fit((points / scale).numpy())
    shares, means, covariances = map(torch.from_numpy, (model.weights_, model.means_, model.covariances_))
    return NormalMixture(shares, scale * means, scale * torch.linalg.cholesky(covariances))
