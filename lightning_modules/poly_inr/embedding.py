"""Embedded images interpolate and mix with samples (section 6.4.2, Figures 6.10 and 6.11)."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from generative.checks import check_at_least
from generative.inversion.search import Found
from generative.inversion.tuning import Tuning
from generative.rendering.images import image_grid, pixel_scale, save_picture, side_by_side
from lightning_modules.base import ImageData
from lightning_modules.poly_inr.mixing import check_levels, mixing_table, spelt
from lightning_modules.poly_inr.module import PolyINR
from lightning_modules.poly_inr.tasks import draw_affine, render
from lightning_modules.tasks.originals import open_originals
from lightning_modules.tasks.search import Inversion, Targets, check_space, make_objective


def edit(
    method: PolyINR,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    images: list[int] | int | str | None = None,
    count: int = 4,
    classes: list[int] | int | None = None,
    fit: bool = False,
    levels: list[int] | int | None = None,
    resolution: int = 64,
    frames: int = 8,
    space: str = "affine",
    steps: int = 200,
    rate: float | None = None,
    perceptual: float | None = None,
    tuning_steps: int = 0,
    tuning_rate: float | None = None,
    batch_size: int = 16,
) -> list[Path]:
    """Embedded images with samples of their class: a strip of ``frames`` from each to its sample, and tables of mixed levels.

    ``images``, ``count``, ``classes`` and ``fit`` as in `invert`: images of another set are out of distribution. They are
    embedded in ``space``; with ``tuning_steps`` the synthesis network is tuned on them first, and put back at the end.
    """
    tuning = Tuning.asked(tuning_steps, tuning_rate)
    check_at_least(2, frames=frames)
    check_space(method, space)
    groups = check_levels(method, levels)
    originals = open_originals(method, datamodule, images=images, count=count, classes=classes, fit=fit)
    objective = make_objective(method, pixel="l2", perceptual=perceptual)
    inversion = Inversion(method, objective, seed=seed, steps=steps, rate=rate, batch_size=batch_size)
    targets = inversion.with_classes(Targets(*originals))
    found = inversion.embed(targets, space=space)
    embedded = affine_of(inversion, targets, found, space=space)
    samples = draw_affine(method, len(embedded), seed=seed, labels=targets.labels)
    with inversion.tuned(targets, found, space=space, steps=tuning.steps, rate=tuning.rate):
        strip = strip_to_samples(method, targets.images, embedded, samples, resolution=resolution, frames=frames)
        written = [save_picture(strip, output, "edit_interpolate.png")]
        for group in groups:
            table = mixing_table(method, samples, embedded, group, resolution=resolution)
            written.append(save_picture(table, output, f"edit_mix_levels_{spelt(group)}.png"))
    return written


@torch.no_grad()
def affine_of(inversion: Inversion, targets: Targets, found: list[Found], *, space: str) -> Tensor:
    """The points that were found in ``space`` as affine parameters [N, levels, 3, n]."""
    method = inversion.method
    assert isinstance(method, PolyINR)
    return torch.cat(
        [method.space(space, b.labels, samples=inversion.samples).affine(f.point) for b, f in targets.beside(found)]
    )


def strip_to_samples(
    method: PolyINR, originals: Tensor, embedded: Tensor, samples: Tensor, *, resolution: int, frames: int
) -> Image.Image:
    """A row an image: the original, then ``frames`` on the straight line of affine parameters from it to a sample."""
    weights = torch.linspace(0, 1, frames).to(embedded).view(1, -1, 1, 1, 1)
    lines = torch.lerp(embedded[:, None], samples[:, None], weights)
    images, scale = render(method, lines.flatten(0, 1), resolution), pixel_scale(resolution)
    enlarged = max(1, resolution * scale // originals.shape[2])
    return side_by_side(
        [
            ("original", image_grid(originals.cpu(), num_columns=1, scale=enlarged)),
            ("from the embedded image to a sample", image_grid(images, num_columns=frames, scale=scale)),
        ]
    )
