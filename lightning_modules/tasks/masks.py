"""What a trained segmentation shows: image, mask and prediction beside each other, run by generate.py."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from generative.randomness import permutation
from generative.rendering.images import from_uint8, image_grid, side_by_side
from lightning_modules.dgm.segmentation import NO_CLASS, Segmentation

SHOWN_PIXELS = 96  # smaller images are enlarged about to this, each pixel to a square
NO_CLASS_COLOUR = (224, 224, 192)  # of VOC's borders
LINE = 18  # pixels of a line of the legend


def palette(count: int) -> Tensor:
    """The colours of VOC's masks for classes 0 .. count - 1, uint8 [count, 3]: bits of the number from the top down."""
    numbers = torch.arange(count)
    colours = torch.zeros(count, 3, dtype=torch.int64)
    for place in range(8):
        for channel in range(3):
            colours[:, channel] |= (numbers >> (3 * place + channel) & 1) << (7 - place)
    return colours.to(torch.uint8)


def coloured(masks: Tensor, num_classes: int) -> Tensor:
    """Masks [B, H, W] -> images [B, 3, H, W] in [-1, 1]."""
    colours = torch.tensor(NO_CLASS_COLOUR, dtype=torch.uint8).repeat(NO_CLASS + 1, 1)
    colours[:num_classes] = palette(num_classes)
    return from_uint8(colours[masks.long()].permute(0, 3, 1, 2))


def legend(names: list[tuple[str, tuple[int, int, int]]], *, width: int) -> Image.Image:
    """A square of each colour with its name, as many columns as fit."""
    font = ImageFont.load_default(size=12)
    column = max(math.ceil(font.getlength(name)) for name, _ in names) + LINE + 12
    columns = max(1, width // column)
    picture = Image.new("RGB", (max(width, column), LINE * math.ceil(len(names) / columns) + 4), "white")
    draw = ImageDraw.Draw(picture)
    for i, (name, colour) in enumerate(names):
        left, top = 4 + (i % columns) * column, (i // columns) * LINE
        draw.rectangle((left, top + 3, left + 12, top + 15), fill=colour, outline="grey")
        draw.text((left + LINE, top + 2), name, fill="black", font=font)
    return picture


@torch.no_grad()
def masks(
    method: Segmentation, output: Path, *, seed: int, datamodule: Any, count: int = 6, split: str = "test"
) -> list[Path]:
    """``count`` images of ``split``, chosen by ``seed``, beside their mask and the predicted one, with the classes' colours."""
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    pictures, _ = datamodule.split(split)
    chosen = torch.from_numpy(permutation(seed, 0, len(pictures))[:count].copy())
    images, truth = pictures[chosen], datamodule.targets(split)["mask"][chosen]
    images = from_uint8(images) if images.dtype == torch.uint8 else images
    predicted = torch.cat([method(image[None].to(method.device)).argmax(dim=1).cpu() for image in images])
    scale = max(1, SHOWN_PIXELS // images.shape[2])
    panels = [
        ("image", images.expand(-1, 3, -1, -1)),
        ("mask", coloured(truth, method.num_classes)),
        ("prediction", coloured(predicted, method.num_classes)),
    ]
    sheet = side_by_side([(title, image_grid(shown, num_columns=1, scale=scale)) for title, shown in panels])
    there = sorted(set(truth.unique().tolist()) | set(predicted.unique().tolist()))
    colours = [*map(tuple, palette(method.num_classes).tolist())]
    names = [(method.target_classes[i], colours[i]) for i in there if i != NO_CLASS]
    below = legend([*names, ("no class", NO_CLASS_COLOUR)], width=sheet.width)
    picture = Image.new("RGB", (max(sheet.width, below.width), sheet.height + below.height), "white")
    picture.paste(sheet, (0, 0))
    picture.paste(below, (0, sheet.height))
    output.mkdir(parents=True, exist_ok=True)
    path = output / "masks.png"
    picture.save(path)
    return [path]
