"""What a trained segmentation shows: image, mask and prediction beside each other."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from generative.randomness import permutation
from generative.rendering.images import as_floats, image_grid, pixel_scale, save_picture, side_by_side
from generative.rendering.masks import NO_CLASS, NO_CLASS_COLOUR, Named, above, coloured, legend, palette
from lightning_modules.base import ImageData, Segments


@torch.no_grad()
def masks(
    method: Segments, output: Path, *, seed: int, datamodule: ImageData, count: int = 6, split: str = "test"
) -> list[Path]:
    """``count`` images of ``split``, chosen by ``seed``, beside their mask and the predicted one, with the classes' colours."""
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    pictures, _ = datamodule.split(split)
    chosen = torch.from_numpy(permutation(seed, 0, len(pictures))[:count].copy())
    images, truth = as_floats(pictures[chosen]), datamodule.targets(split)["mask"][chosen]
    predicted = torch.cat([method.segment(image[None].to(method.device)).argmax(dim=1).cpu() for image in images])
    num_classes = len(method.target_classes)
    panels = [
        ("image", images.expand(-1, 3, -1, -1)),
        ("mask", coloured(truth, num_classes)),
        ("prediction", coloured(predicted, num_classes)),
    ]
    scale = pixel_scale(images.shape[2])
    sheet = side_by_side([(title, image_grid(shown, num_columns=1, scale=scale)) for title, shown in panels])
    below = legend(shown_classes(method.target_classes, truth, predicted), width=sheet.width)
    return [save_picture(above(sheet, below), output, "masks.png")]


def shown_classes(names: tuple[str, ...], truth: Tensor, predicted: Tensor) -> list[Named]:
    """Name and colour of each class that is in one of the masks, in the order of their numbers; at the end that of none."""
    colours = palette(len(names)).tolist()
    there = sorted(set(truth.unique().tolist()) | set(predicted.unique().tolist()))
    found = [(names[i], tuple(colours[i])) for i in there if i != NO_CLASS]
    return [*found, ("no class", NO_CLASS_COLOUR)]
