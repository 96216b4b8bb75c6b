"""How networks are fitted to images, as data: the printed recipe (thesis, section 5.1.3) and the one that trains.

Printed: Adam at 4e-4, constant, 2^14 pixels a step, from a variance of 2e-10. Ours starts from
:func:`~lightning_modules.dfm.start.first_scales` and takes Muon's steps: the features of a layer have constant norm, so a step
of bounded spectral norm is a bound on the change of the layer's output, in every orthonormal basis alike. ``ours_adam`` has
Adam's steps instead. Rates fall with the width w: stable ones of Adam as 2^-w, of Muon as 2^(-w/2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from generative.checks import check_choice
from generative.schedules import warmup_cosine
from lightning_modules.dfm.networks import Shape

OPTIMIZERS = ("adam", "muon")
SCHEDULES = ("constant", "cosine")
WARMUP = 0.02  # of all steps, before the cosine
SMALLEST = 1e-12  # squared singular values below this share of the largest are directions without a gradient


@dataclass(frozen=True)
class Recipe:
    """Where a fit starts and how it steps; ``rate`` is that of all parameters but the last, which has ``last`` times as much.

    ``start`` is a recipe of :func:`~lightning_modules.dfm.start.scales_of`; ``batch`` are pixels of an image a step;
    ``momentum`` is Muon's, ``betas`` are Adam's.
    """

    name: str
    optimizer: str
    rate: float
    batch: int
    start: str = "ours"
    schedule: str = "cosine"
    last: float = 1.0
    betas: tuple[float, float] = (0.9, 0.99)
    momentum: float = 0.9

    def __post_init__(self) -> None:
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("schedule", self.schedule, SCHEDULES)
        if not self.rate > 0.0 or self.batch < 1:
            raise ValueError(f"rate and batch must be positive, got {self.rate} and {self.batch}")

    def factor(self, step: int, steps: int) -> float:
        """On the rate, at ``step`` of 0 .. steps - 1: 1, or a short warm-up and half a cosine to 0 after the last."""
        if self.schedule == "constant":
            return 1.0
        return warmup_cosine(step + 1, warmup=max(1, round(WARMUP * steps)), end=steps + 1)

    def optimizer_of(self, parameters: Sequence[Tensor]) -> Optimizer:
        """Of ``parameters``, the last of which is the last layer's."""
        groups: list[dict[str, Any]] = [
            {"params": list(parameters[:-1]), "lr": self.rate},
            {"params": [parameters[-1]], "lr": self.last * self.rate},
        ]
        if self.optimizer == "muon":
            return Muon(groups, momentum=self.momentum)
        return Adam(groups, betas=self.betas, fused=True)


def printed(shape: Shape) -> Recipe:
    """Section 5.1.3; betas are JAX's defaults."""
    return Recipe("printed", "adam", 4e-4, 2**14, start="printed", schedule="constant", betas=(0.9, 0.999))


def pixels_a_step(shape: Shape) -> int:
    """Wider networks hear the noise of fewer pixels: at width 8 Adam loses 2 dB with 1024."""
    return 2048 if shape.width <= 6 else 4096


def ours(shape: Shape) -> Recipe:
    return Recipe("ours", "muon", 0.048 / 2 ** (shape.width / 2), pixels_a_step(shape), last=2.0)


def ours_adam(shape: Shape) -> Recipe:
    return Recipe("ours_adam", "adam", 0.128 / 2**shape.width, pixels_a_step(shape), last=4.0)


RECIPES: dict[str, Callable[[Shape], Recipe]] = {"printed": printed, "ours": ours, "ours_adam": ours_adam}


def recipe_of(name: str, shape: Shape) -> Recipe:
    """The recipe of this name for networks of ``shape``; ValueError for a name that there is not."""
    check_choice("recipe", name, RECIPES)
    return RECIPES[name](shape)


def orthogonalized(matrices: Tensor) -> Tensor:
    """The polar factor U V^T of each of [..., rows, columns] = U diag(s) V^T: all singular values become 1.

    Those below 1e-6 of the largest stay below 1, and a matrix of zeros stays one. From the Gram matrix of the shorter side, in
    float64, so that any number of networks takes one call.
    """
    if matrices.shape[-2] < matrices.shape[-1]:
        return orthogonalized(matrices.mT).mT
    tall = matrices.double()
    squares, directions = torch.linalg.eigh(tall.mT @ tall)
    least = (SMALLEST * squares[..., -1:]).clamp(min=torch.finfo(torch.float64).tiny)
    inverse_root = (directions * squares.clamp(min=least).rsqrt()[..., None, :]) @ directions.mT
    return (tall @ inverse_root).to(matrices)


class Muon(Optimizer):
    """W <- W - rate polar(g + momentum (m - g)), m the running mean of gradients g: Nesterov's form, no weight decay.

    As ``torch.optim.Muon`` with its rate divided by sqrt(rows / columns), for matrices [..., rows, columns] of any number of
    networks, with the exact polar factor.
    """

    def __init__(self, parameters: list[dict[str, Any]], *, momentum: float) -> None:
        super().__init__(parameters, {"momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                state = self.state[parameter]
                if not state:
                    state["mean"] = torch.zeros_like(gradient)
                mean = state["mean"].lerp_(gradient, 1.0 - group["momentum"])
                update = orthogonalized(gradient.lerp(mean, group["momentum"]))
                parameter.add_(update, alpha=-group["lr"])
