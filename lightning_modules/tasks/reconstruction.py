"""Reconstruction: test images, and the same again from a method's codes."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from generative.checks import check_at_least
from generative.rendering.images import image_grid, pixel_scale, save_picture
from lightning_modules.base import ImageData, Reconstructs
from lightning_modules.tasks.held_out import held_out, some_numbers
from lightning_modules.tasks.inversion import quality

COLUMNS = 10  # pairs in a row of the picture


@torch.no_grad()
def reconstruct(
    method: Reconstructs, output: Path, *, seed: int, datamodule: ImageData, count: int = 20, batch_size: int = 256
) -> list[Path]:
    """``count`` test images in the order of ``seed``, each above its reconstruction, and their mean PSNR and SSIM."""
    check_at_least(1, batch_size=batch_size)
    originals, labels = held_out(datamodule, some_numbers(datamodule, count, seed=seed))
    asked = None if method.num_classes == 0 else labels.to(method.device)
    found = []
    for numbers in torch.arange(count).split(batch_size):
        of_batch = None if asked is None else asked[numbers.to(asked.device)]
        found.append(method.reconstruct(originals[numbers].to(method.device), of_batch).cpu())
    images = torch.cat(found)
    picture = image_grid(interleaved(originals, images), num_columns=COLUMNS, scale=pixel_scale(originals.shape[2]))
    written = [save_picture(picture, output, "reconstruct.png"), output / "reconstruct.jsonl"]
    written[1].write_text(json.dumps({"images": count, **quality(images, originals)}) + "\n")
    return written


def interleaved(above: Tensor, below: Tensor) -> Tensor:
    """Rows of ``COLUMNS`` images and under each row its counterparts; a last row that is not full ends in black."""
    missing = -len(above) % COLUMNS
    rows = [
        torch.cat([images, -torch.ones_like(images[:1]).expand(missing, -1, -1, -1)]).unflatten(0, (-1, COLUMNS))
        for images in (above, below)
    ]
    return torch.stack(rows, dim=1).flatten(0, 2)
