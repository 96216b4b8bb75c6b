"""Deep Image Prior (Ulyanov et al. 2018): a hole filled by an untrained network that is fitted to the known pixels alone.

Every image has a network of its own. Those of a batch are one network whose weights have a row for each image, so that its
convolutions are grouped ones.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generative.checks import check_at_least
from generative.inversion.fills import known_counts
from generative.randomness import Stream

NOISE_CHANNELS = 32
NOISE_HEIGHT = 0.1  # the fixed noise is uniform from 0 to this
SKIP_CHANNELS = 4
SLOPE = 0.2  # of the rectifiers below 0
MOST_LEVELS = 5  # at which the network sees the image by half
SMALLEST_SIDE = 4  # pixels of the smaller side at the last level
AVERAGED = 0.1  # share of the steps whose images are averaged, the last ones


def deep_prior_fill(
    images: Tensor,
    known: Tensor,
    *,
    seed: int,
    first: int = 0,
    steps: int = 3000,
    rate: float = 0.01,
    input_noise: float = 0.03,
    width: int = 32,
) -> Tensor:
    """Images [B, C, H, W] in [-1, 1], filled where ``known`` [B, 1, H, W] is false, by a network of each image's own.

    A U-Net of ``width`` channels draws from fixed noise; ``steps`` of Adam at ``rate`` bring it near the known pixels, in mean
    squared error, while its input is disturbed by normal noise with a deviation of ``input_noise``, anew each step. What
    it drew at the last tenth of the steps is averaged. Weights and noise are functions of ``seed`` and the number of an
    image, which is ``first`` for the first, so a batch gives what its images give one by one, but for rounding, which grows
    with the steps.
    """
    check_at_least(1, steps=steps, width=width)
    check_at_least(0, input_noise=input_noise)
    if not 0 < rate < math.inf:
        raise ValueError(f"rate must be positive and finite, got {rate}")
    counts = known_counts(known) * images.shape[1]
    target = torch.where(known, images, 0.0)
    noise = InputNoise(seed, first, len(images), images.shape[2:])
    num_averaged = max(1, round(AVERAGED * steps))
    average = torch.zeros_like(images)
    with torch.enable_grad():
        network = UNets(images.shape, width=width).to(images)
        network.draw_weights(Stream(seed, "weights of the deep image prior"), first)
        fixed = noise.fixed().to(images)
        # Fused: its many small tensors would otherwise take longer than the network.
        optimizer = torch.optim.Adam(network.parameters(), lr=rate, fused=True)
        for step in range(steps):
            drawn = network(fixed + input_noise * noise.next().to(images))
            loss = (torch.where(known, drawn - target, 0.0).square() / counts).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step >= steps - num_averaged:
                average += drawn.detach() / num_averaged
    return torch.where(known, images, average)


class InputNoise:
    """The noise that the networks of images number ``first`` on draw from, and by which it is disturbed at each step."""

    def __init__(self, seed: int, first: int, count: int, size: torch.Size) -> None:
        self.shape = (NOISE_CHANNELS, *size)
        self.stream, self.first, self.count = Stream(seed, "noise of the deep image prior"), first, count
        # A generator an image, since a block of addressed numbers each step would take longer than the network.
        seeds = self.stream.branch("steps").integers(first, count, high=2**62).tolist()
        self.generators = [torch.Generator().manual_seed(number) for number in seeds]

    def fixed(self) -> Tensor:
        return NOISE_HEIGHT * self.stream.uniform(self.first, self.count, *self.shape)

    def next(self) -> Tensor:
        """Standard normal [B, 32, H, W], others at each call."""
        return torch.stack([torch.randn(self.shape, generator=generator) for generator in self.generators])


class UNets(nn.Module):
    """A U-Net for each image of a batch: noise [B, 32, H, W] -> images [B, C, H, W] in [-1, 1].

    Level by level the size is halved, until the smaller side would be below 4 pixels or 5 times; on the way back what each
    level saw comes in again through 4 channels. Rows do not touch each other.
    """

    def __init__(self, shape: torch.Size, *, width: int) -> None:
        super().__init__()
        count, channels, *size = shape
        levels = min(MOST_LEVELS, int(math.log2(min(size) / SMALLEST_SIDE)))
        if levels < 1:
            raise ValueError(
                f"the deep image prior takes images of at least {2 * SMALLEST_SIDE} pixels a side, got {size[0]} x {size[1]}"
            )
        sizes = [NOISE_CHANNELS, *[width] * levels]
        self.skips = nn.ModuleList(Layer(count, seen, SKIP_CHANNELS, kernel=1) for seen in sizes[:-1])
        self.downs = nn.ModuleList(
            nn.Sequential(Layer(count, seen, width, stride=2), Layer(count, width, width)) for seen in sizes[:-1]
        )
        self.ups = nn.ModuleList(
            nn.Sequential(Layer(count, SKIP_CHANNELS + width, width), Layer(count, width, width, kernel=1))
            for _ in range(levels)
        )
        self.last = Convolution(count, width, channels, kernel=1)

    def forward(self, noise: Tensor) -> Tensor:
        hidden, skipped = noise, []
        for skip, down in zip(self.skips, self.downs, strict=True):
            skipped.append(skip(hidden))
            hidden = down(hidden)
        for seen, up in zip(reversed(skipped), self.ups, strict=True):
            hidden = F.interpolate(hidden, size=seen.shape[2:], mode="bilinear")
            hidden = up(torch.cat([seen, hidden], dim=1))
        return torch.tanh(self.last(hidden))

    def draw_weights(self, stream: Stream, first: int) -> None:
        """Those of each convolution uniform within 1 / sqrt(inputs), as PyTorch's; row b is that of image ``first + b``."""
        for name, layer in self.named_modules():
            if isinstance(layer, Convolution):
                for part, weights in layer.named_parameters():
                    drawn = stream.branch(f"{name}.{part}").uniform(first, *weights.shape)
                    weights.data.copy_((2 * drawn - 1) / math.sqrt(layer.weight[0, 0].numel()))


class Convolution(nn.Module):
    """[B, inputs, H, W] -> [B, outputs, H / stride, W / stride], rounded up; weights [B, outputs, inputs, k, k]."""

    def __init__(self, count: int, inputs: int, outputs: int, *, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(count, outputs))
        self.stride = stride

    def forward(self, rows: Tensor) -> Tensor:
        count, outputs, _, kernel, _ = self.weight.shape
        beside = F.pad(rows, [kernel // 2] * 4, mode="reflect").flatten(0, 1)[None]
        weight, bias = self.weight.flatten(0, 1), self.bias.flatten()
        return F.conv2d(beside, weight, bias, stride=self.stride, groups=count).unflatten(1, (count, outputs))[0]


class Layer(nn.Module):
    """A convolution, brought to mean and deviation of each image's own in each channel, and a leaky rectifier."""

    def __init__(self, count: int, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.convolution = Convolution(count, inputs, outputs, kernel=kernel, stride=stride)
        self.scale = nn.Parameter(torch.ones(count, outputs, 1, 1))
        self.shift = nn.Parameter(torch.zeros(count, outputs, 1, 1))

    def forward(self, rows: Tensor) -> Tensor:
        normal = F.instance_norm(self.convolution(rows))
        return F.leaky_relu(normal * self.scale + self.shift, SLOPE)
