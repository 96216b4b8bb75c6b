"""Style mixing: the affine parameters of some levels from one image, the rest from another (section 6.4.2)."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from generative.checks import check_at_least
from generative.rendering.images import image_grid, pixel_scale, save_picture
from lightning_modules.poly_inr.module import PolyINR
from lightning_modules.poly_inr.tasks import draw_affine, render
from lightning_modules.tasks.samples import labels_for

PAPER_LEVELS = 10
PAPER_GROUPS = ((0, 2), (3, 5), (5, 7), (8, 9))  # first and last level that are copied in Figures 6.8 and 6.9


def level_groups(num_levels: int) -> list[list[int]]:
    """The paper's groups of levels, scaled to a network of ``num_levels``; equal ones once."""
    groups = []
    for first, last in PAPER_GROUPS:
        start = min(round(first * num_levels / PAPER_LEVELS), num_levels - 1)
        stop = max(round((last + 1) * num_levels / PAPER_LEVELS), start + 1)
        groups.append(list(range(start, stop)))
    return [group for i, group in enumerate(groups) if group not in groups[:i]]


def check_levels(method: PolyINR, levels: list[int] | int | None) -> list[list[int]]:
    """The one group asked for, or the paper's; ValueError for a level that the network does not have."""
    num_levels = method.averaged_generator.num_levels
    if levels is None:
        return level_groups(num_levels)
    levels = [levels] if isinstance(levels, int) else levels
    if not levels:
        raise ValueError("levels is empty: name at least one, or leave it out for the paper's groups")
    for level in levels:
        if not 0 <= level < num_levels:
            raise ValueError(f"level {level} is out of range: this model has levels 0 to {num_levels - 1}")
    return [sorted(set(levels))]


def mixed(a: Tensor, b: Tensor, levels: list[int]) -> Tensor:
    """Every b [M, levels, 3, n] with the ``levels`` of every a [N, levels, 3, n]: [N, M, levels, 3, n]."""
    result = b.expand(len(a), *b.shape).clone()
    result[:, :, levels] = a[:, None, levels]
    return result


def mixing_table(method: PolyINR, a: Tensor, b: Tensor, levels: list[int], *, resolution: int) -> Image.Image:
    """Rows: sources A (left column), columns: sources B (top row), between them B with A's affine parameters at ``levels``."""
    sources_a, sources_b = render(method, a, resolution), render(method, b, resolution)
    between = render(method, mixed(a, b, levels).flatten(0, 1), resolution).unflatten(0, (len(a), len(b)))
    corner = torch.ones_like(sources_a[:1])
    left = sources_a[:, None]
    rows = torch.cat([torch.cat([corner, sources_b])[None], torch.cat([left, between], dim=1)])
    return image_grid(rows.flatten(0, 1), num_columns=1 + len(b), scale=pixel_scale(resolution))


def mix(
    method: PolyINR,
    output: Path,
    *,
    seed: int,
    resolution: int = 64,
    classes: list[int] | int | None = None,
    levels: list[int] | int | None = None,
    sources: int = 4,
) -> list[Path]:
    """A table for each group of levels: the images of the top row (B) with these levels' affine parameters from the left (A).

    ``levels`` names one group instead of the paper's four, scaled to this network. ``sources`` images A; as many B, or
    one a class.
    """
    check_at_least(1, sources=sources)
    groups = check_levels(method, levels)
    labels = labels_for(method, classes, 1)
    columns = sources if labels is None else len(labels)
    both = None if labels is None else torch.cat([labels.repeat(sources)[:sources], labels])
    a, b = draw_affine(method, sources + columns, seed=seed, labels=both).split([sources, columns])
    return [
        save_picture(mixing_table(method, a, b, group, resolution=resolution), output, f"mix_levels_{spelt(group)}.png")
        for group in groups
    ]


def spelt(levels: list[int]) -> str:
    return "_".join(map(str, levels))
