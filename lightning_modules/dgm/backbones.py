"""What segmentation heads stand on: the levels of geometric moments, and the ResNet-50 that they are compared with."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

from lightning_modules.dgm.networks import DGM

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of images in [0, 1]: what torchvision's weights were trained on
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
STRIDES = {8: [False, True, True], 16: [False, False, True], 32: [False, False, False]}  # -> stages that dilate instead


class Maps(NamedTuple):
    """Feature maps of images [B, C, H, W]."""

    early: Tensor  # [B, num_early, h, w]
    last: Tensor  # [B, num_channels, h', w']


class Backbone(nn.Module):
    """Images [B, image_channels, H, W] in [-1, 1] -> :class:`Maps`."""

    num_early: int
    num_channels: int

    @abstractmethod
    def check_image_size(self, height: int, width: int) -> None:
        """ValueError where images of this size do not fit."""

    @abstractmethod
    def forward(self, images: Tensor) -> Maps: ...


class DGMBackbone(DGM, Backbone):
    """A :class:`~lightning_modules.dgm.networks.DGM` without its classifier: the projected features g f of its levels.

    Those of the last level are 'the final 2D features' of section 5.4.7: what eq. 5.3 takes the mean of. Early ones
    are those of level 1. Both have the size of the grid, H / patch_size x W / patch_size, whose coordinates run from 0
    to 1 over whatever is shown: a crop in training, the whole image in testing (the source does not say).
    """

    stated_arguments = ("num_classes", "dropout")  # of DGM's constructor: not to be given

    def __init__(self, *, channels: int, **given: Any) -> None:
        super().__init__(channels=channels, num_classes=1, dropout=0.0, **given)
        del self.classifier
        self.num_early = self.num_channels = channels

    def forward(self, images: Tensor) -> Maps:  # type: ignore[override]
        first, *others = (level.projected for level in self.walk(images))
        return Maps(first, others[-1] if others else first)


class ResNetBackbone(ResNet, Backbone):
    """torchvision's ResNet of bottleneck blocks, without its classifier; ``blocks`` [3, 4, 6, 3] is ResNet-50.

    ``output_stride`` 8 or 16: the later stages are dilated where they would stride below it. Early features are those
    of its first stage, at a quarter of the image's size. Images are standardised as torchvision's weights want them.
    """

    conv1: nn.Conv2d
    bn1: nn.BatchNorm2d
    maxpool: nn.MaxPool2d
    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential
    mean: Tensor
    deviation: Tensor

    def __init__(self, *, image_channels: int, blocks: list[int], output_stride: int) -> None:
        if image_channels != 3:
            raise ValueError(f"torchvision's ResNet takes images of 3 channels, got {image_channels}")
        if output_stride not in STRIDES:
            raise ValueError(f"output_stride must be one of {', '.join(map(str, STRIDES))}, got {output_stride}")
        if len(blocks) != 4 or min(blocks) < 1:
            raise ValueError(f"blocks names the number of blocks of each of 4 stages, got {blocks}")
        super().__init__(Bottleneck, blocks, num_classes=1, replace_stride_with_dilation=STRIDES[output_stride])
        del self.fc
        self.num_early, self.num_channels = 256, 2048
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(-1, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION).view(-1, 1, 1), persistent=False)

    def check_image_size(self, height: int, width: int) -> None:
        """Any size fits: strides round up."""

    def forward(self, images: Tensor) -> Maps:
        x = ((images + 1.0) / 2.0 - self.mean) / self.deviation
        early: Tensor = self.layer1(self.maxpool(F.relu(self.bn1(self.conv1(x)))))
        return Maps(early, self.layer4(self.layer3(self.layer2(early))))
