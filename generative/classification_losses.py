"""Losses of classifiers (Fig. 16 of "Classify and generate"): logits [B, K] and labels [B] -> one value an image [B].

All but the first act on the softmax's probabilities p, as losses in Keras do, and see the labels as unit vectors. They are
taken in float32 at least.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from generative.precision import at_least_float32


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-log p_y, in nats (eqs 2, 3)."""
    return F.cross_entropy(at_least_float32(logits), labels, reduction="none")


def hinge(logits: Tensor, labels: Tensor) -> Tensor:
    """1 + max_{k != y} p_k - p_y: in [0, 2]. Keras' CategoricalHinge; its max(0, .) never acts on probabilities."""
    probabilities, targets = probabilities_and_targets(logits, labels)
    right = (probabilities * targets).sum(dim=1)
    wrong = (probabilities * (1.0 - targets)).amax(dim=1)
    return 1.0 + wrong - right


def squared_error(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean over classes of (p - e_y)^2, Keras' MeanSquaredError: in [0, 2 / K]."""
    probabilities, targets = probabilities_and_targets(logits, labels)
    return F.mse_loss(probabilities, targets, reduction="none").mean(dim=1)


def cosine(logits: Tensor, labels: Tensor) -> Tensor:
    """1 - cos(p, e_y) = 1 - p_y / |p|: in [0, 1].

    Keras' CosineSimilarity is -cos: less by 1, with the same gradients, and negative.
    """
    return 1.0 - F.cosine_similarity(*probabilities_and_targets(logits, labels), dim=1)


def probabilities_and_targets(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """p = softmax of ``logits`` and the unit vectors e_y, both [B, K]."""
    probabilities = at_least_float32(logits).softmax(dim=1)
    return probabilities, F.one_hot(labels, logits.shape[1]).to(probabilities.dtype)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "hinge": hinge,
    "squared_error": squared_error,
    "cosine": cosine,
}
