"""The network of deep geometric moments (Fig. 5.1), and the same without moments: 'ResNet w/o pooling'."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from generative.networks.classifier import ClassifierNetwork
from lightning_modules.dgm.bases import (
    VARIANTS,
    AffinePredictor,
    FirstBases,
    LevelBases,
    canonical_planes,
    identity_map,
)
from lightning_modules.dgm.layers import BLOCKS, NORMALIZATIONS, ConvNorm, clipped_sum, is_folded
from lightning_modules.dgm.pixels import canonical_pixels, next_bases, transformed


def moments(projected: Tensor) -> Tensor:
    """m^c = 1 / (N N) sum_x sum_y g^c(x, y) f^c(x, y) (eq. 5.3): [B, C, N, N] -> [B, C]."""
    return projected.mean(dim=(2, 3))


def visualization(projected: Tensor, moments: Tensor) -> Tensor:
    """V = sum_c m^c (G^c * F^c) (eq. 5.4): [B, C, N, N] and [B, C] -> [B, N, N]."""
    return (projected * moments[:, :, None, None]).sum(dim=1)


@dataclass(frozen=True)
class LevelOutput:
    """What a level hands on. Without moments ``projected`` are the features and ``moments`` their means."""

    features: Tensor  # f, [B, C, N, N]
    projected: Tensor  # g f, [B, C, N, N]
    moments: Tensor  # m, [B, C]

    def map(self) -> Tensor:
        """Eq. 5.4, [B, N, N]."""
        return visualization(self.projected, self.moments)


class Level(nn.Module):
    """Level-2 of Fig. 5.1, which can be repeated."""

    def __init__(self, channels: int, blocks: nn.Sequential, *, variant: str, affine: bool, normalization: str) -> None:
        super().__init__()
        self.projection = ConvNorm(channels, channels, 1, normalization=normalization)
        self.blocks = blocks
        self.affine = AffinePredictor(channels, variant=variant) if affine else None
        num_planes = channels if variant == "released" else 2 * channels
        self.bases = LevelBases(num_planes, channels, normalization=normalization)

    def forward(
        self, before: LevelOutput, bases: Tensor, grid: Tensor, canonical: Tensor | None
    ) -> tuple[LevelOutput, Tensor, Tensor]:
        """``grid``: as a map of the canonical grid [B, 2, 3]; where the pixels of that [2, N N] are given, its own [B, 2, N N]."""
        features = self.blocks(clipped_sum(self.projection(before.projected), before.features))
        if canonical is None:
            bases, grid = self.mapped(before, bases, grid)
        else:
            bases, grid = self.at_pixels(before, bases, grid, canonical)
        projected = bases * features
        return LevelOutput(features, projected, moments(projected)), bases, grid

    def mapped(self, before: LevelOutput, bases: Tensor, grid_map: Tensor) -> tuple[Tensor, Tensor]:
        """The next bases [B, C, N, N] and the map of the grid they are made of."""
        if self.affine is None:
            planes = canonical_planes(before.features.shape[1], before.features)
        else:
            planes, grid_map = self.affine(before.moments, grid_map)
        return self.bases(planes, bases), grid_map

    def at_pixels(self, before: LevelOutput, bases: Tensor, grid: Tensor, canonical: Tensor) -> tuple[Tensor, Tensor]:
        """The next bases [B, C, N, N] and the grid they are made of."""
        if self.affine is None:
            planes = canonical.repeat_interleave(before.features.shape[1], dim=0)[None]  # the same for every image
        else:
            planes, grid = transformed(self.affine, before.moments, canonical, grid)
        return next_bases(self.bases, planes, bases), grid


class DGM(ClassifierNetwork):
    """Images [B, image_channels, H, W] in [-1, 1] -> logits [B, num_classes], by the moments of the last level.

    ``blocks``: residual blocks of each level. ``block``: ``pointwise`` (Table 5.1), ``basic`` (ResNet-18, 34),
    ``bottleneck`` (ResNet-50), ``separable`` (MobileNet). ``patch_size`` 1 is a 5 x 5 convolution at the image's size, p
    a p x p one of stride p, after which H / p x W / p is the grid. ``affine=False`` keeps the grid canonical,
    ``moments=False`` leaves the bases out: the mean of the last features is classified. ``variant``: ``tables``, inferred
    from the chapter's parameter counts, or ``released``, the authors' code.
    """

    def __init__(
        self,
        *,
        image_channels: int,
        num_classes: int,
        channels: int,
        blocks: list[int],
        block: str = "basic",
        patch_size: int = 1,
        variant: str = "tables",
        affine: bool = True,
        moments: bool = True,
        normalization: str = "batch",
        dropout: float = 0.1,
    ) -> None:
        super().__init__(dropout=dropout)
        for what, value, choices in (
            ("block", block, tuple(BLOCKS)),
            ("variant", variant, VARIANTS),
            ("normalization", normalization, NORMALIZATIONS),
        ):
            if value not in choices:
                raise ValueError(f"unknown {what} {value!r}: choose one of {', '.join(choices)}")
        if not blocks or min(blocks) < 0:
            raise ValueError(f"blocks must name the number of blocks of each of 1 to 5 or more levels, got {blocks}")
        if patch_size < 1:
            raise ValueError(f"patch_size must be at least 1, got {patch_size}")
        if variant == "released" and moments and not affine:
            raise ValueError("the released network always moves its grid: affine=false needs variant=tables")
        self.patch_size = patch_size
        self.variant = variant
        self.num_features = channels
        has_bias = variant == "released"
        if patch_size == 1:
            self.stem = nn.Conv2d(image_channels, channels, 5, padding=2, bias=has_bias)
        else:
            self.stem = nn.Conv2d(image_channels, channels, patch_size, stride=patch_size, bias=has_bias)
        first, *others = [
            nn.Sequential(*(BLOCKS[block](channels, normalization) for _ in range(number))) for number in blocks
        ]
        self.blocks = first
        self.bases = FirstBases(channels, normalization=normalization) if moments else None
        self.levels = nn.ModuleList(
            Level(channels, each, variant=variant, affine=affine, normalization=normalization) if moments else each
            for each in others
        )
        self.classifier = nn.Linear(channels, num_classes)

    def check_image_size(self, height: int, width: int) -> None:
        """ValueError where the patches do not fill an image, or the grid would be a single row."""
        if height % self.patch_size or width % self.patch_size or min(height, width) < 2 * self.patch_size:
            raise ValueError(
                f"images of {height} x {width} pixels do not fill a grid of {self.patch_size} x {self.patch_size} "
                "patches, at least two a side: choose another resolution or network patch_size"
            )

    def walk(self, images: Tensor) -> Iterator[LevelOutput]:
        """Level after level."""
        self.check_image_size(*images.shape[2:])
        folded = is_folded(images)
        # On the CPU 1.2 to 1.4 times as fast as the order of rows in a step of 64 channels.
        order = torch.channels_last if folded else torch.contiguous_format
        features = self.blocks(self.stem(images.contiguous(memory_format=order)))
        if self.bases is None:
            yield LevelOutput(features, features, moments(features))
            for blocks in self.levels:
                features = blocks(features)
                yield LevelOutput(features, features, moments(features))
            return
        canonical = None if folded else canonical_pixels(features)
        bases = self.bases(*features.shape[2:], canonical)
        grid = identity_map(features) if canonical is None else canonical.expand(len(features), -1, -1)
        projected = bases * features
        output = LevelOutput(features, projected, moments(projected))
        yield output
        for level in self.levels:
            output, bases, grid = level(output, bases, grid, canonical)
            yield output

    def last_level(self, images: Tensor) -> LevelOutput:
        *_, last = self.walk(images)
        return last

    def features(self, images: Tensor) -> Tensor:
        """The moments of the last level, [B, channels]."""
        return self.last_level(images).moments

    def last_maps(self) -> nn.Module:
        """The residual blocks of the last level: f of eq. 5.3, before the bases."""
        if len(self.levels) == 0:
            return self.blocks
        last = self.levels[-1]
        return last.blocks if isinstance(last, Level) else last

    def heatmaps(self, images: Tensor) -> list[Tensor]:
        """Eq. 5.4 at each level: [B, N, N] each. Without moments the features weighted by their means."""
        return [output.map() for output in self.walk(images)]

    def coordinate_pipeline(self) -> list[nn.Module]:
        """What is trained on in fine-tuning (section 5.4.5), beside the classifier: bases and affine parameters."""
        if self.bases is None:
            raise ValueError("a network without moments has no coordinate pipeline to fine-tune")
        found: list[nn.Module] = [self.bases]
        for level in self.levels:
            assert isinstance(level, Level)
            found += [level.bases] if level.affine is None else [level.affine, level.bases]
        return found
