"""Images turned, scaled and sheared about their centre."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

FILLS = {"reflection": "reflection", "grey": "zeros"}  # what comes in at the border -> its name in torch


def rotation(degrees: float) -> Tensor:
    """Of offsets (x to the right, y down) from the centre, counter-clockwise as seen: [2, 2] in float64."""
    angle = math.radians(degrees)
    return torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]], dtype=torch.float64)


def scaling(factor: float) -> Tensor:
    """Objects ``factor`` times as large: [2, 2] in float64."""
    return factor * torch.eye(2, dtype=torch.float64)


def shearing(amount: float) -> Tensor:
    """(x, y) -> (x + amount y, y): [2, 2] in float64."""
    return torch.tensor([[1.0, amount], [0.0, 1.0]], dtype=torch.float64)


def warped(images: Tensor, matrix: Tensor, *, fill: str) -> Tensor:
    """Images [B, C, H, W] whose point p from the centre, in pixels, goes to ``matrix`` p: bilinear, the border ``fill``."""
    if fill not in FILLS:
        raise ValueError(f"unknown fill {fill!r}: choose one of {', '.join(FILLS)}")
    height, width = images.shape[2:]
    halves = torch.tensor([width, height], dtype=torch.float64)
    # A pixel of the result asks where it came from, in halves of a side.
    back = torch.linalg.inv(matrix) * halves / halves[:, None]
    theta = F.pad(back, (0, 1)).expand(len(images), -1, -1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    # In double: in float positions err by enough to blur what a turn by 90 degrees leaves sharp.
    turned = F.grid_sample(images.double(), grid, mode="bilinear", padding_mode=FILLS[fill], align_corners=False)
    return turned.to(images.dtype)
