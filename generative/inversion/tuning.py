"""Pivotal tuning (Roich et al. 2021): a generator's own weights follow once the points that draw its images are found.

:func:`tuned_apart` gives every image weights of its own, so that none hangs on the others: their section 3.2. :func:`tuned`
moves one generator for a set of images, as they do for several identities. Edits across images need that: a strip from one
image to another is drawn by one network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from generative.inversion.search import Best, Budget, Found, ImageLoss, Point, descend
from generative.schedules import half_cosine

BatchLoss = Callable[[], Tensor]  # the summed losses of a batch of images at their pivots
Draw = Callable[[Point, Tensor | None], Tensor]  # points [b, ...] of the classes [b] -> images [b, C, H, W]
Weights = dict[str, Tensor]  # each [B, ...]: row b is image b's own
RATE = 0.001  # by default
MOST_BYTES = 2**31  # that the weights of images tuned together take, with their gradients and both moments of Adam
COPIES = 4  # of a weight, which these are


def check_tuning(steps: int, rate: float) -> None:
    """ValueError for a number of steps or a rate that tuning cannot take."""
    if steps < 0:
        raise ValueError(f"tuning_steps must be at least 0, got {steps}")
    if not 0 < rate < math.inf:
        raise ValueError(f"tuning_rate must be positive and finite, got {rate}")


@dataclass(frozen=True)
class Tuning:
    """So many ``steps`` of Adam on weights, none at 0, at a ``rate`` that falls over half a cosine to 0; ValueError for others."""

    steps: int
    rate: float

    def __post_init__(self) -> None:
        check_tuning(self.steps, self.rate)

    @classmethod
    def asked(cls, steps: int, rate: float | None) -> Tuning:
        """As settings ask for it, at RATE where they name none; ValueError for a rate of no steps."""
        if steps == 0 and rate is not None:
            raise ValueError(f"tuning_rate={rate:g} tunes nothing: give tuning_steps, or leave it out")
        return cls(steps, RATE if rate is None else rate)


def tuned_at_once(parameters: Sequence[nn.Parameter], *, most_bytes: int = MOST_BYTES) -> int:
    """So many images have weights of their own within ``most_bytes``; at least one."""
    of_one = COPIES * sum(parameter.numel() * parameter.element_size() for parameter in parameters)
    return max(1, most_bytes // max(of_one, 1))


class OwnWeights(nn.Module):
    """A ``network`` of which every image has the ``parameters`` for itself; ``draw`` is whatever draws by it.

    The network's own stay as they are and gather no gradients. It is held as a part of this module, where an image's weights
    stand in for them while it is drawn.
    """

    def __init__(self, network: nn.Module, parameters: Sequence[nn.Parameter], draw: Draw) -> None:
        super().__init__()
        self.network, self.of_rows = network, draw
        wanted = {id(parameter) for parameter in parameters}
        self.own = {name: parameter for name, parameter in self.named_parameters() if id(parameter) in wanted}
        assert len(self.own) == len(wanted), "all parameters are the network's"

    def copies(self, count: int) -> Weights:
        """The network's weights, ``count`` times: what every image starts with."""
        return {
            name: parameter.detach().expand(count, *parameter.shape).clone().requires_grad_()
            for name, parameter in self.own.items()
        }

    def forward(self, point: Point, labels: Tensor | None) -> Tensor:
        return self.of_rows(point, labels)

    def images(self, weights: Weights, point: Point, labels: Tensor | None) -> Tensor:
        """Images [B, C, H, W] at a ``point`` [B, ...] of the classes ``labels`` [B], each by its own ``weights``, in one pass."""

        def of_one(own: Weights, place: Point, label: Tensor | None) -> Tensor:
            row = {name: part[None] for name, part in place.items()}
            drawn: Tensor = functional_call(self, own, (row, None if label is None else label[None]))
            return drawn[0]

        drawn: Tensor = vmap(of_one, in_dims=(0, 0, None if labels is None else 0))(weights, point, labels)
        return drawn


def tuned_apart(
    drawing: OwnWeights,
    pivots: Point,
    labels: Tensor | None,
    loss: ImageLoss,
    tuning: Tuning,
    *,
    seconds: float | None = None,
    watch: ImageLoss | None = None,
) -> Found:
    """Images at ``pivots`` [B, ...] of the classes ``labels`` [B], each by weights of its own that go down its ``loss``.

    The losses of images are summed and Adam steps number by number, so that a batch gives what its images give one by one.
    The weights are gone afterwards: what counts is what they drew. ``seconds`` and ``watch`` as of
    :func:`generative.inversion.search.search`; with ``watch`` an image that no step brings nearer stays as its pivot draws it.
    """
    first = next(iter(pivots.values()))
    budget = Budget(tuning.steps, seconds, first.device)
    weights, best = drawing.copies(len(first)), None if watch is None else Best(watch)

    def images_now() -> Tensor:
        return drawing.images(weights, pivots, labels)

    def meet(images: Tensor) -> None:
        if best is not None:
            best.meet({"images": images}, images)

    with torch.enable_grad():
        trace = descend(list(weights.values()), images_now, loss, rate=tuning.rate, budget=budget, meet=meet)
        # With gradients, as in the steps: a generator may draw by other operations without, which have no form for each image.
        images = images_now().detach()
    with torch.no_grad():
        meet(images)
        if best is not None and best.point is not None:
            images = best.point["images"]
        return Found(pivots, images, loss(images), trace, budget.elapsed())


@contextmanager
def tuned(
    parameters: Sequence[nn.Parameter], losses: Sequence[BatchLoss], *, num_images: int, steps: int, rate: float
) -> Iterator[None]:
    """Inside, ``parameters`` are tuned by ``steps`` of Adam on the mean loss of ``num_images``, ``losses`` a batch each.

    Afterwards they are what they were to the bit, whatever happens inside. Nothing else moves.
    """
    check_tuning(steps, rate)
    own = [(parameter.detach().clone(), parameter.requires_grad) for parameter in parameters]
    try:
        for parameter in parameters:
            parameter.requires_grad_(True)
        with torch.enable_grad():
            tune(parameters, losses, num_images=num_images, steps=steps, rate=rate)
        for parameter in parameters:
            parameter.requires_grad_(False)
        yield
    finally:
        with torch.no_grad():
            for parameter, (value, required) in zip(parameters, own, strict=True):
                parameter.copy_(value)
                parameter.requires_grad_(required)
                parameter.grad = None


def tune(
    parameters: Sequence[nn.Parameter], losses: Sequence[BatchLoss], *, num_images: int, steps: int, rate: float
) -> None:
    """Adam, its rate over half a cosine to 0. Gradients of the batches add up, so their size changes nothing but memory."""
    optimizer = torch.optim.Adam(parameters, lr=rate)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * half_cosine(step / steps)
        optimizer.zero_grad()
        for loss in losses:
            (loss() / num_images).backward()
        optimizer.step()
