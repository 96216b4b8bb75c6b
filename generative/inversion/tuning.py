"""Pivotal tuning (Roich et al. 2021): a generator's own weights follow once the points that draw its images are found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from generative.schedules import half_cosine

BatchLoss = Callable[[], Tensor]  # the summed losses of a batch of images at their pivots


def check_tuning(steps: int, rate: float) -> None:
    """ValueError for a number of steps or a rate that tuning cannot take."""
    if steps < 0:
        raise ValueError(f"tuning_steps must be at least 0, got {steps}")
    if not 0 < rate < math.inf:
        raise ValueError(f"tuning_rate must be positive and finite, got {rate}")


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
