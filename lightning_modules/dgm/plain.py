"""The whole network pixel by pixel, no batch norm merged: what the maps of ``bases.py`` are tested and timed against."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.dgm.layers import ConvNorm, Residual
from lightning_modules.dgm.networks import DGM, Level, LevelOutput, moments
from lightning_modules.dgm.pixels import canonical_pixels, convolved_and_normalized, next_bases, transformed


def walk_plainly(network: DGM, images: Tensor) -> list[LevelOutput]:
    """`DGM.walk` with every grid transformed, convolved and normalised at its pixels, no batch norm merged."""
    assert network.bases is not None
    features = run_plainly(network.blocks, network.stem(images))
    batch, channels, height, width = features.shape
    canonical = canonical_pixels(features)
    bases = network.bases.coordinates(canonical.view(1, 2, height, width))
    for layer in network.bases.layers:
        assert isinstance(layer, ConvNorm)
        bases = F.relu(convolved_and_normalized(layer, bases))
    projected, grid = bases * features, canonical.expand(batch, -1, -1)
    outputs = [LevelOutput(features, projected, moments(projected))]
    for level in network.levels:
        assert isinstance(level, Level)
        before = outputs[-1]
        lifted = convolved_and_normalized(level.projection, before.projected)
        features = run_plainly(level.blocks, F.relu(lifted + before.features))
        if level.affine is None:
            planes = canonical.repeat_interleave(channels, dim=0)[None]  # the same for every image
        else:
            planes, grid = transformed(level.affine, before.moments, canonical, grid)
        bases = next_bases(level.bases, planes, bases)
        projected = bases * features
        outputs.append(LevelOutput(features, projected, moments(projected)))
    return outputs


def run_plainly(blocks: torch.nn.Module, x: Tensor) -> Tensor:
    for block in blocks.children():
        assert isinstance(block, Residual)
        h = x
        for i, layer in enumerate(block.layers):
            assert isinstance(layer, ConvNorm)
            h = convolved_and_normalized(layer, F.relu(h) if i else h)
        x = F.relu(h + x)
    return x
