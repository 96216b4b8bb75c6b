"""What latents hold and what lies between them: Figures 5.4, 5.7 and 5.8 of the thesis, as tasks of generate.py."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from torch import Tensor

from generative.checks import check_at_least
from generative.randomness import permutation
from generative.rendering.images import as_floats, image_grid, pixel_scale, save_picture
from lightning_modules.base import ImageData
from lightning_modules.dfm.latents import AT_ONCE
from lightning_modules.dfm.module import DFM
from lightning_modules.tasks.held_out import held_out, some_numbers
from lightning_modules.tasks.reconstruction import COLUMNS, interleaved


@torch.no_grad()
def reconstruct_training(method: DFM, output: Path, *, seed: int, datamodule: ImageData, count: int = 20) -> list[Path]:
    """Figures 5.4 and 5.8: ``count`` training images, each above what is drawn for its own latent.

    With them the mean squared error over all training images, of pixels in [-1, 1], and that of their mean image.
    """
    check_at_least(1, count=count)
    images = datamodule.split("train")[0]
    latents = method.learned_latents(images)
    chosen = torch.from_numpy(permutation(seed, 0, len(images))[:count])
    originals, drawn = as_floats(images[chosen]), method.decode(latents[chosen]).cpu()
    picture = image_grid(interleaved(originals, drawn), num_columns=COLUMNS, scale=pixel_scale(originals.shape[2]))
    error, of_mean = errors(method, images, latents)
    facts = {
        "images": len(images),
        "squared_error": error,
        "squared_error_of_mean_image": of_mean,
        "psnr": 10.0 * math.log10(4.0 / error),
    }
    written = [save_picture(picture, output, "reconstruct_training.png"), output / "reconstruct_training.jsonl"]
    written[1].write_text(json.dumps(facts) + "\n")
    return written


def errors(method: DFM, images: Tensor, latents: Tensor) -> tuple[float, float]:
    """Mean squared errors over all ``images``: of what is drawn for their ``latents``, and of their mean."""
    total, mean, square = 0.0, torch.zeros(()), torch.zeros(())
    for first in range(0, len(images), AT_ONCE):
        part = as_floats(images[first : first + AT_ONCE]).double()
        drawn = method.decode(latents[first : first + AT_ONCE]).cpu().double()
        total += float((part - drawn).square().sum())
        mean, square = mean + part.sum(dim=0), square + part.square().sum(dim=0)
    count = len(images)
    return total / (count * mean.numel()), float((square / count - (mean / count).square()).mean())


@torch.no_grad()
def interpolate(
    method: DFM,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    rows: int = 8,
    frames: int = 9,
    new: bool = False,
) -> list[Path]:
    """Figure 5.7: on each of ``rows`` lines between the latents of two images ``frames`` drawn images at even distances.

    Outermost the originals, and beside them what is drawn for their latents. ``new``: of test images, whose latents are
    found as :meth:`DFM.codes` finds them; else of training images, whose latents were learned.
    """
    check_at_least(1, rows=rows)
    check_at_least(2, frames=frames)
    if new:
        originals = held_out(datamodule, some_numbers(datamodule, 2 * rows, seed=seed))[0]
        latents = method.codes(originals.to(method.device))
    else:
        images = datamodule.split("train")[0]
        chosen = torch.from_numpy(permutation(seed, 0, len(images))[: 2 * rows])
        originals, latents = as_floats(images[chosen]), method.learned_latents(images)[chosen]
    shares = torch.linspace(0, 1, frames).to(latents)[:, None, None]
    points = (1.0 - shares) * latents[:rows] + shares * latents[rows:]
    drawn = method.decode(points.transpose(0, 1).flatten(0, 1)).cpu().unflatten(0, (rows, frames))
    shown = torch.cat([originals[:rows, None], drawn, originals[rows:, None]], dim=1).flatten(0, 1)
    sheet = image_grid(shown, num_columns=frames + 2, scale=pixel_scale(originals.shape[2]))
    return [save_picture(sheet, output, "interpolate.png")]
