"""What PGGAN's networks are made of: equalised rates, pixel norm, and the three ways to change the size of an image."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2  # of every leaky rectifier
GAIN = math.sqrt(2.0)  # of every layer that one follows


def pixel_norm(x: Tensor, *, eps: float = 1e-8) -> Tensor:
    """Each place of [B, C, H, W], or each row of [B, C], divided by the root of its mean square over channels."""
    return x * (x.square().mean(dim=1, keepdim=True) + eps).rsqrt()


def rectified(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)


def doubled(x: Tensor, *, times: int = 1) -> Tensor:
    """[B, C, H, W] with every pixel as a square of 2^times a side."""
    return x if times == 0 else F.interpolate(x, scale_factor=2**times, mode="nearest")


def pooled(x: Tensor, *, times: int = 1) -> Tensor:
    """[B, C, H, W] by means over squares of 2^times pixels a side."""
    return x if times == 0 else F.avg_pool2d(x, 2**times)


class Equalised(nn.Module):
    """A layer whose weights are stored with unit variance and multiplied by ``gain`` / sqrt(fan-in) as they are used.

    Adam's steps are of one size, so that all layers then learn at one relative rate (Karras et al. 2018, section 4.1). The
    bias is used as it is stored, and starts at 0.
    """

    def __init__(self, shape: tuple[int, ...], *, gain: float = GAIN) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape))
        self.bias = nn.Parameter(torch.zeros(shape[0]))
        self.scale = gain / math.sqrt(math.prod(shape[1:]))


class Dense(Equalised):
    """[B, in] -> [B, out]."""

    def __init__(self, inputs: int, outputs: int, *, gain: float = GAIN) -> None:
        super().__init__((outputs, inputs), gain=gain)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias)


class Convolution(Equalised):
    """[B, in, H, W] -> [B, out, H, W], or larger by what ``padding`` is more than half of the kernel."""

    def __init__(
        self, inputs: int, outputs: int, *, kernel_size: int = 3, padding: int = 1, gain: float = GAIN
    ) -> None:
        super().__init__((outputs, inputs, kernel_size, kernel_size), gain=gain)
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


class EnlargingConvolution(Convolution):
    """[B, in, H, W] -> [B, out, 2H, 2W]: what 3 x 3 weights make of the image doubled by nearest neighbours.

    As one transposed convolution, which takes 16 products for every 36.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, enlarging_kernel(self.weight * self.scale), self.bias, stride=2, padding=1)


def enlarging_kernel(weight: Tensor) -> Tensor:
    """Weights [out, in, 3, 3] of a convolution after doubling -> [in, out, 4, 4] of the transposed one that does both.

    A transposed convolution scatters, so the kernel is flipped; each of the four copies of a pixel adds a shifted one.
    """
    padded = F.pad(weight.flip(2, 3).transpose(0, 1), (1, 1, 1, 1))
    return padded[..., 1:, 1:] + padded[..., 1:, :-1] + padded[..., :-1, 1:] + padded[..., :-1, :-1]


class ReducingConvolution(Convolution):
    """[B, in, 2H, 2W] -> [B, out, H, W]: means over squares of 2 x 2 pixels of what 3 x 3 weights make of the image.

    As one convolution, which takes 16 products for every 36; the official code's `fused_scale`, which is its default.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, reducing_kernel(self.weight * self.scale), self.bias, stride=2, padding=1)


def reducing_kernel(weight: Tensor) -> Tensor:
    """Weights [out, in, 3, 3] of a convolution before pooling -> [out, in, 4, 4] of the one of stride 2 that does both."""
    padded = F.pad(weight, (1, 1, 1, 1))
    return 0.25 * (padded[..., 1:, 1:] + padded[..., 1:, :-1] + padded[..., :-1, 1:] + padded[..., :-1, :-1])
