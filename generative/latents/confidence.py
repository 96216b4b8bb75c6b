"""How sure a linear head is of latents, and the least that it can be of their convex combinations.

Lemma 1 of "Classify and generate" for K classes. Scores are affine in the latent, s = W z + b. The margin is a least of
affine functions and the logarithm of a softmax is a score less a log-sum-exp, so both are concave: of a combination each is
at least the same combination of the sources' own. This holds of scores of latents, not of decoded images. All in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def margin(scores: Tensor, labels: Tensor) -> Tensor:
    """m_c = min_k (s_c - s_k) over the other classes k: scores [B, K], labels [B] -> [B]; above 0 where the class is c."""
    own, others = split(scores, labels)
    return own - others.amax(dim=1)


def log_probability(scores: Tensor, labels: Tensor) -> Tensor:
    """log p_c of the softmax: scores [B, K], labels [B] -> [B]."""
    own, others = split(scores, labels)
    return own - torch.cat([own[:, None], others], dim=1).logsumexp(dim=1)


def log_odds(scores: Tensor, labels: Tensor) -> Tensor:
    """log(p_c / (1 - p_c)) = s_c - log sum_{k != c} exp s_k: scores [B, K], labels [B] -> [B].

    It tells apart probabilities that are 1 in floating point, and orders as they do.
    """
    own, others = split(scores, labels)
    return own - others.logsumexp(dim=1)


def log_odds_of_mean(odds: Tensor) -> Tensor:
    """The log-odds of the mean of the probabilities that have log-odds ``odds`` [B]: a threshold that is never rounded to 1."""
    odds = odds.double()
    return F.logsigmoid(odds).logsumexp(dim=0) - F.logsigmoid(-odds).logsumexp(dim=0)


def margin_bound(scores: Tensor, labels: Tensor, theta: Tensor) -> Tensor:
    """sum theta_i m_c(z_i), which the margin of sum theta_i z_i is never below.

    ``scores`` [B, n, K] of the sources, ``labels`` [B] of the combinations, ``theta`` [B, n] from 0 with rows of sum 1 -> [B].
    """
    return (theta.double() * of_sources(margin, scores, labels)).sum(dim=1)


def log_probability_bound(scores: Tensor, labels: Tensor, theta: Tensor) -> Tensor:
    """sum theta_i log p_c(z_i), the logarithm of the sources' geometric mean: log p_c of the combination is never below it.

    Shapes as of :func:`margin_bound`.
    """
    return (theta.double() * of_sources(log_probability, scores, labels)).sum(dim=1)


def of_sources(measure: Callable[[Tensor, Tensor], Tensor], scores: Tensor, labels: Tensor) -> Tensor:
    """``measure`` of each source: scores [B, n, K], labels [B] -> [B, n]."""
    return measure(scores.flatten(0, 1), labels.repeat_interleave(scores.shape[1])).view(scores.shape[:2])


def split(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The scores of the classes ``labels`` [B] and those of the others [B, K - 1], float64; ValueError for other shapes."""
    if scores.ndim != 2 or scores.shape[1] < 2 or labels.shape != scores.shape[:1]:
        shapes = f"{tuple(scores.shape)} and {tuple(labels.shape)}"
        raise ValueError(f"confidence takes scores [B, K] of at least 2 classes, and labels [B], got {shapes}")
    if labels.min() < 0 or labels.max() >= scores.shape[1]:
        raise ValueError(
            f"labels are from 0 to {scores.shape[1] - 1} here, got {int(labels.min())} to {int(labels.max())}"
        )
    scores = scores.double()
    own = F.one_hot(labels, scores.shape[1]).bool()
    return scores[own], scores[~own].view(len(scores), -1)
