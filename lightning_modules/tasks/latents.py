"""What the latents of any generator show: the way from the mean image of a class to a sample."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from generative.checks import check_at_least
from generative.rendering.images import image_grid, pixel_scale, save_picture, side_by_side
from lightning_modules.base import HasLatents
from lightning_modules.tasks.samples import draw, labels_for


def truncation(
    method: HasLatents,
    output: Path,
    *,
    seed: int,
    resolution: int = 64,
    classes: list[int] | int | None = None,
    psis: list[float] | None = None,
    rows: int = 4,
) -> list[Path]:
    """A strip a sample over ``psis`` (0, 0.2 .. 1.2): from the mean image of its class (0) to the sample (1) and beyond.

    With classes a row is of one of them; without, ``rows`` samples are drawn.
    """
    check_at_least(1, rows=rows)
    psis = [0.2 * step for step in range(7)] if psis is None else psis
    if not psis or any(not isinstance(psi, int | float) or not math.isfinite(psi) for psi in psis):
        raise ValueError(f"psis is a list of at least one finite number, got {psis}")
    labels = labels_for(method, classes, 1)
    count = rows if labels is None else len(labels)
    strips = [draw(method, 0, count, seed=seed, labels=labels, resolution=resolution, psi=float(psi)) for psi in psis]
    images = torch.stack(strips, dim=1).flatten(0, 1)
    picture = image_grid(images, num_columns=len(psis), scale=pixel_scale(resolution))
    title = "psi = " + ", ".join(f"{psi:g}" for psi in psis)
    return [save_picture(side_by_side([(title, picture)]), output, "truncation.png")]
