"""A search for the point of a space that draws a given image, of many images at once.

Every image of a batch is looked for on its own. Losses are summed over images and Adam steps number by number, so the
size of a batch changes nothing but speed. A search knows neither classes nor grids nor masks: the space of a batch
holds the first two, the loss the last.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from generative.inversion.measurements import Measurement
from generative.schedules import half_cosine

Point = dict[str, Tensor]  # each [B, ...]: row b belongs to image b alone
ImageLoss = Callable[[Tensor], Tensor]  # images [B, C, H, W] -> the loss of each [B]
Made = TypeVar("Made")
LEAST = 1e-9  # seconds of a search whose time is over: it takes a step


class Space(Protocol):
    """Where a generator's images can be looked for. It holds the classes and the grid of one batch of images."""

    name: str
    rate: float  # of Adam in `units`, unless another is asked for

    num_latents: int  # that a point is made of

    def at(self, latents: Tensor) -> Point:
        """The point that draws what ``latents`` [B, ...] of the generator's prior draw; without gradients.

        Where a point is made of several, [B, num_latents, ...].
        """

    def units(self) -> dict[str, Tensor]:
        """The length in which an optimiser steps, of each part of a point: shapes that go with the part's [B, ...]."""

    def draw(self, point: Point) -> Tensor:
        """Images [B, C, H, W]. Gradients flow to the point, and rows do not touch each other."""


@runtime_checkable
class SharedSpace(Space, Protocol):
    """One whose images are drawn by several codes together."""

    def shares(self, point: Point) -> Tensor:
        """How much each code draws at each place: [B, N, h, w], of sum 1 over codes; without gradients."""

    def alone(self, point: Point) -> Tensor:
        """What each code draws without the others: [B, N, C, H, W]; without gradients."""


def settings_of(kind: Callable[..., Any], *given: str) -> list[str]:
    """The parameters of a kind of space beside what is ``given``: what a user may set."""
    return [name for name in inspect.signature(kind).parameters if name not in given]


def space_with(kind: Callable[..., Made], settings: Mapping[str, Any] | None, **given: Any) -> Made:
    """The space that ``kind`` makes of what is ``given`` and of a user's ``settings``; ValueError for one that it does not take."""
    known = settings_of(kind, *given)
    for name in settings or {}:
        if name not in known:
            raise ValueError(f"this space has no setting {name}: it takes {', '.join(known) or 'none'}")
    return kind(**given, **(settings or {}))


@dataclass(frozen=True)
class Found:
    """Where a search ended: the images of ``point`` have the ``losses`` [B] after as many steps as ``trace`` [S, B] has rows.

    Row s of ``trace`` are the losses before step s. ``seconds`` are those of the whole batch.
    """

    point: Point
    images: Tensor  # [B, C, H, W]
    losses: Tensor
    trace: Tensor
    seconds: float


class Budget:
    """How much of a search is done: of ``steps``, or of ``seconds`` where the time runs out first."""

    def __init__(self, steps: int, seconds: float | None, device: torch.device) -> None:
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        if seconds is not None and not 0 < seconds < math.inf:
            raise ValueError(f"seconds must be positive and finite, got {seconds}: leave it out for no limit")
        self.steps, self.limit, self.device = steps, seconds, device
        self.started = time.perf_counter()

    def elapsed(self) -> float:
        """Seconds since the start, when the device has done what it was asked for."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - self.started

    def progress(self) -> Iterator[float]:
        """The share of the budget that is spent, in [0, 1), before each step; at least one step is taken."""
        for step in range(self.steps):
            spent = step / self.steps
            if self.limit is not None:
                timed = self.elapsed() / self.limit
                if timed >= 1 and step > 0:
                    return
                spent = max(spent, min(timed, 1.0))
            yield spent


class Allowance:
    """At most ``seconds`` (None: any) for an amount of ``work``, shared out piece by piece in proportion to the work of each.

    What a piece takes is measured, whatever it does. One that is early leaves the rest to the others; one that is late has
    taken from them, but leaves each a step.
    """

    def __init__(self, seconds: float | None, work: float) -> None:
        self.seconds, self.work = seconds, work

    @contextmanager
    def of(self, work: float) -> Iterator[float | None]:
        """The seconds of a piece of so much ``work``, which is done inside."""
        started = time.perf_counter()
        yield None if self.seconds is None else max(LEAST, self.seconds * min(work / self.work, 1.0))
        self.work -= work
        if self.seconds is not None:
            self.seconds -= time.perf_counter() - started


@dataclass
class Best:
    """The parts of a point [B, ...] at which ``loss`` was least so far, image by image."""

    loss: ImageLoss
    least: Tensor | None = None  # [B]
    point: Point | None = None

    @torch.no_grad()
    def meet(self, point: Point, images: Tensor) -> None:
        """Take the rows of a ``point`` that are better than all before; ``images`` is what it draws."""
        losses = self.loss(images)
        if self.least is None or self.point is None:
            self.least, self.point = losses, {name: part.detach().clone() for name, part in point.items()}
            return
        better = losses < self.least
        self.least = torch.where(better, losses, self.least)
        for name, part in point.items():
            self.point[name][better] = part.detach()[better]


def search(
    space: Space,
    loss: ImageLoss,
    start: Point,
    *,
    steps: int,
    rate: float | None = None,
    seconds: float | None = None,
    watch: ImageLoss | None = None,
) -> Found:
    """Adam from ``start`` down the ``loss``, ``rate`` (by default the space's) in the space's units, over half a cosine to 0.

    With ``seconds`` it ends after that time at the latest, give or take a step, and the rate falls by the clock
    where that runs out before the ``steps``; at least one step is taken. With ``watch`` each image is taken from the step
    at which that loss of it was least: of known pixels that the search does not see, it says when a step no longer helps
    the hole.
    """
    rate = space.rate if rate is None else rate
    if not 0 < rate < math.inf:
        raise ValueError(f"rate must be positive and finite, got {rate}")
    units = space.units()
    assert units.keys() == start.keys()
    offsets = {name: torch.zeros_like(part, requires_grad=True) for name, part in start.items()}
    budget = Budget(steps, seconds, next(iter(start.values())).device)
    best = None if watch is None else Best(watch)

    def here() -> Point:
        return {name: start[name] + units[name] * offset for name, offset in offsets.items()}

    def meet(images: Tensor) -> None:
        if best is not None:
            best.meet(here(), images)

    trace = descend(list(offsets.values()), lambda: space.draw(here()), loss, rate=rate, budget=budget, meet=meet)
    with torch.no_grad():
        point = here()
        images = space.draw(point)
        meet(images)
        if best is not None and best.point is not None:
            point, images = best.point, space.draw(best.point)
        return Found(point, images, loss(images), trace, budget.elapsed())


def descend(
    variables: Sequence[Tensor],
    images_now: Callable[[], Tensor],
    loss: ImageLoss,
    *,
    rate: float,
    budget: Budget,
    meet: Callable[[Tensor], None],
) -> Tensor:
    """Adam on ``variables`` down the summed ``loss`` of what they draw, ``rate`` over half a cosine to 0: the trace [S, B].

    ``meet`` is shown the images before each step.
    """
    optimizer, trace = torch.optim.Adam(variables, lr=rate), []
    for spent in budget.progress():
        optimizer.param_groups[0]["lr"] = rate * half_cosine(spent)
        images = images_now()
        losses = loss(images)
        meet(images)
        # Of the variables alone: a generator's own weights gather no gradients, even where they are not frozen. Some draw
        # nothing, as the layers to images of the sizes that a generator has grown out of.
        gradients = torch.autograd.grad(losses.sum(), variables, allow_unused=True)
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.grad = gradient
        optimizer.step()
        trace.append(losses.detach())
    return torch.stack(trace)


@torch.no_grad()
def nearest(drawn: Tensor, targets: Tensor, *, through: Measurement, count: int = 1) -> Tensor:
    """For each of ``targets`` [B, C, H, W] the numbers of the ``count`` nearest of ``drawn`` [K, C, H, W], as far as it is known.

    int64 [B, count], the nearest first.

    One of ``drawn`` after the other, since each target may be known by pixels of its own.
    """
    known = through(targets)
    distances = [(through(one.expand_as(targets)) - known).square().flatten(1).sum(dim=1) for one in drawn]
    return torch.stack(distances, dim=1).argsort(dim=1, stable=True)[:, :count]
