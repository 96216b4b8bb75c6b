"""The coordinate pipeline pixel by pixel, as the chapter draws it: what the maps of ``bases.py`` are tested against."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.dgm.bases import AffinePredictor, canonical_grid
from lightning_modules.dgm.layers import ConvNorm, Residual
from lightning_modules.dgm.networks import DGM, Level, LevelOutput, moments


def walk_plainly(network: DGM, images: Tensor) -> list[LevelOutput]:
    """`DGM.walk` with every grid transformed, convolved and normalised at its pixels, no batch norm merged."""
    assert network.bases is not None
    features = run_plainly(network.blocks, network.stem(images))
    batch, channels, height, width = features.shape
    canonical = canonical_grid(height, width, like=features)[:2]
    bases = network.bases.coordinates(canonical.view(1, 2, height, width))
    for layer in network.bases.layers:
        assert isinstance(layer, ConvNorm)
        bases = F.relu(normalized(layer, bases))
    projected, grid = bases * features, canonical.expand(batch, -1, -1)
    outputs = [LevelOutput(features, projected, moments(projected))]
    for level in network.levels:
        assert isinstance(level, Level)
        before = outputs[-1]
        lifted = normalized(level.projection, before.projected)
        features = run_plainly(level.blocks, F.relu(lifted + before.features))
        if level.affine is None:
            planes = canonical.repeat_interleave(channels, dim=0)[None]  # the same for every image
        else:
            grid, planes = transformed(level.affine, before.moments, canonical, grid)
        bases = next_bases(level, planes.unflatten(2, (height, width)), bases)
        projected = bases * features
        outputs.append(LevelOutput(features, projected, moments(projected)))
    return outputs


def next_bases(level: Level, planes: Tensor, bases: Tensor) -> Tensor:
    """Planes [B, P, N, N] and the bases before -> bases [B, C, N, N]."""
    mixed = F.relu(normalized(level.bases.mix, planes) + bases)
    return F.relu(normalized(level.bases.refine, mixed))


def transformed(affine: AffinePredictor, moments: Tensor, canonical: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """The shared grid [B, 2, N N] and the planes [B, P, N N] of a level."""
    released, channels = affine.variant == "released", moments.shape[1]
    h = moments
    for i in (0, 0) if released else (0, 1):
        h = F.relu(affine.hidden_norms[i](affine.hidden[i](h)))
    grid = affine.matrix(h).view(-1, 2, 2) @ (grid if released else canonical) + affine.shift(h)[:, :, None]
    scale = affine.channel_scale(h).view(-1, channels, 2)
    if released:
        return grid, scale @ grid + affine.channel_shift(h)[:, :, None]
    shift = affine.channel_shift(h).view(-1, channels, 2)
    rows, columns = (scale[:, :, i, None] * grid[:, i, None] + shift[:, :, i, None] for i in (0, 1))
    return grid, torch.cat([rows, columns], dim=1)


def run_plainly(blocks: torch.nn.Module, x: Tensor) -> Tensor:
    for block in blocks.children():
        assert isinstance(block, Residual)
        h = x
        for i, layer in enumerate(block.layers):
            assert isinstance(layer, ConvNorm)
            h = normalized(layer, F.relu(h) if i else h)
        x = F.relu(h + x)
    return x


def normalized(layer: ConvNorm, x: Tensor) -> Tensor:
    """The convolution and its batch norm, one after the other."""
    return layer.norm(layer.convolution(x))
