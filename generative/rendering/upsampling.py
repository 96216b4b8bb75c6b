"""Classical upsampling on the grid of :func:`~generative.rendering.coordinates.coordinate_grid`: corners on corners."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LANCZOS_LOBES = 3


def nearest_weights(offsets: Tensor) -> Tensor:
    return F.one_hot(offsets.abs().argmin(dim=1), offsets.shape[1]).to(offsets.dtype)


def lanczos_weights(offsets: Tensor) -> Tensor:
    """sinc(t) sinc(t / 3) for |t| < 3, each row brought to the sum 1: what lies beyond the border weighs nothing."""
    kernel = torch.sinc(offsets) * torch.sinc(offsets / LANCZOS_LOBES) * (offsets.abs() < LANCZOS_LOBES)
    return kernel / kernel.sum(dim=1, keepdim=True)


WEIGHTS = {"nearest": nearest_weights, "lanczos": lanczos_weights}
METHODS = ("nearest", "bilinear", "bicubic", "lanczos")


def upsample(images: Tensor, resolution: int, *, method: str) -> Tensor:
    """Images [B, C, H, W] at ``resolution`` squared, their corner pixels on the corner pixels.

    So they show what a coordinate network draws on its own grid; upsamplers that align the pixels' borders instead
    (``align_corners=False``, Pillow) are a zoom of several per cent away from it.
    """
    if method not in METHODS:
        raise ValueError(f"there is no upsampling {method!r}: choose one of {', '.join(METHODS)}")
    if resolution < max(images.shape[2:]):
        raise ValueError(f"resolution must be at least that of the images, {max(images.shape[2:])}, got {resolution}")
    if method not in WEIGHTS:
        return F.interpolate(images, size=resolution, mode=method, align_corners=True)

    def weights(length: int) -> Tensor:
        """[resolution, length]: an output pixel's share in each pixel of an image's side."""
        steps = torch.arange(resolution, dtype=torch.float64) * (length - 1) / (resolution - 1)
        offsets = steps[:, None] - torch.arange(length)
        return WEIGHTS[method](offsets).to(images)

    height, width = images.shape[2:]
    return weights(height) @ images @ weights(width).T
