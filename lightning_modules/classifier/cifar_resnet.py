"""The residual networks for small images of He et al. 2016 (section 4.2), as Keras' example builds them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from generative.networks.classifier import ClassifierNetwork
from generative.networks.normalization import KERAS_MOMENTUM, keras_norm

WIDTHS = (16, 32, 64)  # of the three stages, each at half the size of the one before


class CifarResNet(ClassifierNetwork):
    """Images [B, C, H, W] in [-1, 1] -> logits [B, num_classes], by ``depth`` = 6 n + 2 layers: 8, 14, 20, ..., 56.

    Three stages of n blocks follow a convolution; then the mean over pixels and a linear layer. As in Keras' example, the
    shortcut between stages is a 1 x 1 convolution without norm, and convolutions have biases; padding is the same on both
    sides, as in the paper, where Keras pads strided convolutions on one. ``normalization``, ``batch_momentum``:
    :func:`~generative.networks.normalization.keras_norm`.
    """

    def __init__(
        self,
        *,
        image_channels: int,
        num_classes: int,
        depth: int = 56,
        normalization: str = "batch",
        batch_momentum: float = KERAS_MOMENTUM,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dropout=dropout)
        if depth < 8 or depth % 6 != 2:
            raise ValueError(f"depth must be 6 n + 2 layers, as 8, 20 or 56, got {depth}")

        def norm(width: int) -> nn.Module:
            return keras_norm(normalization, width, batch_momentum=batch_momentum)

        layers = [he_start(nn.Conv2d(image_channels, WIDTHS[0], 3, padding=1)), norm(WIDTHS[0]), nn.ReLU()]
        before = WIDTHS[0]
        for width in WIDTHS:
            for _ in range((depth - 2) // 6):
                layers.append(Block(before, width, norms=(norm(width), norm(width))))
                before = width
        self.trunk = nn.Sequential(*layers)
        self.num_features = WIDTHS[-1]
        self.classifier = nn.Linear(self.num_features, num_classes)
        he_start(self.classifier)

    def features(self, images: Tensor) -> Tensor:
        return self.trunk(images).mean(dim=(2, 3))

    def last_maps(self) -> nn.Module:
        return self.trunk


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut: [B, before, H, W] -> [B, width, h, w], of half the size where widths differ."""

    def __init__(self, before: int, width: int, *, norms: tuple[nn.Module, nn.Module]) -> None:
        super().__init__()
        stride = 1 if before == width else 2
        self.first = he_start(nn.Conv2d(before, width, 3, stride=stride, padding=1))
        self.second = he_start(nn.Conv2d(width, width, 3, padding=1))
        self.norms = nn.ModuleList(norms)
        self.shortcut = nn.Identity() if stride == 1 else he_start(nn.Conv2d(before, width, 1, stride=stride))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norms[1](self.second(F.relu(self.norms[0](self.first(x)))))
        return F.relu(self.shortcut(x) + h)


def he_start(layer: nn.Module) -> nn.Module:
    """``layer`` with weights of variance 2 / fan_in (He et al. 2015) and biases 0."""
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    assert layer.bias is not None
    nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer
