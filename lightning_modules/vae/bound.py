"""The evidence lower bound, log p(x) >= E_q log p(x | z) - KL(q(z | x) || p(z)), term by term in nats (Kingma and Welling 2014)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from generative.checks import check_choice
from generative.precision import at_least_float32

LIKELIHOODS = ("gaussian", "bernoulli")
FIRST_SIGMA = 0.3  # of the pixels around an image that was not learnt yet
LEAST = 1e-6  # of a probability, whose logarithm is taken
ACTIVE = 0.01  # variance over the data of a unit's posterior mean, above which it says something (Burda et al. 2016)


@dataclass(frozen=True)
class Posterior:
    """q(z | x): a normal law of independent units for each image, ``mean`` and ``log_variance`` [B, latent_dim]."""

    mean: Tensor
    log_variance: Tensor

    def at(self, noise: Tensor) -> Tensor:
        """z = mean + deviation * noise, with ``noise`` [B, latent_dim] of N(0, I): the reparametrisation, eq. 4 of the paper."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def divergence(self) -> Tensor:
        """KL(q(z | x) || N(0, I)) of each unit, [B, latent_dim]; appendix B of the paper."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1.0 - self.log_variance)


class GaussianPixels(nn.Module):
    """log p(x | z) of pixels in [0, 1] that are normal around what is drawn: [B], of a density over all pixels.

    All pixels have one deviation, ``sigma``, in units of the range. None: it is learnt with the weights, whose optimum is the
    root of the mean squared error (the shared variance of sigma-VAE, Rybkin et al. 2021), so that nothing balances the two
    terms by hand. ValueError for a ``sigma`` that is not above 0.
    """

    log_sigma: Tensor

    def __init__(self, sigma: float | None = None) -> None:
        super().__init__()
        if sigma is not None and not 0 < sigma < math.inf:
            raise ValueError(
                f"sigma is the deviation of a pixel in [0, 1], above 0, got {sigma}: leave it out, and it is learnt"
            )
        start = torch.tensor(math.log(FIRST_SIGMA if sigma is None else sigma))
        if sigma is None:
            self.log_sigma = nn.Parameter(start)
        else:
            self.register_buffer("log_sigma", start)

    def forward(self, images: Tensor, drawn: Tensor) -> Tensor:
        errors = (images - drawn) * torch.exp(-self.log_sigma)
        return -(0.5 * errors.square() + self.log_sigma + 0.5 * math.log(2.0 * math.pi)).flatten(1).sum(dim=1)


class BernoulliPixels(nn.Module):
    """The same, [B], of pixels that are 1 with the probability that is drawn; a grey pixel of [0, 1] counts as a share of both.

    Of grey images that is no density: its bound says nothing of another likelihood's (Loaiza-Ganem and Cunningham 2019).
    """

    def forward(self, images: Tensor, drawn: Tensor) -> Tensor:
        probability = drawn.clamp(LEAST, 1.0 - LEAST)
        return (images * probability.log() + (1.0 - images) * (1.0 - probability).log()).flatten(1).sum(dim=1)


def pixel_law(likelihood: str, sigma: float | None) -> nn.Module:
    """The law called so; ValueError for an unknown one, and for a ``sigma`` of one that has none."""
    check_choice("likelihood", likelihood, LIKELIHOODS)
    if likelihood == "gaussian":
        return GaussianPixels(sigma)
    if sigma is not None:
        raise ValueError(f"sigma={sigma} is of likelihood=gaussian: leave it out with likelihood={likelihood}")
    return BernoulliPixels()


@dataclass(frozen=True)
class Bound:
    """Both terms of each of B images, in nats: ``log_likelihood`` [B] at one point of q(z | x), ``divergence`` [B]."""

    log_likelihood: Tensor
    divergence: Tensor

    @classmethod
    def of(cls, images: Tensor, drawn: Tensor, law: nn.Module, posterior: Posterior) -> Bound:
        """Of ``images`` and what was ``drawn`` for them at points of the ``posterior``, [B, C, H, W] in [0, 1]; in float32."""
        return cls(law(images, at_least_float32(drawn)), posterior.divergence().sum(dim=1))

    @property
    def value(self) -> Tensor:
        """The bound, an unbiased estimate by that one point: [B]."""
        return self.log_likelihood - self.divergence

    def loss(self, beta: float) -> Tensor:
        """What is minimised: minus the mean of the bound, its divergence times ``beta`` (beta-VAE, Higgins et al. 2017)."""
        return (beta * self.divergence - self.log_likelihood).mean()


def active_units(means: Tensor) -> int:
    """How many units of posterior means [N, latent_dim] vary over N images by more than 0.01 (Burda et al. 2016, eq. 10)."""
    return int((means.double().var(dim=0, correction=0) > ACTIVE).sum())
