"""A generator whose images are linear in its latents, as a space: what a search must find is known."""

from __future__ import annotations

import torch
from torch import Tensor

from generative.inversion.search import Point


class LinearSpace:
    """Images [B, 1, 3, 4], the sum of ``basis`` [D, 1, 3, 4] weighted by the ``code`` [B, D] and ``shift`` [B, 1]."""

    name, rate, num_latents = "linear", 0.1, 1

    def __init__(self, dimensions: int = 12, *, dtype: torch.dtype = torch.float64) -> None:
        rows = torch.randn(12, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.basis = torch.linalg.qr(rows).Q[:dimensions].reshape(dimensions, 1, 3, 4).to(dtype)

    def at(self, latents: Tensor) -> Point:
        return {"code": latents, "shift": torch.zeros_like(latents[:, :1])}

    def units(self) -> dict[str, Tensor]:
        return {"code": torch.tensor(1.0), "shift": torch.tensor(0.5)}

    def draw(self, point: Point) -> Tensor:
        return torch.einsum("bd,dchw->bchw", point["code"], self.basis) + point["shift"][:, :, None, None]
