"""What every prior of latents is: a law in any dimension, drawn by addressed random numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from generative.randomness import Stream


class Prior(ABC):
    """A law of latents z of ``dim`` numbers; a configuration names it and its parameters, never the dimension.

    ``is_isotropic``: z = r v with v uniform on the sphere, so only the law of the norm tells it from the normal one.
    """

    is_isotropic: bool = False

    def sample(self, first: int, count: int, dim: int, stream: Stream) -> Tensor:
        """Latents number ``first .. first + count - 1`` of a stream: float32 [count, dim], each a function of its number.

        ValueError for a dimension below 1.
        """
        if dim < 1:
            raise ValueError(f"latents have a dimension of at least 1, got {dim}")
        return self.draw(first, count, dim, stream).to(torch.float32)

    @abstractmethod
    def draw(self, first: int, count: int, dim: int, stream: Stream) -> Tensor:
        """What :meth:`sample` returns, of any floating type; ``dim`` is at least 1."""


def directions(first: int, count: int, dim: int, stream: Stream) -> Tensor:
    """Points uniform on the unit sphere: float64 [count, dim]."""
    normal = stream.normal(first, count, dim).double()
    return normal / normal.norm(dim=1, keepdim=True)
