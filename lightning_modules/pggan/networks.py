"""PGGAN's generator and critic (Karras et al. 2018), in the form in which multi-code inversion looks into them.

Both have all sizes from 4 x 4 pixels up from the beginning, and use those of their ``stage``. Images always have their full
size: what a stage draws is enlarged to it, and what the critic sees is pooled first.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from generative.checks import check_at_least
from generative.networks.critic import minibatch_deviation
from lightning_modules.pggan.growth import Stage
from lightning_modules.pggan.layers import (
    Convolution,
    Dense,
    EnlargingConvolution,
    ReducingConvolution,
    doubled,
    pixel_norm,
    pooled,
    rectified,
)

BASE, MOST = 16384, 512  # channels as published


def levels_of(image_shape: tuple[int, int, int]) -> int:
    """Sizes from 4 x 4 up to square images of a power of two; ValueError for others."""
    _, height, width = image_shape
    levels = round(math.log2(height)) - 1
    if height != width or height != 2 ** (levels + 1) or levels < 2:
        raise ValueError(f"PGGAN draws square images of 8, 16, 32, ... pixels a side, got {height} x {width}")
    return levels


def channels(levels: int, *, base: int, most: int) -> list[int]:
    """Of the features at 4, 8, 16 .. pixels a side: base / side, at most ``most``."""
    check_at_least(1, base=base, most=most)
    found = [min(base // 2 ** (level + 2), most) for level in range(levels)]
    if found[-1] < 1:
        raise ValueError(f"base {base} leaves no channel at {2 ** (levels + 1)} pixels a side: choose a larger one")
    return found


class Generator(nn.Module):
    """Latents [B, latent_dim] -> images [B, C, S, S], nominally in [-1, 1] (there is no bound).

    Blocks 0, 1 are at 4 x 4 pixels, each further pair at twice the size of the one before; every block normalises what it
    gets, convolves and rectifies. "Layer l" of multi-code inversion is the number of blocks in G1: :meth:`features` are those
    after l blocks, :meth:`image` is the rest, G2. ``normalize_latents`` false leaves the norm of the latent out, which then
    enters beside the first block's bias.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        latent_dim: int = 512,
        base: int = BASE,
        most: int = MOST,
        normalize_latents: bool = True,
    ) -> None:
        super().__init__()
        check_at_least(1, latent_dim=latent_dim)
        self.levels = levels_of(image_shape)
        self.latent_dim = latent_dim
        self.normalize_latents = normalize_latents
        self.widths = channels(self.levels, base=base, most=most)
        first = self.widths[0]
        self.blocks = nn.ModuleList(
            [Convolution(latent_dim, first, kernel_size=4, padding=3), Convolution(first, first)]
        )
        for before, width in itertools.pairwise(self.widths):
            self.blocks.extend([EnlargingConvolution(before, width), Convolution(width, width)])
        self.to_image = nn.ModuleList(
            Convolution(width, image_shape[0], kernel_size=1, padding=0, gain=1.0) for width in self.widths
        )
        self.stage = Stage(self.levels)

    def forward(self, z: Tensor) -> Tensor:
        level, blend = self.stage.levels, self.stage.blend
        if blend == 1.0:
            images = self.image(self.features(z, 2 * level), 2 * level, levels=level)
        else:
            before = 2 * (level - 1)
            h = self.features(z, before)
            coarse = doubled(self.image(h, before, levels=level - 1))
            images = torch.lerp(coarse, self.image(h, before, levels=level), blend)
        return doubled(images, times=self.levels - level)

    def features(self, z: Tensor, layer: int) -> Tensor:
        """G1: latents [B, latent_dim] -> features [B, C, h, w] after ``layer`` blocks, before the next one's norm."""
        z = pixel_norm(z) if self.normalize_latents else z
        h = rectified(self.blocks[0](z[:, :, None, None]))
        return self.through(h, 1, layer)

    def image(self, features: Tensor, layer: int, *, levels: int | None = None) -> Tensor:
        """G2: features after ``layer`` blocks -> images of the size of ``levels``, by default the last."""
        levels = self.levels if levels is None else levels
        h = self.through(features, layer, 2 * levels)
        found: Tensor = self.to_image[levels - 1](pixel_norm(h))
        return found

    def through(self, h: Tensor, first: int, last: int) -> Tensor:
        for block in self.blocks[first:last]:
            h = rectified(block(pixel_norm(h)))
        return h

    def width_at(self, layer: int) -> int:
        """Channels of the features after ``layer`` blocks; ValueError where there is no such layer."""
        if not 1 <= layer <= len(self.blocks):
            raise ValueError(f"layer is a number of blocks from 1 to {len(self.blocks)}, got {layer}")
        return self.widths[(layer - 1) // 2]


class Critic(nn.Module):
    """Images [B, C, S, S] in [-1, 1] -> logits [B].

    From the size of its ``stage`` down to 4 x 4 pixels two convolutions each, of which the second one is pooled before it is
    rectified, as the official code does by default. Then the deviation over groups of ``group_size`` neighbours of the batch
    (0: left out), a convolution and two dense layers, the last to ``num_outputs``.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        num_classes: int = 0,
        base: int = BASE,
        most: int = MOST,
        group_size: int = 4,
        num_outputs: int = 1,
    ) -> None:
        super().__init__()
        check_at_least(0, group_size=group_size)
        check_at_least(1, num_outputs=num_outputs)
        self.levels = levels_of(image_shape)
        self.group_size = group_size
        self.num_outputs = num_outputs
        widths = channels(self.levels, base=base, most=most)
        first = widths[0]
        self.from_image = nn.ModuleList(
            Convolution(image_shape[0], width, kernel_size=1, padding=0) for width in widths
        )
        self.halvings = nn.ModuleList(
            nn.ModuleList([Convolution(width, width), ReducingConvolution(width, before)])
            for before, width in itertools.pairwise(widths)
        )
        self.final = Convolution(first + (group_size > 0), first)
        self.hidden = Dense(16 * first, first)
        self.logit = Dense(first, num_outputs, gain=1.0)
        self.stage = Stage(self.levels)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        h = self.trunk(images)[-1]
        if self.group_size > 0:
            h = minibatch_deviation(h, group_size=self.group_size)
        h = rectified(self.hidden(rectified(self.final(h)).flatten(1)))
        outputs: Tensor = self.logit(h)
        return outputs[:, 0] if self.num_outputs == 1 else outputs

    def trunk(self, images: Tensor) -> list[Tensor]:
        """Features [B, C, h, w] at every size, the largest first, 4 x 4 pixels last; rows do not touch each other.

        Of a stage in a transition the largest is the size before, with what the new one adds.
        """
        level, blend = self.stage.levels, self.stage.blend
        x = pooled(images, times=self.levels - level)
        h = rectified(self.from_image[level - 1](x))
        if blend < 1.0:
            coarse = rectified(self.from_image[level - 2](pooled(x)))
            level -= 1
            h = torch.lerp(coarse, self.halved(h, level), blend)
        found = [h]
        for size in range(level - 1, 0, -1):
            found.append(self.halved(found[-1], size))
        return found

    def halved(self, h: Tensor, size: int) -> Tensor:
        """Features at the size of level ``size`` + 1 -> at that of level ``size``."""
        for convolution in self.halvings[size - 1]:  # type: ignore[attr-defined]
            h = rectified(convolution(h))
        return h
