"""What every network that names the class of an image has: features, a linear layer on them, dropout between."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn


class ClassifierNetwork(nn.Module):
    """Images [B, C, H, W] in [-1, 1] -> logits [B, num_classes], by way of features [B, num_features].

    ``dropout`` is the share of the classifier's inputs that training leaves out; which ones is told from outside, so
    that no network draws random numbers of its own.
    """

    classifier: nn.Linear
    num_features: int

    def __init__(self, *, dropout: float) -> None:
        super().__init__()
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout must be at least 0 and below 1, got {dropout}")
        self.dropout = dropout

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] -> [B, num_features]."""

    @abstractmethod
    def last_maps(self) -> nn.Module:
        """The module whose output [B, C, h, w] is the last with positions: what Grad-CAM weighs."""

    def classify(self, features: Tensor, factors: Tensor | None = None) -> Tensor:
        """Logits of features. ``factors`` [B, classifier.in_features] multiply the classifier's inputs: dropout."""
        return self.classifier(features if factors is None else features * factors)

    def forward(self, images: Tensor, factors: Tensor | None = None) -> Tensor:
        return self.classify(self.features(images), factors)

    def dropout_factors(self, uniform: Tensor) -> Tensor:
        """Factors for :meth:`classify` of numbers uniform on [0, 1): 0 with probability ``dropout``, of mean 1."""
        return (uniform >= self.dropout).to(uniform.dtype) / (1.0 - self.dropout)
