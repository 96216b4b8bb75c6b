"""A convolutional encoder whose last map is the latent, with a linear layer on it, and the decoder from latents to images.

The networks of ReGene (2021), Tables A.5 to A.7 and Table 1: a classifier and the way back. Both start as Keras starts its
layers and have its constants: LeakyReLU of slope 0.3, batch norm with epsilon 1e-3.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor, nn

from generative.checks import check_at_least, check_choice
from generative.networks.classifier import ClassifierNetwork
from generative.networks.normalization import KERAS_MOMENTUM, keras_norm

SLOPE = 0.3  # of LeakyReLU below 0, Keras' default
KERNELS = ("printed", "used")
FASTEST = torch.channels_last  # the order of numbers in which these convolutions are fastest, on processors and on GPUs

Layer = TypeVar("Layer", nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


def keras_start(layer: Layer, *, taps: int | None = None) -> Layer:
    """``layer`` with Keras' first weights, uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010), and biases 0.

    ``taps``: of the kernel that the fans count, by default of the layer's own; a dense layer has 1.
    """
    taps = math.prod(layer.weight.shape[2:]) if taps is None else taps
    limit = math.sqrt(6.0 / (taps * sum(layer.weight.shape[:2])))
    nn.init.uniform_(layer.weight, -limit, limit)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def check_plan(plan: list[list[int]], *, of: str) -> None:
    """ValueError unless ``plan`` has levels, each of them convolutions, and these a positive number ``of`` something."""
    if not plan or not all(plan) or min(map(min, plan)) < 1:
        raise ValueError(f"plan has the {of} of the convolutions of each level, at least one a level, got {plan}")


class Encoder(ClassifierNetwork):
    """Images [B, C, S, S] in [-1, 1] -> latents [B, width * map_size^2], the last map flattened -> logits [B, num_classes].

    ``plan``: sizes of the kernels at each level, with max pooling of 2 between levels, which floors: Table A.5 is
    [[3, 3], [3], [3], [3, 3]], A.7 [[3, 3], [3], [3], [9, 11]], A.6 [[3, 3], [3], [3], [3], [3, 3]]. A block is a
    convolution of ``width`` channels, norm and LeakyReLU. ``map_size``: pixels a side of the last map.

    Where a map has s pixels a side, the taps of a kernel that are s or more away from its middle only ever meet padding.
    ``kernel`` ``printed`` keeps them, for the published counts; ``used`` leaves them out: the same function, and the taps
    that are left start by the same law. It does so where the plan and ``map_size`` alone tell that taps meet no pixel.
    """

    def __init__(
        self,
        *,
        image_channels: int,
        num_classes: int,
        plan: list[list[int]],
        map_size: int,
        width: int = 128,
        kernel: str = "used",
        normalization: str = "batch",
        batch_momentum: float = KERAS_MOMENTUM,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dropout=dropout)
        check_at_least(1, map_size=map_size, width=width)
        check_choice("kernel", kernel, KERNELS)
        check_plan(plan, of="kernel sizes")
        self.latent_shape = (width, map_size, map_size)
        self.num_features = math.prod(self.latent_shape)
        self.num_poolings = len(plan) - 1
        layers: list[nn.Module] = []
        for level, sizes in enumerate(plan):
            layers += [nn.MaxPool2d(2)] if level > 0 else []
            for size in sizes:
                channels = width if layers else image_channels
                kept = min(size, self.most_taps(level)) if kernel == "used" else size
                layers += [
                    same_convolution(channels, width, size=size, kept=kept),
                    keras_norm(normalization, width, batch_momentum=batch_momentum),
                    nn.LeakyReLU(SLOPE),
                ]
        self.trunk = nn.Sequential(*layers)
        self.classifier = keras_start(nn.Linear(self.num_features, num_classes))
        self.to(memory_format=FASTEST)

    def most_taps(self, level: int) -> int:
        """A side of the kernels at ``level`` whose taps may meet data: 2 s - 1, s the largest map that ends in ``map_size``."""
        largest = (self.latent_shape[1] + 1) * 2 ** (self.num_poolings - level) - 1  # each pooling floors
        return 2 * largest - 1

    def features(self, images: Tensor) -> Tensor:
        """The latents, eq. 4: [B, num_features]; ValueError for images that end in a map of another size."""
        height, width = images.shape[2:]
        found = (height >> self.num_poolings, width >> self.num_poolings)
        if found != self.latent_shape[1:]:
            remedy = (
                f"set map_size to {found[0]}" if found[0] == found[1] > 0 else "give square images, or fewer levels"
            )
            raise ValueError(
                f"the plan takes images of {height} x {width} pixels to maps of {found[0]} x {found[1]}, "
                f"and map_size is {self.latent_shape[1]}: {remedy}"
            )
        return self.trunk(images).flatten(1)

    def last_maps(self) -> nn.Module:
        return self.trunk


def same_convolution(in_channels: int, out_channels: int, *, size: int = 3, kept: int | None = None) -> nn.Conv2d:
    """Of kernel ``size`` and stride 1, onto a map of the same size; of its taps the middle ``kept`` x ``kept`` are there."""
    if size % 2 == 0:
        raise ValueError(f"a convolution keeps the size of its map only with an odd kernel, got {size} in the plan")
    kept = size if kept is None else kept
    return keras_start(nn.Conv2d(in_channels, out_channels, kept, padding=kept // 2), taps=size**2)


class Decoder(nn.Module):
    """Latents [B, D] -> images [B, C, H, W] in [0, 1] (a sigmoid ends it); D the numbers of a map of ``latent_shape``.

    ``plan``: channels of the 3 x 3 convolutions of each level, with doubling by nearest neighbours between levels; one more
    convolution makes the channels of ``image_shape``. The first ``grow`` of them let the map grow by 2, as a transposed
    convolution without padding does. A block is a convolution, LeakyReLU and norm, in this order. Table A.5 is
    [[512] * 3, [256] * 3, [256] * 3] with grow=2, A.7 [[512] * 3] + 3 * [[256] * 3], A.6 [[512] * 3] + 4 * [[256] * 3].
    """

    def __init__(
        self,
        *,
        latent_shape: tuple[int, int, int],
        image_shape: tuple[int, int, int],
        plan: list[list[int]],
        grow: int = 0,
        normalization: str = "batch",
        batch_momentum: float = KERAS_MOMENTUM,
    ) -> None:
        super().__init__()
        check_plan(plan, of="channels")
        check_at_least(0, grow=grow)
        if grow > len(plan[0]):
            raise ValueError(
                f"grow counts convolutions of the plan's first level, which has {len(plan[0])}, got {grow}: "
                "give that level more convolutions, or grow less"
            )
        check_end(latent_shape, image_shape, levels=len(plan), grow=grow)
        self.latent_shape = tuple(latent_shape)
        layers: list[nn.Module] = []
        channels = latent_shape[0]
        for level, widths in enumerate(plan):
            layers += [nn.Upsample(scale_factor=2, mode="nearest")] if level > 0 else []
            for position, width in enumerate(widths):
                grows = level == 0 and position < grow
                layers += [
                    growing_convolution(channels, width) if grows else same_convolution(channels, width),
                    nn.LeakyReLU(SLOPE),
                    keras_norm(normalization, width, batch_momentum=batch_momentum),
                ]
                channels = width
        self.trunk = nn.Sequential(*layers)
        self.to_image = same_convolution(channels, image_shape[0])
        self.to(memory_format=FASTEST)

    def forward(self, latents: Tensor) -> Tensor:
        return torch.sigmoid(self.to_image(self.trunk(latents.unflatten(1, self.latent_shape))))


def growing_convolution(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """3 x 3, onto a map with 2 pixels more a side."""
    return keras_start(nn.ConvTranspose2d(in_channels, out_channels, 3))


def check_end(latent_shape: tuple[int, int, int], image_shape: tuple[int, int, int], *, levels: int, grow: int) -> None:
    """ValueError unless a map that grows by 2 ``grow`` times, then doubles between ``levels``, ends at the image's size."""
    start, wanted = tuple(latent_shape[1:]), tuple(image_shape[1:])
    end = tuple((side + 2 * grow) * 2 ** (levels - 1) for side in start)
    if end == wanted:
        return
    ways = [f"a {found}-level plan with grow={by}" for found, by in ways_to(start, wanted)]
    remedy = (
        f"take {' or '.join(ways)}" if ways else "no plan leads there, take a classifier with a latent of another size"
    )
    raise ValueError(
        f"a {levels}-level plan with grow={grow} ends at {end[0]} x {end[1]} pixels from a map of "
        f"{start[0]} x {start[1]}, and images have {wanted[0]} x {wanted[1]}: {remedy}"
    )


def ways_to(start: tuple[int, ...], wanted: tuple[int, ...]) -> list[tuple[int, int]]:
    """Each number of levels and of growing convolutions by which a map of ``start`` pixels ends at ``wanted``."""
    found = []
    for levels in range(1, max(wanted).bit_length() + 1):
        factor = 2 ** (levels - 1)
        grown = {side // factor - before for side, before in zip(wanted, start, strict=True)}
        missing = grown.pop()
        if not grown and missing >= 0 and missing % 2 == 0 and all(side % factor == 0 for side in wanted):
            found.append((levels, missing // 2))
    return found
