"""Spectral normalisation (Miyato et al. 2018) whose power iteration is taken when it is asked for, not in every forward pass.

So a step that looks at a batch in parts, or at fakes and at images in turn, has the weights of one that looks once.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

FIRST_ITERATIONS = 15
Layer = TypeVar("Layer", bound=nn.Module)


class Spectral(nn.Module):
    """W -> W / (u^T W v), where u and v are the first singular vectors of W as a matrix [out, the rest] (eq. 8)."""

    left: Tensor
    right: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        rows = weight.detach().flatten(1)
        self.register_buffer("left", F.normalize(torch.randn_like(rows[:, 0]), dim=0))
        self.register_buffer("right", F.normalize(torch.randn_like(rows[0]), dim=0))
        for _ in range(FIRST_ITERATIONS):
            self.advance(weight)

    @torch.no_grad()
    def advance(self, weight: Tensor) -> None:
        """One power iteration for a weight that has moved."""
        rows = weight.flatten(1)
        self.right.copy_(F.normalize(rows.T @ self.left, dim=0))
        self.left.copy_(F.normalize(rows @ self.right, dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        # Products of elements, which no autocast rounds.
        value = (self.left[:, None] * weight.flatten(1) * self.right).sum()
        return weight / value


def spectral(layer: Layer) -> Layer:
    """``layer`` with a weight whose largest singular value is 1."""
    parametrize.register_parametrization(layer, "weight", Spectral(layer.weight))  # type: ignore[arg-type]
    return layer


def advance(network: nn.Module) -> None:
    """One power iteration of every weight of ``network`` that :func:`spectral` holds: once before a step."""
    for layer in network.modules():
        if parametrize.is_parametrized(layer, "weight"):
            weight: Any = layer.parametrizations["weight"]  # type: ignore[index]
            for part in weight:
                if isinstance(part, Spectral):
                    part.advance(weight.original)
