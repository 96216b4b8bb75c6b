"""Images of the test split that a task looks at."""

from __future__ import annotations

import torch
from torch import Tensor

from generative.randomness import permutation
from generative.rendering.images import as_floats
from lightning_modules.base import ImageData


def some_numbers(data: ImageData, count: int | None, *, seed: int) -> Tensor:
    """Numbers [count] of test images in the order of ``seed``, or of all, as they come: files may be sorted by class."""
    size = len(data.split("test")[1])
    if count is None:
        return torch.arange(size)
    if not 1 <= count <= size:
        raise ValueError(f"count must be between 1 and {size}, the images of {data.name}'s test split, got {count}")
    return torch.from_numpy(permutation(seed, 0, size)[:count])


def held_out(data: ImageData, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """The test images number ``numbers`` [N]: [N, C, H, W] in [-1, 1], and their labels [N]."""
    images, labels = data.split("test")
    return as_floats(images[numbers]), labels[numbers]
