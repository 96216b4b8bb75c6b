"""The classifier of patches of `python -m docs.ledger.gain`: three residual blocks, each at half the size of the one before."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (12, 24, 48, 96)  # of the first convolution and of the three blocks


class PatchResNet(nn.Module):
    """Images [B, C, H, W] in [-1, 1] -> logits [B, num_classes], by batch norm; a patch of 64 pixels ends in 4 x 4 maps.

    The mean and the largest value of each map are features: a defect covers few of a patch's pixels.
    """

    def __init__(self, *, image_channels: int, num_classes: int) -> None:
        super().__init__()
        first = nn.Conv2d(image_channels, WIDTHS[0], 5, stride=2, padding=2, bias=False)
        self.stem = nn.Sequential(first, nn.BatchNorm2d(WIDTHS[0]), nn.ReLU())
        self.trunk = nn.Sequential(*(Block(before, width) for before, width in pairwise(WIDTHS)))
        self.classifier = nn.Linear(2 * WIDTHS[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.trunk(self.stem(images)).flatten(2)
        logits: Tensor = self.classifier(torch.cat([maps.mean(dim=2), maps.amax(dim=2)], dim=1))
        return logits


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a 1 x 1 shortcut: [B, before, H, W] -> [B, width, H / 2, W / 2]."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(before, width, 1, stride=2, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))
