"""Which classes a generator is asked for, and whether what it drew is finite."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_modules.base import Draws, ImageData

LABELS = ("data", "balanced")  # how the classes that an evaluation asks a generator for are shared out


def in_turn(cycle: Tensor | None, first: int, count: int) -> Tensor | None:
    """The labels [count] that a `Draws.label_cycle` has for the images ``first .. first + count - 1``."""
    return None if cycle is None else cycle[torch.arange(first, first + count, device=cycle.device) % len(cycle)]


def check_labels_setting(value: object) -> None:
    if value not in LABELS:
        raise ValueError(f"labels must be {' or '.join(LABELS)}, got {value!r}")


def labels_to_follow(method: Draws, data: ImageData, choice: str) -> Tensor | None:
    """The training labels [N] whose shares the samples are to have; None for balanced classes and for none at all."""
    check_labels_setting(choice)
    if choice == "balanced" or method.num_classes == 0:
        return None
    try:
        return data.split("train")[1]
    except ValueError as error:
        raise ValueError(
            f"labels=data needs the training labels: {error}; labels=balanced does without them"
        ) from error


def check_finite(images: Tensor, *, first: int) -> None:
    """ValueError that names the first of the samples ``first ..``, [B, C, H, W], with pixels that are not finite."""
    finite = images.flatten(1).isfinite().all(dim=1)
    if not finite.all():
        number = first + int((~finite).nonzero()[0])
        raise ValueError(f"sample number {number} has pixels that are not finite: the generator diverged")
