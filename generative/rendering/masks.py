"""Masks of classes as colours, and what each colour stands for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from generative.rendering.images import from_uint8

NO_CLASS = 255  # of a mask's pixel that belongs to nothing and counts nowhere
NO_CLASS_COLOUR = (224, 224, 192)  # of VOC's borders
LINE = 18  # pixels of a line of the legend

Named = tuple[str, tuple[int, int, int]]  # a class and its colour


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


def legend(names: Sequence[Named], *, width: int) -> Image.Image:
    """A square of each colour with its name, as many columns as fit into ``width`` pixels, but at least one."""
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


def above(upper: Image.Image, lower: Image.Image) -> Image.Image:
    """One picture over the other, at the left of white."""
    picture = Image.new("RGB", (max(upper.width, lower.width), upper.height + lower.height), "white")
    picture.paste(upper, (0, 0))
    picture.paste(lower, (0, upper.height))
    return picture
