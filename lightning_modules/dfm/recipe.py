"""How networks are fitted to images, as data: the printed recipe (thesis, section 5.1.3) and the one that trains.

Printed: Adam at 4e-4, constant, 2^14 pixels a step, from a variance of 2e-10. Ours starts from
:func:`~lightning_modules.dfm.start.first_scales` and takes Muon's steps: the features of a layer have constant norm, so a step
of bounded spectral norm is a bound on the change of the layer's output, in every orthonormal basis alike. ``ours_adam`` has
Adam's steps instead. Rates fall with the width w: stable ones of Adam as 2^-w, of Muon as 2^(-w/2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from torch.optim import Adam, Optimizer

from generative.checks import check_choice
from generative.schedules import warmup_cosine
from lightning_modules.dfm.muon import Muon
from lightning_modules.dfm.networks import Shape

OPTIMIZERS = ("adam", "muon")
SCHEDULES = ("constant", "cosine")
STARTS = ("ours", "image", "printed")
WARMUP = 0.02  # of all steps, before the cosine


@dataclass(frozen=True)
class Recipe:
    """Where a fit starts and how it steps; ``rate`` is that of all parameters but the last, which has ``last`` times as much.

    ``start`` is a recipe of :func:`~lightning_modules.dfm.start.scales_of`, or ``image``: ours, with the chi by which the network
    starts at the image's rms frequency (:func:`~lightning_modules.dfm.bandwidth.chi_of_frequency`). ``batch`` are pixels of an
    image a step; ``momentum`` is Muon's, ``betas`` are Adam's.
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
        check_choice("start", self.start, STARTS)
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


def ours_image(shape: Shape) -> Recipe:
    """Ours, from chi by the image in place of 0.3."""
    return replace(ours(shape), name="ours_image", start="image")


def ours_adam(shape: Shape) -> Recipe:
    return Recipe("ours_adam", "adam", 0.128 / 2**shape.width, pixels_a_step(shape), last=4.0)


RECIPES: dict[str, Callable[[Shape], Recipe]] = {
    "printed": printed,
    "ours": ours,
    "ours_image": ours_image,
    "ours_adam": ours_adam,
}


def recipe_of(name: str, shape: Shape) -> Recipe:
    """The recipe of this name for networks of ``shape``; ValueError for a name that there is not."""
    check_choice("recipe", name, RECIPES)
    return RECIPES[name](shape)
