"""Colours of masks and their legend."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from generative.rendering.masks import LINE, NO_CLASS, NO_CLASS_COLOUR, above, coloured, legend, palette


def test_the_palette_is_vocs() -> None:
    assert palette(256)[[0, 1, 2, 15, 20, 255]].tolist() == [
        [0, 0, 0], [128, 0, 0], [0, 128, 0], [192, 128, 128], [0, 64, 128], [224, 224, 192],
    ]  # fmt: skip
    assert len(palette(256).unique(dim=0)) == 256
    shown = coloured(torch.tensor([[[0, 1, NO_CLASS]]]), 2)
    assert shown.shape == (1, 3, 1, 3)
    assert shown[0, :, 0, 0].tolist() == [-1.0, -1.0, -1.0]
    assert ((shown[0, :, 0, 2] + 1) * 127.5).round().tolist() == list(NO_CLASS_COLOUR)


def test_a_legend_has_each_colour_and_as_many_columns_as_fit() -> None:
    names = [("cat", (10, 20, 30)), ("dog", (40, 50, 60)), ("no class", NO_CLASS_COLOUR)]
    wide, narrow = legend(names, width=400), legend(names, width=1)
    assert wide.size == (400, LINE + 4), "all in one line"
    assert narrow.height == 3 * LINE + 4, "one below the other"
    assert narrow.width > LINE, "wide enough for a name"
    for picture in (wide, narrow):
        for _, colour in names:
            assert (np.array(picture) == colour).all(axis=2).sum() > 100


def test_one_picture_above_another() -> None:
    both = np.array(above(Image.new("RGB", (2, 3), "red"), Image.new("RGB", (4, 1), "blue")))
    assert both.shape == (4, 4, 3)
    assert (both[:3, :2] == (255, 0, 0)).all()
    assert (both[:3, 2:] == 255).all()
    assert (both[3] == (0, 0, 255)).all()
