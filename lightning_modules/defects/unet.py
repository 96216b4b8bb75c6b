"""The generator of style transfer and of the Cycle GAN: residual layers in the shape of a U."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generative.checks import check_at_least, check_choice
from lightning_modules.defects.networks import NORMALIZATIONS, ResidualLayer, with_class_maps


def layers_of_levels(num_layers: int, depth: int) -> list[int]:
    """How many residual layers each of the 2 depth + 1 steps down and up has; what does not divide stands in the middle.

    12 and 2 -> [2, 2, 4, 2, 2]. ValueError where a step would have none.
    """
    steps = 2 * depth + 1
    each = num_layers // steps
    if each < 1:
        raise ValueError(f"num_layers={num_layers} are too few for depth={depth}, which takes {steps} or more")
    return [each] * depth + [num_layers - 2 * depth * each] + [each] * depth


class UNet(nn.Module):
    """Images [B, C, H, W], noise [B, 1, H, W] and labels [B] -> images [B, C, H, W]: the input plus what the network makes of it.

    ``num_layers`` residual layers (3 x 3, ``width`` channels) on ``depth`` + 1 levels, each half as high and wide as the one
    above; from there on the way up a level gets its own maps as well. ``depth`` 0: all of them at full resolution.
    ``noise``: whether it takes noise.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        num_classes: int = 0,
        width: int = 256,
        num_layers: int = 12,
        depth: int = 2,
        noise: bool = True,
        normalization: str = "batch",
    ) -> None:
        super().__init__()
        check_choice("normalization", normalization, tuple(NORMALIZATIONS))
        check_at_least(0, depth=depth)
        check_at_least(1, width=width, num_layers=num_layers)
        channels, height, side = image_shape
        if height % 2**depth or side % 2**depth:
            raise ValueError(f"depth={depth} halves images of {height} x {side} pixels more often than they can be")
        self.num_classes, self.noise, self.depth = num_classes, noise, depth
        counts = layers_of_levels(num_layers, depth)
        self.stem = nn.Conv2d(channels + num_classes + noise, width, 3, padding=1)
        self.steps = nn.ModuleList(
            nn.Sequential(*(ResidualLayer(width, normalization=normalization) for _ in range(count)))
            for count in counts
        )
        self.joins = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for _ in range(depth))
        self.norm = NORMALIZATIONS[normalization](width)
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, images: Tensor, labels: Tensor | None = None, *, noise: Tensor | None = None) -> Tensor:
        seen = with_class_maps(images, labels, num_classes=self.num_classes)
        if self.noise:
            if noise is None:
                raise ValueError("this network takes noise: give a channel of it for each image")
            seen = torch.cat([seen, noise.to(images)], dim=1)
        h = self.stem(seen)
        kept: list[Tensor] = []
        for number, step in enumerate(self.steps):
            if number > self.depth:
                h = F.interpolate(h, scale_factor=2.0, mode="nearest")
                h = self.joins[number - self.depth - 1](torch.cat([h, kept.pop()], dim=1))
            h = step(h)
            if number < self.depth:
                kept.append(h)
                h = F.avg_pool2d(h, 2)
        change: Tensor = self.last(F.relu(self.norm(h)))
        return images + change
