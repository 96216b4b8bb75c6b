"""Adam for a table of which a step sees some rows, beside networks of which it sees all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class RowAdam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1); of a group with ``by_row: true`` only the rows with a gradient move.

    Every row has moments and a count of its own. A latent of a table is seen once an epoch: under the usual Adam it would
    go on moving by old gradients while others are learnt, and its moments would decay. Ranks see different rows, and their
    averaged gradient has the rows of all, so that the tables of all ranks stay the same.
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-8
    ) -> None:
        if not all(0.0 <= beta < 1.0 for beta in betas):
            raise ValueError(f"betas must be at least 0 and below 1, got {list(betas)}")
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "by_row": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.move(parameter, parameter.grad, group)
        return loss

    def move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Move all of ``parameter``, or the rows that have a gradient."""
        state = self.state[parameter]
        if not state:
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
            state["count"] = parameter.new_zeros(len(parameter), 1) if group["by_row"] else parameter.new_zeros(())
        rows = gradient.any(dim=1).nonzero()[:, 0] if group["by_row"] else ...
        gradient, (first, second) = gradient[rows], group["betas"]
        count = state["count"][rows] + 1.0
        mean = state["mean"][rows].lerp(gradient, 1.0 - first)
        square = state["square"][rows].lerp(gradient.square(), 1.0 - second)
        deviation = (square / (1.0 - second**count)).sqrt() + group["eps"]
        moved = parameter[rows] - group["lr"] * (mean / (1.0 - first**count)) / deviation
        for kept, value in [
            (parameter, moved),
            (state["mean"], mean),
            (state["square"], square),
            (state["count"], count),
        ]:
            kept[rows] = value
