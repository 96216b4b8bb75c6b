"""Muon (Jordan et al. 2024) with the exact polar factor: a step moves every direction of a gradient's span by the rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.optim import Optimizer

SMALLEST = 1e-12  # squared singular values below this share of the largest are directions without a gradient

Polar = Callable[[Sequence[Tensor]], list[Tensor]]


def polar_factors(matrices: Sequence[Tensor]) -> list[Tensor]:
    """The polar factor U V^T of each of several [..., rows, columns] = U diag(s) V^T: all singular values become 1.

    Those below 1e-6 of the largest of a matrix stay below 1, and a matrix of zeros stays one. The axes in front may differ from
    tensor to tensor. From the Gram matrices of the shorter sides, in float64, filled up with zeros to one size, so that any
    number of layers and networks takes one call.
    """
    wide = [(matrix if matrix.shape[-2] <= matrix.shape[-1] else matrix.mT).double() for matrix in matrices]
    most = max(matrix.shape[-2] for matrix in wide)
    grams = [pad(part @ part.mT, (0, most - part.shape[-2]) * 2).view(-1, most, most) for part in wide]
    squares, directions = torch.linalg.eigh(torch.cat(grams))
    least = (SMALLEST * squares[:, -1:]).clamp(min=torch.finfo(torch.float64).tiny)
    roots = (directions * squares.clamp(min=least).rsqrt()[:, None]) @ directions.mT
    found = []
    for given, part, root in zip(matrices, wide, roots.split([len(gram) for gram in grams]), strict=True):
        side = part.shape[-2]
        factor = root[:, :side, :side].reshape(*part.shape[:-1], side) @ part
        found.append((factor if given.shape == factor.shape else factor.mT).to(given))
    return found


class Muon(Optimizer):
    """W <- W - rate polar(g + momentum (m - g)), m the running mean of gradients g: Nesterov's form, no weight decay.

    As ``torch.optim.Muon`` with its rate divided by sqrt(max(1, rows / columns)), for matrices [..., rows, columns] of any
    number of layers and networks. ``polar`` takes the place of :func:`polar_factors`, such as the same compiled.
    """

    def __init__(self, parameters: list[dict[str, Any]], *, momentum: float, polar: Polar = polar_factors) -> None:
        super().__init__(parameters, {"momentum": momentum})
        self.polar = polar

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        places = [(parameter, group) for group in self.param_groups for parameter in group["params"]]
        updates = []
        for parameter, group in places:
            gradient, state = parameter.grad, self.state[parameter]
            if not state:
                state["mean"] = torch.zeros_like(gradient)
            mean = state["mean"].lerp_(gradient, 1.0 - group["momentum"])
            updates.append(gradient.lerp(mean, group["momentum"]))
        for (parameter, group), update in zip(places, self.polar(updates), strict=True):
            parameter.add_(update, alpha=-group["lr"])
