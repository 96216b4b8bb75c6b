"""Banks of made-up latents."""

from __future__ import annotations

import torch
from torch import Tensor

from generative.latents.bank import Bank


def cloud(*counts: int, dim: int, seed: int = 0) -> Bank:
    """A bank of so many skewed and correlated latents of each class 0, 1, .., in mixed order; a count of 0 leaves a class out."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for label, count in enumerate(counts):
        mixing = torch.randn(dim, dim, generator=generator)
        skewed = torch.randn(count, dim, generator=generator).abs() @ mixing
        parts.append((skewed + 5.0 * label, torch.full((count,), label)))
    latents, labels = (torch.cat(column) for column in zip(*parts, strict=True))
    order = torch.randperm(len(labels), generator=generator)
    return Bank(latents[order], labels[order])


def covariance(rows: Tensor) -> Tensor:
    """That of rows [N, D] which are all there are (divisor N), in the reference's way."""
    return torch.cov(rows.T, correction=0)


def moment_scores(drawn: Tensor, mean: Tensor, sigma: Tensor) -> Tensor:
    """How many standard errors the first two moments of ``drawn`` [M, D] lie from ``mean`` and ``sigma``.

    The errors are taken from the spread of the draws.
    """
    off = drawn - mean
    products = (off[:, :, None] * off[:, None, :]).flatten(1)
    both = torch.cat([off, products - sigma.flatten()], dim=1)
    return both.mean(dim=0) / (both.std(dim=0) / len(drawn) ** 0.5)
