"""The coordinate pipeline: from a grid, moved and stretched by what the moments say, to the bases g^c(x, y) of eq. 5.3.

Every plane of coordinates is a u + b v + c of the canonical grid's (u, v), so three numbers an image and channel stand
for N x N of them, through the first 1 x 1 convolution and its batch norm. ``pixels.py`` computes the same pixel by pixel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generative.kept import Kept
from generative.rendering.coordinates import coordinate_grid
from lightning_modules.dgm.layers import ConvNorm, scale_and_shift

VARIANTS = ("tables", "released")


def canonical_grid(height: int, width: int, *, like: Tensor) -> Tensor:
    """C_G: (row / (N - 1), column / (N - 1)) and 1 at every position, [3, height * width]."""
    grid = coordinate_grid(height, width, device=like.device, dtype=like.dtype).flatten(0, 1).T
    return torch.cat([grid, torch.ones_like(grid[:1])])


def identity_map(like: Tensor) -> Tensor:
    """The grid as it is, [1, 2, 3]: row = 1 u + 0 v + 0, column = 0 u + 1 v + 0."""
    return torch.eye(2, 3, dtype=like.dtype, device=like.device)[None]


def moved(grid_map: Tensor, matrix: Tensor, shift: Tensor) -> Tensor:
    """C'_G = A C_G + t (section 5.3) as a map of the canonical grid: [B, 2, 3] of [B, 2, 2] and [B, 2]."""
    turned = matrix @ grid_map
    return torch.cat([turned[..., :2], turned[..., 2:] + shift[..., None]], dim=-1)


def planes_tables(grid_map: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """A grid for each channel, rows s_x x + t_x first, then columns s_y y + t_y: [B, 2 C, 3] of [B, C, 2] twice."""
    rows_then_columns = scale.mT[..., None] * grid_map[:, :, None]  # [B, 2, C, 3]
    moved_by = F.pad(shift.mT[..., None], (2, 0))
    return (rows_then_columns + moved_by).flatten(1, 2)


def planes_released(grid_map: Tensor, direction: Tensor, shift: Tensor) -> Tensor:
    """One plane for each channel, a x + b y + t: [B, C, 3] of [B, C, 2] and [B, C, 1]."""
    return direction @ grid_map + F.pad(shift, (2, 0))


class AffinePredictor(nn.Module):
    """Moments [B, C] -> planes [B, P, 3] of coordinates and the shared grid [B, 2, 3] they are made of.

    ``tables`` turns the canonical grid at every level and has P = 2 C; ``released`` turns the grid of the level before
    and has P = C.
    """

    def __init__(self, channels: int, *, variant: str) -> None:
        super().__init__()
        self.variant = variant
        self.hidden = nn.ModuleList(nn.Linear(channels, channels) for _ in range(2))
        self.hidden_norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.matrix = nn.Linear(channels, 4)
        self.shift = nn.Linear(channels, 2)
        self.channel_scale = nn.Linear(channels, 2 * channels)
        self.channel_shift = nn.Linear(channels, (2 if variant == "tables" else 1) * channels)
        if variant == "released":  # whose second hidden layer is the first again; its own never enters
            for unused in (self.hidden[1], self.hidden_norms[1]):
                unused.requires_grad_(False)

    def hidden_features(self, moments: Tensor) -> Tensor:
        h = moments
        for i in (0, 1) if self.variant == "tables" else (0, 0):
            h = F.relu(self.hidden_norms[i](self.hidden[i](h)))
        return h

    def forward(self, moments: Tensor, grid_map: Tensor) -> tuple[Tensor, Tensor]:
        h = self.hidden_features(moments)
        start = identity_map(h) if self.variant == "tables" else grid_map
        grid_map = moved(start, self.matrix(h).unflatten(1, (2, 2)), self.shift(h))
        channels = h.shape[1]
        scale = self.channel_scale(h).unflatten(1, (channels, 2))
        shift = self.channel_shift(h).unflatten(1, (channels, -1))
        planes = (planes_tables if self.variant == "tables" else planes_released)(grid_map, scale, shift)
        return planes, grid_map


def canonical_planes(channels: int, like: Tensor) -> Tensor:
    """What a level without affine parameters takes: the canonical rows C times, then the columns, [1, 2 C, 3]."""
    return identity_map(like).repeat_interleave(channels, dim=1)


def normalized_maps(maps: Tensor, norm: nn.BatchNorm2d, height: int, width: int) -> Tensor:
    """The maps [B, C, 3] of planes after batch norm; in training its running statistics move as they would over pixels.

    With u and v counted from the grid's middle a plane a u + b v + c has mean c and variance a^2 var(u) + b^2 var(v)
    over its pixels, without the cancellation of E[x^2] - E[x]^2.
    """
    if not norm.training:
        scale, shift = scale_and_shift(norm)
        return maps * scale[:, None] + F.pad(shift[:, None], (2, 0))
    slopes, middle = maps[..., :2], maps[..., 2] + 0.5 * maps[..., :2].sum(dim=-1)
    # Of n equally spaced points on [0, 1]: (n + 1) / (12 (n - 1)).
    spreads = maps.new_tensor([(n + 1) / (12 * (n - 1)) for n in (height, width)])
    mean = middle.mean(dim=0)
    variance = ((slopes.square() @ spreads) + (middle - mean).square()).mean(dim=0)
    keep_statistics(norm, mean, variance, count=len(maps) * height * width)
    scale = norm.weight * (variance + norm.eps).rsqrt()
    shift = norm.bias - mean * scale
    return maps * scale[:, None] + F.pad(shift[:, None], (2, 0))


@torch.no_grad()
def keep_statistics(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, *, count: int) -> None:
    """What `nn.BatchNorm2d` does to its running statistics in a training step over ``count`` values a channel."""
    assert norm.momentum is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
    norm.running_var.lerp_((variance * (count / (count - 1))).to(norm.running_var.dtype), norm.momentum)
    norm.num_batches_tracked += 1


class FirstBases(nn.Module):
    """Level-1: the bases of the canonical grid, the same for every image: [1, C, N, N]."""

    def __init__(self, channels: int, *, normalization: str) -> None:
        super().__init__()
        self.coordinates = nn.Conv2d(2, channels, 1, bias=False)
        self.layers = nn.ModuleList(ConvNorm(channels, channels, 1, normalization=normalization) for _ in range(2))
        self.kept: Kept[Tensor] = Kept()

    def forward(self, height: int, width: int, canonical: Tensor | None = None) -> Tensor:
        """``canonical``: the pixels of the grid [2, N N], where these are at hand and the bases shall lie as they do."""
        if self.training:
            return self.compute(height, width, canonical)
        precision = (torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda"))
        weights = [*self.parameters(), *self.buffers()]
        return self.kept.get(
            weights, lambda: self.compute(height, width, canonical), settings=(height, width, precision)
        )

    def compute(self, height: int, width: int, canonical: Tensor | None) -> Tensor:
        if canonical is None:
            rows = canonical_grid(height, width, like=self.coordinates.weight)[None, :2].mT
            h = self.coordinates(as_image(rows, height, width))
        else:
            h = self.coordinates(canonical.view(1, 2, height, width))
        for layer in self.layers:
            h = F.relu(layer(h), inplace=True)
        return h


class LevelBases(nn.Module):
    """Level-2 and on: planes [B, P, 3] and the bases before -> bases [B, C, N, N]."""

    def __init__(self, planes: int, channels: int, *, normalization: str) -> None:
        super().__init__()
        self.mix = ConvNorm(planes, channels, 1, normalization=normalization)
        self.refine = ConvNorm(channels, channels, 1, normalization=normalization)

    def forward(self, planes: Tensor, before: Tensor) -> Tensor:
        return F.relu(self.refine(F.relu(self.mixed(planes, before), inplace=True)), inplace=True)

    def mixed(self, planes: Tensor, before: Tensor) -> Tensor:
        """The first convolution, its norm and the bases before, [B, C, N, N]."""
        height, width = before.shape[2:]
        maps = self.mix.convolution.weight.flatten(1) @ planes
        if self.mix.convolution.bias is not None:
            maps = maps + F.pad(self.mix.convolution.bias[:, None], (2, 0))
        norm = self.mix.norm
        if isinstance(norm, nn.BatchNorm2d):
            maps = normalized_maps(maps, norm, height, width)
        positions = canonical_grid(height, width, like=maps).T.expand(len(maps), -1, -1)
        # Channels last, as the convolutions around take them: [B, N N, C], seen as [B, C, N, N].
        if isinstance(norm, nn.BatchNorm2d | nn.Identity):
            added = before.permute(0, 2, 3, 1).flatten(1, 2)
            return as_image(torch.baddbmm(added, positions, maps.mT), height, width)
        return norm(as_image(positions @ maps.mT, height, width)) + before


def as_image(rows: Tensor, height: int, width: int) -> Tensor:
    """[B, height * width, C] seen as [B, C, height, width] in the memory format channels_last."""
    return rows.unflatten(1, (height, width)).permute(0, 3, 1, 2)
