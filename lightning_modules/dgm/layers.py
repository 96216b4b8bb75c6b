"""Convolutions with their normalisation, and the residual blocks of the image pipeline. Nothing here changes N x N."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from generative.kept import Kept
from generative.networks.normalization import group_norm

NORMALIZATIONS = ("batch", "group", "none")
# Where grids are maps of three numbers, batch norms enter the convolutions before them and pixels lie by position: less
# arithmetic in more steps. A processor takes 1/6 of the time for a level's grid so (benchmarks/dgm.py); an H200, which
# waits for each small step, took 2.0 times as long for it and 1.4 times for the network as pixel by pixel.
FOLDED_ON = {"cpu"}
LEAST_CHANNELS = 4  # of a group of group norm


def norm_layer(kind: str, channels: int) -> nn.Module:
    """``batch`` as published; ``group`` where no image may depend on its batch; ``none`` for critics."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        return group_norm(channels, least_channels=LEAST_CHANNELS)
    if kind == "none":
        return nn.Identity()
    raise ValueError(f"unknown normalization {kind!r}: choose one of {', '.join(NORMALIZATIONS)}")


def is_folded(like: Tensor) -> bool:
    """Whether the device of ``like`` is one for the folded formulation."""
    return like.device.type in FOLDED_ON


def scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """A batch norm in evaluation as y = scale x + shift, both [C]."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale


class ConvNorm(nn.Module):
    """A convolution that keeps the size, then its normalisation.

    In evaluation a batch norm enters the convolution's weights where that is faster (:data:`FOLDED_ON`): the same numbers
    without a pass over the pixels.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, normalization: str, groups: int = 1
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            padding=kernel_size // 2,
            groups=groups,
            bias=normalization == "none",
        )
        self.norm = norm_layer(normalization, out_channels)
        self.kept: Kept[tuple[Tensor, Tensor]] = Kept()

    def forward(self, x: Tensor) -> Tensor:
        convolution, norm = self.convolution, self.norm
        if norm.training or not isinstance(norm, nn.BatchNorm2d) or not is_folded(x):
            return norm(convolution(x))
        weight, shift = self.kept.get([*self.parameters(), *self.buffers()], self.merged)
        return F.conv2d(x, weight, shift, padding=convolution.padding, groups=convolution.groups)

    def merged(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the convolution that does what both do in evaluation."""
        assert isinstance(self.norm, nn.BatchNorm2d)
        scale, shift = scale_and_shift(self.norm)
        return self.convolution.weight * scale.view(-1, 1, 1, 1), shift


def clipped_sum(fresh: Tensor, x: Tensor) -> Tensor:
    """relu(fresh + x), in the memory of ``fresh``, a convolution's output, which no gradient needs again."""
    # Under autocast the two may differ in type, and the sum has the wider one.
    total = fresh.add_(x) if fresh.dtype == x.dtype and fresh.shape == x.shape else fresh + x
    return F.relu(total, inplace=True)


class Residual(nn.Module):
    """relu(x + layers(x)), a ReLU between the layers."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for i, layer in enumerate(self.layers):
            h = layer(F.relu(h, inplace=True) if i else h)
        return clipped_sum(h, x)


def pointwise(channels: int, normalization: str) -> Residual:
    """Table 5.1's block: the basic one with 1 x 1 kernels, which sees no neighbours."""
    return Residual(*(ConvNorm(channels, channels, 1, normalization=normalization) for _ in range(2)))


def basic(channels: int, normalization: str) -> Residual:
    """Of ResNet-18 and 34 (He et al. 2016)."""
    return Residual(*(ConvNorm(channels, channels, 3, normalization=normalization) for _ in range(2)))


def bottleneck(channels: int, normalization: str) -> Residual:
    """Of ResNet-50, at half the channels inside."""
    inner = channels // 2
    return Residual(
        ConvNorm(channels, inner, 1, normalization=normalization),
        ConvNorm(inner, inner, 3, normalization=normalization),
        ConvNorm(inner, channels, 1, normalization=normalization),
    )


def separable(channels: int, normalization: str) -> Residual:
    """Two depthwise 5 x 5 and pointwise convolutions of MobileNet (Howard et al. 2017)."""
    depthwise_and_pointwise = ((5, channels), (1, 1)) * 2
    return Residual(
        *(
            ConvNorm(channels, channels, kernel_size, normalization=normalization, groups=groups)
            for kernel_size, groups in depthwise_and_pointwise
        )
    )


BLOCKS = {"pointwise": pointwise, "basic": basic, "bottleneck": bottleneck, "separable": separable}
