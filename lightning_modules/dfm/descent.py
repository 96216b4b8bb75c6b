"""One loop that fits any family of functions of the position to images, many images in one program."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, repeat
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from generative.randomness import Stream
from lightning_modules.dfm.compilation import compiled_where_possible
from lightning_modules.dfm.recipe import Recipe

TRIAL = 0.04  # of a budget in seconds, in which the pace of a step is found
REPORTS = 50  # of progress, in a fit
POINTS_AT_ONCE = 2**14  # of all networks together, where images are drawn
STEPS_AT_ONCE = 16  # whose pixels are drawn together, at most
PIXELS_AT_ONCE = 2**17  # of all images and of such steps together


class Family(Hashable, Protocol):
    """Functions of the position: points [..., P, 2] and parameters [N, ...] each -> colours [N, P, C].

    Two families that compare equal are one program, and compiled once.
    """

    def __call__(self, points: Tensor, parameters: Sequence[Tensor]) -> Tensor: ...


@dataclass(frozen=True)
class Budget:
    """How long a fit takes: a number of steps, or of CPU seconds of this process without those of compilation.

    Of seconds, 4 % find the pace of a step on a copy, and the rest is as many steps as fit in; the record of the fit says how
    many, and the same number of steps repeats it. On a GPU they are seconds of the clock.
    """

    steps: int | None = None
    cpu_seconds: float | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.steps, self.cpu_seconds) if value is not None]
        if len(given) != 1 or not given[0] > 0:
            raise ValueError(f"a budget is a positive number of steps or of cpu_seconds, one of them, got {self}")


@dataclass(frozen=True)
class Progress:
    """What a fit says on its way: steps done, of all; the mean squared error of the step; seconds gone, and left."""

    step: int
    steps: int
    error: float
    seconds: float
    seconds_left: float


Watch = Callable[[Progress], None]


@dataclass(frozen=True)
class Pixels:
    """N images: ``points`` [P, 2] and ``targets`` [N, P, C] in [-1, 1], and the places [K] of those pixels that are ``known``.

    A step takes known pixels that are a function of (``seed``, number of the image, step), so that an image is fitted with the
    same pixels alone and among others.
    """

    points: Tensor
    targets: Tensor
    known: Tensor
    numbers: Sequence[int]
    seed: int

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Points [N, size, 2] and targets [N, size, C] a step, with replacement; all known, [K, 2], where ``size`` is K or more."""
        if size >= len(self.known):
            every = self.points[self.known], self.targets[:, self.known]
            yield from repeat(every)
        images, known = len(self.targets), len(self.known)
        streams = [Stream(self.seed, f"pixels of image {number}") for number in self.numbers]
        colours = self.targets.flatten(0, 1)
        first_pixels = len(self.points) * torch.arange(images, device=self.points.device)[:, None]
        ahead = max(1, min(STEPS_AT_ONCE, PIXELS_AT_ONCE // (images * size)))
        for step in count(0, ahead):
            drawn = np.stack([stream.bits(step, ahead, size) for stream in streams], axis=1) % np.uint64(known)
            places = self.known[torch.from_numpy(drawn.astype(np.int64)).to(self.known.device)]
            points = self.points.index_select(0, places.flatten()).view(*places.shape, -1)
            targets = colours.index_select(0, (places + first_pixels).flatten()).view(*places.shape, -1)
            yield from zip(points, targets, strict=True)


@dataclass(frozen=True)
class Course:
    """Where a descent ended: the parameters of the last step, never of the best, and what it took."""

    parameters: list[Tensor]
    steps: int
    seconds: float
    preparation_seconds: float
    program: str


def squared_error(family: Family) -> Callable[..., Tensor]:
    """The mean over pixels and channels, summed over images: each network's gradient is what it is alone."""

    def error(points: Tensor, targets: Tensor, *parameters: Tensor) -> Tensor:
        return (family(points, parameters) - targets).square().mean(dim=(-2, -1)).sum()

    return error


@lru_cache(maxsize=64)
def compiled_error(family: Family) -> tuple[Callable[..., Tensor], str]:
    return compiled_where_possible(squared_error(family))


def seconds_of(device: torch.device) -> float:
    """CPU seconds of this process; where a GPU computes, seconds of the clock, after what it was given."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


class Descent:
    """Steps of ``recipe`` down ``error`` from copies of ``start``, step by step."""

    def __init__(self, start: Sequence[Tensor], pixels: Pixels, recipe: Recipe, error: Callable[..., Tensor]) -> None:
        self.parameters = [parameter.clone().requires_grad_() for parameter in start]
        self.error, self.recipe = error, recipe
        self.batches = pixels.batches(recipe.batch)
        self.optimizer = recipe.optimizer_of(self.parameters)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]

    def step(self, number: int, steps: int) -> Tensor:
        """The error before it."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * self.recipe.factor(number, steps)
        self.optimizer.zero_grad()
        found = self.error(*next(self.batches), *self.parameters)
        found.backward()
        self.optimizer.step()
        return found.detach()


def steps_within(seconds: float, trial: Descent, device: torch.device) -> int:
    """How many steps fit into ``seconds``, by the pace of a ``trial`` that takes a few of them."""
    begun, done, taken = seconds_of(device), 0, 0.0
    while taken < TRIAL * seconds:
        trial.step(done, steps=1000)
        done += 1
        taken = seconds_of(device) - begun
    return max(1, int((seconds - taken) / (taken / done)))


def descend(
    family: Family,
    start: Sequence[Tensor],
    pixels: Pixels,
    recipe: Recipe,
    budget: Budget,
    *,
    compiled: bool = True,
    watch: Watch | None = None,
) -> Course:
    """Fits ``family`` to ``pixels`` from ``start``, compiled where that is asked for and possible.

    Repeatable to the bit on one machine by its number of steps. The first compilation of a family takes ten seconds and more,
    which are not of the budget.
    """
    device = pixels.points.device
    error, program = compiled_error(family) if compiled else (squared_error(family), "eager")
    begun = seconds_of(device)
    trial = Descent(start, pixels, recipe, error)
    trial.step(0, steps=1000)
    ready = seconds_of(device)
    if budget.steps is not None:
        steps = budget.steps
    else:
        assert budget.cpu_seconds is not None
        steps = steps_within(budget.cpu_seconds, trial, device)
    descent = Descent(start, pixels, recipe, error)
    for step in range(steps):
        found = descent.step(step, steps)
        if watch is not None and (step + 1) % max(1, steps // REPORTS) == 0:
            taken = seconds_of(device) - ready
            left = taken / (step + 1) * (steps - step - 1)
            watch(Progress(step + 1, steps, float(found) / len(pixels.targets), taken, left))
    ended = seconds_of(device)
    parameters = [parameter.detach() for parameter in descent.parameters]
    return Course(parameters, steps, ended - ready, ready - begun, program)


@torch.no_grad()
def drawn(family: Family, parameters: Sequence[Tensor], points: Tensor) -> Tensor:
    """Colours at all ``points`` [K, 2] of each of N functions, some points at a time: [N, K, C]."""
    at_once = max(1, POINTS_AT_ONCE // len(parameters[0]))
    return torch.cat([family(part, parameters) for part in points.split(at_once)], dim=1)
