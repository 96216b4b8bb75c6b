"""Which classes a generator is asked for."""

from __future__ import annotations

from torch import Tensor

from lightning_modules.base import Draws, ImageData

LABELS = ("data", "balanced")  # how the classes that an evaluation asks a generator for are shared out


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
