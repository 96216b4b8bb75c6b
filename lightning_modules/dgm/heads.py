"""The two segmentation heads of Table 5.8: 1 x 1 convolutions, and DeepLabv3+'s atrous ones."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import ASPP

from generative.precision import at_least_float32
from lightning_modules.dgm.backbones import Backbone, Maps
from lightning_modules.dgm.layers import norm_layer


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, pixels as squares (align_corners=False): [B, C, h, w] -> [B, C, *size]."""
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


class Head(nn.Module):
    """:class:`Maps` -> logits [B, num_classes, h, w], smaller than the image.

    ``dropout`` is the share of ``width`` channels that training leaves out; which ones is told from outside.
    """

    dropout: float = 0.0
    width: int

    @abstractmethod
    def forward(self, maps: Maps, factors: Tensor | None = None) -> Tensor: ...

    def dropout_factors(self, uniform: Tensor) -> Tensor:
        """Factors of channels for numbers uniform on [0, 1): 0 with probability ``dropout``, of mean 1."""
        return (uniform >= self.dropout).to(uniform.dtype) / (1.0 - self.dropout)


class SimpleHead(Head):
    """'Just two 1 x 1 Conv layers', on the last features rescaled by ``scale``: each pixel by itself.

    Not stated: the hidden width, the interpolation, what stands between the layers. Taken here: 256, bilinear, a
    normalisation and ReLU. The first layer comes before the rescaling, with which it commutes, since bilinear weights
    add up to 1: the same numbers, ``scale`` ** 2 times fewer products.
    """

    def __init__(
        self,
        *,
        num_channels: int,
        num_early: int,
        num_classes: int,
        width: int = 256,
        scale: int = 4,
        normalization: str = "batch",
    ) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}")
        if scale < 1:
            raise ValueError(f"scale must be at least 1, got {scale}")
        self.width, self.scale = width, scale
        self.hidden = nn.Conv2d(num_channels, width, 1, bias=normalization == "none")
        self.norm = norm_layer(normalization, width)
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, maps: Maps, factors: Tensor | None = None) -> Tensor:
        height, width = maps.last.shape[2:]
        hidden = resized(self.hidden(maps.last), (self.scale * height, self.scale * width))
        return self.classifier(F.relu(self.norm(hidden)))


class DeepLabHead(Head):
    """DeepLabv3+ (Chen et al. 2018): atrous convolutions of ``rates`` beside each other, joined with early features.

    The pyramid is torchvision's (1 x 1, 3 x 3 of each rate, the mean over the image; a 1 x 1 joins them); the decoder
    brings it to the size of the early features, ``early_width`` channels of which it joins by two 3 x 3 convolutions.
    torchvision's dropout takes its numbers from the global state; here channels are left out as a whole, by ``factors``.
    """

    def __init__(
        self,
        *,
        num_channels: int,
        num_early: int,
        num_classes: int,
        rates: list[int],
        width: int = 256,
        early_width: int = 48,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if not rates or min(rates) < 1:
            raise ValueError(f"rates are at least one dilation of 1 or more, got {rates}")
        if min(width, early_width) < 1:
            raise ValueError(f"width and early_width must be at least 1, got {width} and {early_width}")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout must be at least 0 and below 1, got {dropout}")
        self.width, self.dropout = width, dropout
        self.pyramid = ASPP(num_channels, rates, width)
        self.pyramid.project[3] = nn.Identity()  # its dropout
        self.early = normalized_convolution(num_early, early_width, 1)
        self.decoder = nn.Sequential(
            normalized_convolution(width + early_width, width, 3), normalized_convolution(width, width, 3)
        )
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, maps: Maps, factors: Tensor | None = None) -> Tensor:
        norm_of_means = self.pyramid.convs[-1][2]
        if self.training and len(maps.last) == 1 and isinstance(norm_of_means, nn.BatchNorm2d):  # of this rank alone
            raise ValueError(
                "the DeepLab head takes batch statistics of one mean an image, which one image has none of: choose a "
                "batch_size and an accumulate that leave 2 images or more at once"
            )
        joined = self.pyramid(maps.last)
        if factors is not None:
            joined = joined * factors[:, :, None, None]
        height, width = maps.early.shape[2:]
        early = self.early(maps.early)
        return self.classifier(self.decoder(torch.cat([resized(joined, (height, width)), early], dim=1)))


def normalized_convolution(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class SegmentationNetwork(nn.Module):
    """Images [B, C, H, W] in [-1, 1] -> logits [B, num_classes, H, W], at least float32."""

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Tensor, factors: Tensor | None = None) -> Tensor:
        height, width = images.shape[2:]
        return resized(at_least_float32(self.head(self.backbone(images), factors)), (height, width))
