"""A picture of samples of any generator."""

from __future__ import annotations

from pathlib import Path

import torch

from generative.checks import check_at_least
from generative.rendering.images import image_grid, pixel_scale, save_picture
from lightning_modules.base import Draws
from lightning_modules.tasks.samples import draw, labels_for, numbers_in_batches

COLUMNS = 10  # of a grid without classes; of one with classes at most twice as many, unless they are named


def grid(
    method: Draws,
    output: Path,
    *,
    seed: int,
    resolution: int | None = None,
    classes: list[int] | int | None = None,
    rows: int = 8,
    psi: float = 1.0,
) -> list[Path]:
    """A picture of samples, ``rows`` of them in a column for each class, or ten columns without classes.

    ``resolution``: other than the data's, of methods that draw any. ``classes``: which ones, by default the first
    twenty. ``psi`` below 1 truncates, of methods that can.
    """
    check_at_least(1, rows=rows)
    size = method.image_shape[1] if resolution is None else resolution
    if classes is None and method.num_classes > 2 * COLUMNS:
        classes = list(range(2 * COLUMNS))
    labels = labels_for(method, classes, rows)
    count = COLUMNS * rows if labels is None else len(labels)
    images = torch.cat(
        [
            draw(
                method,
                int(numbers[0]),
                len(numbers),
                seed=seed,
                labels=None if labels is None else labels[numbers.to(labels.device)],
                resolution=resolution,
                psi=psi,
            )
            for numbers in numbers_in_batches(count, (method.image_shape[0], size, size))
        ]
    )
    picture = image_grid(images, num_columns=count // rows, scale=pixel_scale(size))
    return [save_picture(picture, output, f"grid_{size}px.png")]
