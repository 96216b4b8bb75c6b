"""What averages of latents look like: Figures 7 to 11 of the paper, each a task of generate.py."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from generative.checks import check_at_least
from generative.randomness import Stream
from generative.rendering.images import as_floats, image_grid, pixel_scale, save_picture, side_by_side
from lightning_modules.base import ImageData
from lightning_modules.regene.module import ReGene


def matrix(
    method: ReGene, output: Path, *, seed: int, datamodule: ImageData, label: int = 0, size: int = 8
) -> list[Path]:
    """Figures 8 to 11: ``size`` images of class ``label`` across and as many down, and in each cell the mean of both, decoded."""
    check_at_least(1, size=size)
    members = chosen_members(method, 2 * size, label=label, seed=seed)
    originals, latents = source_images(method, datamodule, members), method.bank.rows(members)
    means = 0.5 * (latents[size:, None] + latents[None, :size])
    cells = decoded(method, means.flatten(0, 1)).unflatten(0, (size, size))
    corner = torch.ones_like(originals[:1])
    rows = [torch.cat([corner, originals[:size]])]
    rows += [torch.cat([originals[size + row][None], cells[row]]) for row in range(size)]
    sheet = image_grid(torch.cat(rows), num_columns=size + 1, scale=pixel_scale(method.image_shape[1]))
    return [save_picture(sheet, output, f"matrix_class{label}.png")]


def walk(
    method: ReGene,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    rows: int = 8,
    frames: int = 9,
    classes: list[int] | int | None = None,
) -> list[Path]:
    """Figure 7: two images of a class, and between them ``frames`` decoded combinations at even ratios, .1 to .9 with nine.

    A row a pair, of the ``classes`` in turn (by default all); outermost the originals.
    """
    check_at_least(1, rows=rows, frames=frames)
    asked = range(method.num_classes) if classes is None else [classes] if isinstance(classes, int) else classes
    ratios = torch.arange(1, frames + 1, dtype=torch.float64)[:, None] / (frames + 1)
    shown = []
    for row in range(rows):
        members = chosen_members(method, 2, label=asked[row % len(asked)], seed=seed, place=row)
        first, second = method.bank.rows(members)
        between = decoded(method, (1.0 - ratios) * first + ratios * second)
        ends = source_images(method, datamodule, members)
        shown.append(torch.cat([ends[:1], between, ends[1:]]))
    sheet = image_grid(torch.cat(shown), num_columns=frames + 2, scale=pixel_scale(method.image_shape[1]))
    return [save_picture(sheet, output, "walk.png")]


def combinations(
    method: ReGene,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    rows: int = 10,
    num_sources: list[int] | None = None,
    classes: list[int] | int | None = None,
) -> list[Path]:
    """Figure 7: the sources of a row, their overlay (the mean of their pixels) and the decoded mean of their latents.

    A block of columns for each of ``num_sources`` (2, 3 and 5), a row for each of the ``classes`` in turn (by default all).
    """
    check_at_least(1, rows=rows)
    counts = [2, 3, 5] if num_sources is None else num_sources
    asked = range(method.num_classes) if classes is None else [classes] if isinstance(classes, int) else classes
    panels: list[tuple[str, Tensor, int]] = []
    for count in counts:
        check_at_least(1, num_sources=count)
        members = [
            chosen_members(method, count, label=asked[row % len(asked)], seed=seed, place=row) for row in range(rows)
        ]
        originals = torch.stack([source_images(method, datamodule, some) for some in members])
        means = torch.stack([method.bank.rows(some).mean(dim=0) for some in members])
        panels += [(f"{count} sources", originals.flatten(0, 1), count), ("overlay", originals.mean(dim=1), 1)]
        panels.append(("decoded", decoded(method, means), 1))
    scale = pixel_scale(method.image_shape[1])
    sheet = side_by_side(
        [(title, image_grid(images, num_columns=columns, scale=scale)) for title, images, columns in panels]
    )
    return [save_picture(sheet, output, "combinations.png")]


def chosen_members(method: ReGene, count: int, *, label: int, seed: int, place: int = 0) -> Tensor:
    """``count`` distinct members of a class by the seed and the place in a picture, by their numbers in the bank."""
    members = method.bank.members(label, least=count)
    order = Stream(seed, f"picture of class {label}").uniform(place, 1, len(members))[0].argsort()
    return members[order[:count]]


def source_images(method: ReGene, datamodule: ImageData, members: Tensor) -> Tensor:
    """The training images that ``members`` [...] of the bank were encoded from: [..., C, H, W] in [-1, 1]."""
    images = datamodule.split("train")[0]
    return as_floats(images[method.bank.origins[members.flatten()]]).unflatten(0, members.shape)


@torch.no_grad()
def decoded(method: ReGene, latents: Tensor) -> Tensor:
    """Latents [B, D] in float64 -> images on the CPU."""
    return method.draw_latents(method.placed(latents)).cpu()
