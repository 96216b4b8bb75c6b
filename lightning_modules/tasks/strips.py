"""Strips of images along paths of latents: through the origin, and between two codes and beyond."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from generative.checks import check_at_least
from generative.priors.paths import path_points
from generative.rendering.images import image_grid, pixel_scale, save_picture, stacked
from lightning_modules.base import HasLatents
from lightning_modules.tasks.latent_models import check_paths, drawn_by, prior_name, prior_settings, sampling_alone
from metrics.combinations import code
from metrics.samples import check_finite

DEFAULT_PATHS = ("linear", "variance_preserving")
STEPS = 10  # of a strip from 0 to 1


def strip(
    method: HasLatents,
    output: Path,
    *,
    seed: int,
    others: list[HasLatents] | None = None,
    rows: int = 4,
    lambdas: list[float] | None = None,
    paths: list[str] | None = None,
) -> list[Path]:
    """``rows`` codes along lines through the origin, and along paths to another code; a column for each of ``lambdas``.

    ``strip_origin.png`` goes from z to -z, straight (Figure 4.5), a panel for each model: the checkpoint and ``others``,
    checkpoints such as those of other priors. ``strip_between.png`` goes from one code to another (Figure 4.6), a panel for
    each model and each of ``paths``. ``lambdas``, 0, 0.1 .. 1 by default, may lie beyond the ends 0 and 1. The codes are the
    samples of ``seed``. Each image is drawn by itself, on the running averages of a batch norm: a strip that is drawn as a
    batch would be normalised by itself.
    """
    check_at_least(1, rows=rows)
    lambdas = check_lambdas([step / STEPS for step in range(STEPS + 1)] if lambdas is None else lambdas)
    paths = check_paths(list(DEFAULT_PATHS) if paths is None else paths)
    through, between = [], []
    for model in [method, *(others or [])]:
        start, end = (code(model, 0, rows, place=place, seed=seed) for place in range(2))
        title = title_of(model)
        points = path_points(start, -start, lambdas, path="linear", prior=model.prior)
        through.append((f"{title}, from z to -z", strip_picture(model, points)))
        for path in paths:
            points = path_points(start, end, lambdas, path=path, prior=model.prior)
            between.append((f"{title}, {path.replace('_', ' ')}", strip_picture(model, points)))
    columns = ": lambda = " + ", ".join(f"{amount:g}" for amount in lambdas)
    return [
        save_picture(stacked([(title + columns, picture) for title, picture in panels]), output, f"strip_{name}.png")
        for name, panels in (("origin", through), ("between", between))
    ]


def check_lambdas(lambdas: list[float]) -> list[float]:
    if not lambdas or any(not isinstance(amount, int | float) or not math.isfinite(amount) for amount in lambdas):
        raise ValueError(f"lambdas is a list of at least one finite number, got {lambdas}")
    return lambdas


def title_of(model: HasLatents) -> str:
    """The model's prior, with those of its settings that are not null, and how long it was trained."""
    settings = ", ".join(part for part in prior_settings(model).split(", ") if part and not part.endswith("=null"))
    return f"{prior_name(model.prior)}{f' ({settings})' if settings else ''}, {model.images_seen / 1000:g} kimg"


@torch.no_grad()
def strip_images(model: HasLatents, points: Tensor) -> Tensor:
    """Latents [L, rows, dim] -> images [rows, L, C, H, W] on the CPU, each drawn by itself; the codes of a row share a class."""
    labels = model.balanced_labels(0, points.shape[1])
    with drawn_by(model, sampling_alone(model)):
        columns = [model.decode(latents, labels).cpu() for latents in points]
    images = torch.stack(columns, dim=1)
    check_finite(images, first=0)
    return images


def strip_picture(model: HasLatents, points: Tensor) -> Image.Image:
    """A row a code, a column a point."""
    images = strip_images(model, points)
    return image_grid(images.flatten(0, 1), num_columns=len(points), scale=pixel_scale(images.shape[-1]))
