"""Networks of the learned parts: the refiner, the filler, the residual layers of the others, and the critic of all.

Classes enter a generator as maps, one a class, that of the image's class 1 everywhere; the critic by projection.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generative.checks import check_at_least, check_choice
from generative.networks.labels import one_hot
from generative.networks.normalization import group_norm
from generative.networks.spectral import spectral

NUM_LAYERS = 4  # of the refiner and of the filler, as the text has it
NORMALIZATIONS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "group": partial(group_norm, least_channels=8),
    "none": lambda channels: nn.Identity(),
}


def with_class_maps(images: Tensor, labels: Tensor | None, *, num_classes: int) -> Tensor:
    """Images [B, C, H, W] with a map for each class: [B, C + num_classes, H, W]; without classes as they are."""
    if num_classes == 0:
        return images
    maps = one_hot(labels, num_classes=num_classes, like=images)[:, :, None, None]
    return torch.cat([images, maps.expand(-1, -1, *images.shape[2:])], dim=1)


def four_layers(
    in_channels: int, out_channels: int, *, width: int, normalization: str, kernel_size: int = 3, dilation: int = 1
) -> nn.Sequential:
    """Four convolutions of ``width`` channels with norm and ReLU between them; a pixel sees 4 (k - 1) d + 1 pixels a side."""
    check_choice("normalization", normalization, tuple(NORMALIZATIONS))
    check_at_least(1, width=width, kernel_size=kernel_size, dilation=dilation)
    if kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd, so that a pixel has a middle, got {kernel_size}")
    norm = NORMALIZATIONS[normalization]
    widths = [in_channels, *[width] * (NUM_LAYERS - 1), out_channels]
    layers: list[nn.Module] = []
    for number, (a, b) in enumerate(itertools.pairwise(widths)):
        layers.append(nn.Conv2d(a, b, kernel_size, padding=dilation * (kernel_size // 2), dilation=dilation))
        if number < NUM_LAYERS - 1:
            layers += [norm(b), nn.ReLU()]
    return nn.Sequential(*layers)


class Refiner(nn.Module):
    """Blended renderings [B, C, H, W] and labels [B] -> images [B, C, H, W]: the input plus what four layers make of it."""

    def __init__(
        self, *, image_shape: tuple[int, int, int], num_classes: int = 0, width: int = 256, normalization: str = "batch"
    ) -> None:
        super().__init__()
        channels = image_shape[0]
        self.num_classes = num_classes
        self.layers = four_layers(channels + num_classes, channels, width=width, normalization=normalization)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        change: Tensor = self.layers(with_class_maps(images, labels, num_classes=self.num_classes))
        return images + change


class Filler(nn.Module):
    """Images [B, C, H, W], holes [B, 1, H, W] of 0 and 1, and labels [B] -> images, equal to the input bit for bit beside the hole.

    Four layers see the image without the hole's pixels, and the hole. ``downsampling`` d makes of d x d pixels one place of
    d^2 times the channels before them, and pixels of it behind them: the same four layers see d times as far.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        num_classes: int = 0,
        width: int = 256,
        normalization: str = "batch",
        kernel_size: int = 3,
        dilation: int = 1,
        downsampling: int = 1,
    ) -> None:
        super().__init__()
        check_at_least(1, downsampling=downsampling)
        channels, height, side = image_shape
        if height % downsampling or side % downsampling:
            raise ValueError(f"downsampling={downsampling} does not divide images of {height} x {side} pixels")
        self.num_classes, self.downsampling = num_classes, downsampling
        self.layers = four_layers(
            (channels + num_classes + 1) * downsampling**2,
            channels * downsampling**2,
            width=width,
            normalization=normalization,
            kernel_size=kernel_size,
            dilation=dilation,
        )

    def forward(self, images: Tensor, holes: Tensor, labels: Tensor | None = None) -> Tensor:
        seen = torch.cat([images.where(holes == 0, 0.0), holes.to(images)], dim=1)
        seen = F.pixel_unshuffle(with_class_maps(seen, labels, num_classes=self.num_classes), self.downsampling)
        drawn = F.pixel_shuffle(self.layers(seen), self.downsampling)
        return torch.where(holes == 0, images, drawn.to(images))


class ResidualLayer(nn.Module):
    """x + f(x) of [B, width, H, W], f two 3 x 3 convolutions with norm and ReLU before each (He et al. 2016)."""

    def __init__(self, width: int, *, normalization: str) -> None:
        super().__init__()
        norm = NORMALIZATIONS[normalization]
        self.norms = nn.ModuleList(norm(width) for _ in range(2))
        self.convolutions = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            h = convolution(F.relu(norm(h)))
        return x + h


class CriticLayer(nn.Module):
    """A residual layer [B, a, H, W] -> [B, b, H, W], of half the height and width where ``halve`` is set."""

    def __init__(self, in_channels: int, out_channels: int, *, halve: bool) -> None:
        super().__init__()
        self.halve = halve
        self.first = spectral(nn.Conv2d(in_channels, out_channels, 3, padding=1))
        self.second = spectral(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.skip = (
            spectral(nn.Conv2d(in_channels, out_channels, 1, bias=False)) if in_channels != out_channels else None
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.second(F.relu(self.first(F.relu(x))))
        x = x if self.skip is None else self.skip(x)
        return F.avg_pool2d(x + h, 2) if self.halve else x + h


class Critic(nn.Module):
    """Images [B, C, S, S] and labels [B] -> logits [B]: six residual layers whose weights have a largest singular value of 1.

    The first ones halve the image, down to 4 pixels a side, and double the channels from ``width`` up to ``max_width``. The
    label enters as an inner product with the last features (projection, Miyato and Koyama 2018).
    """

    num_layers = 6

    def __init__(
        self, *, image_shape: tuple[int, int, int], num_classes: int = 0, width: int = 64, max_width: int = 512
    ) -> None:
        super().__init__()
        check_at_least(1, width=width, max_width=max_width)
        if width > max_width:
            raise ValueError(
                f"a critic begins with width={width} channels and has no more than max_width={max_width}: give more"
            )
        channels, height, side = image_shape
        if height != side or side < 8 or side % 8:
            raise ValueError(f"image size must be square and a multiple of 8, got {height} x {side}")
        self.num_classes = num_classes
        num_halvings = min(self.num_layers, math.floor(math.log2(side / 4)))
        while side % 2**num_halvings:
            num_halvings -= 1
        widths = [min(width * 2 ** min(k, num_halvings), max_width) for k in range(self.num_layers + 1)]
        self.stem = spectral(nn.Conv2d(channels, width, 3, padding=1))
        self.layers = nn.ModuleList(
            CriticLayer(a, b, halve=number < num_halvings) for number, (a, b) in enumerate(itertools.pairwise(widths))
        )
        self.logit = spectral(nn.Linear(widths[-1], 1))
        self.class_embedding = spectral(nn.Embedding(num_classes, widths[-1])) if num_classes > 0 else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        h = self.stem(images)
        for layer in self.layers:
            h = layer(h)
        h = F.relu(h).mean(dim=(2, 3))
        logits: Tensor = self.logit(h)[:, 0]
        if self.class_embedding is not None:
            if labels is None:
                raise ValueError("this critic is conditional: give a label for each image")
            logits = logits + (h * self.class_embedding(labels)).sum(dim=1)
        return logits
