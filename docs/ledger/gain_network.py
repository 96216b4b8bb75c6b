"""A small residual network for patches of inspection images: three blocks, each at half the size of the one before."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generative.networks.classifier import ClassifierNetwork

WIDTHS = (12, 24, 48, 96)  # of the first convolution and of the three blocks


class PatchResNet(ClassifierNetwork):
    """Images [B, C, H, W] in [-1, 1] -> logits [B, num_classes], by batch norm; a patch of 64 pixels ends in 4 x 4 maps.

    The mean and the largest value of each map are features: a defect covers few of a patch's pixels.
    """

    def __init__(self, *, image_channels: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__(dropout=dropout)
        blocks = [Block(before, width) for before, width in pairwise(WIDTHS)]
        self.stem = nn.Sequential(
            nn.Conv2d(image_channels, WIDTHS[0], 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(WIDTHS[0]),
            nn.ReLU(),
        )
        self.trunk = nn.Sequential(*blocks)
        self.num_features = 2 * WIDTHS[-1]
        self.classifier = nn.Linear(self.num_features, num_classes)

    def features(self, images: Tensor) -> Tensor:
        maps = self.trunk(self.stem(images)).flatten(2)
        return torch.cat([maps.mean(dim=2), maps.amax(dim=2)], dim=1)

    def last_maps(self) -> nn.Module:
        return self.trunk


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a 1 x 1 shortcut: [B, before, H, W] -> [B, width, H / 2, W / 2]."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width),
        )  # fmt: skip
        self.shortcut = nn.Sequential(nn.Conv2d(before, width, 1, stride=2, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))
