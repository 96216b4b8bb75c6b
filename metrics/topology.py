"""Pieces and holes of drawn shapes: a count that no texture satisfies."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

PIECES = np.ones((3, 3), dtype=bool)  # eight neighbours: strokes that touch at a corner are one
HOLES = ndimage.generate_binary_structure(2, 1)  # four, so that nothing leaks through such a corner


def shapes(images: Tensor, *, threshold: float, enlarge: int) -> Tensor:
    """What is brighter than ``threshold`` in images [N, 1, H, W]: bools [N, enlarge * H, enlarge * W].

    A stroke of small images is thinner than their pixels; between them it is read bilinearly.
    """
    if images.shape[1] != 1:
        raise ValueError(f"shapes are told apart by their brightness, and these images have {images.shape[1]} channels")
    if enlarge > 1:
        images = F.interpolate(images.float(), scale_factor=enlarge, mode="bilinear", align_corners=False)
    return images[:, 0] > threshold


def pieces_and_holes(shapes: Tensor) -> Tensor:
    """Connected pieces, and holes in them, of each shape: bools [N, H, W] -> int64 [N, 2].

    The Euler number is their difference. What touches the image's border is no hole.
    """
    counts = []
    for shape in np.asarray(shapes.cpu()):
        pieces = ndimage.label(shape, structure=PIECES)[1]
        outside = np.pad(~shape, 1, constant_values=True)  # all around, one region
        counts.append((pieces, ndimage.label(outside, structure=HOLES)[1] - 1))
    return torch.tensor(counts, dtype=torch.long).view(-1, 2)


def total_variation(a: Tensor, b: Tensor) -> float:
    """1/2 sum_t |p(t) - q(t)| between the shares of the rows of int64 [N, 2] and [M, 2]: 0 alike, 1 disjoint."""
    rows, kind = torch.cat([a, b]).unique(dim=0, return_inverse=True)
    p, q = (torch.bincount(part, minlength=len(rows)) / len(part) for part in kind.split([len(a), len(b)]))
    return float(0.5 * (p - q).abs().sum())


def distance_and_floor(generated: Tensor, real: Tensor, *, splits: int, seed: int) -> tuple[float, float]:
    """Total variation of generated from real rows, and of real from real ones: means over ``splits`` random halves.

    Both are of as many against as many, half of the real ones: of finite samples the distance is never 0, and the
    floor is what two draws of the same distribution show.
    """
    half = min(len(real) // 2, len(generated))
    if half < 1:
        raise ValueError("a distance needs two real and one generated image of each class at least")
    random = np.random.default_rng(seed)
    distances, floors = [], []
    for _ in range(splits):
        order = torch.from_numpy(random.permutation(len(real)))
        first, second = real[order[:half]], real[order[half : 2 * half]]
        some = generated[torch.from_numpy(random.permutation(len(generated))[:half])]
        distances.append(total_variation(some, first))
        floors.append(total_variation(second, first))
    return float(np.mean(distances)), float(np.mean(floors))
