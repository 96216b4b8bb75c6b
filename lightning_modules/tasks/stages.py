"""How a generator came to draw what it draws: the same latents at several times of one run (Figure 2 of PGGAN's paper)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from generative.checks import check_at_least
from generative.rendering.images import image_grid, pixel_scale, save_picture, side_by_side
from lightning_modules.base import Draws
from lightning_modules.tasks.samples import draw, labels_for


def stages(
    method: Draws,
    output: Path,
    *,
    seed: int,
    others: list[Draws],
    rows: int = 8,
    classes: list[int] | int | None = None,
) -> list[Path]:
    """``rows`` samples by the checkpoint and by ``others`` of the same run, a column each, those that saw least first.

    A column states the images seen, and the least pixels a side that show the same: while a generator grows, those of its
    stage. ``callbacks.checkpoints.keep_every_kimg`` keeps the checkpoints of a run. ``classes``: one for all samples, or one
    for each row.
    """
    check_at_least(1, rows=rows)
    for other in others:
        check_same_run(method, other)
    asked = None if classes is None else [classes] * rows if isinstance(classes, int) else classes
    if asked is not None and len(asked) != rows:
        raise ValueError(f"classes names one class for all samples or one for each of the {rows}, got {len(asked)}")
    panels = []
    for model in sorted([method, *others], key=lambda model: model.images_seen):
        labels = labels_for(model, asked, 1) if asked is not None else model.balanced_labels(0, rows)
        images = draw(model, 0, rows, seed=seed, labels=labels)
        side = least_side(images)
        title = f"{side} x {side * images.shape[3] // images.shape[2]}\n{model.images_seen / 1000:g} kimg"
        panels.append((title, image_grid(images, num_columns=1, scale=pixel_scale(images.shape[2]))))
    return [save_picture(side_by_side(panels), output, "stages.png")]


def check_same_run(method: Draws, other: Draws) -> None:
    """ValueError where the same latents mean something else to the other."""
    for name in ("experiment_name", "seed", "method"):
        own, found = method.run_config.get(name), other.run_config.get(name)
        if own != found:
            told = "another method block" if name == "method" else f"{name} {found}, not {own}"
            raise ValueError(
                f"others holds a checkpoint of another run ({told}): give those of the run of the checkpoint"
            )


def least_side(images: Tensor) -> int:
    """Rows of the smallest images of which [B, C, H, W] are enlargements by squares, each pixel 2^k a side."""
    square = 1
    while all(length % (2 * square) == 0 for length in images.shape[2:]):
        pixels = images[..., :: 2 * square, :: 2 * square]
        if not torch.equal(pixels.repeat_interleave(2 * square, 2).repeat_interleave(2 * square, 3), images):
            break
        square *= 2
    return images.shape[2] // square
