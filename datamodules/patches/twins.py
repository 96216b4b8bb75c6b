"""Faultless twins moved onto their images, image by image, before windows are cut out of both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from datamodules.notices import warn_once
from datamodules.patches.windows import BoxedSet
from generative.rendering.registration import register


def registered(boxed: BoxedSet) -> BoxedSet:
    """``boxed`` with twins that lie on their images; images whose twin is refused are left out, with a warning of how many.

    ValueError where the set has no twins, or none that fits.
    """
    if boxed.twins is None:
        raise ValueError(
            "datamodule.register=true moves twins onto their images, and the set has no twins: leave it out"
        )
    kept, twins, refused = [], [], []
    for number in range(len(boxed.images)):
        row = torch.tensor([number])
        image, twin = (as_picture(rows[row][0]) for rows in (boxed.images, boxed.twins))
        try:
            found = register(image, twin).twin
        except ValueError as error:
            refused.append(error)
            continue
        kept.append(number)
        twins.append(torch.from_numpy(np.atleast_3d(found)).permute(2, 0, 1))
    if not kept:
        raise ValueError(f"no twin of the set lies on its image, the first since {refused[0]}")
    if refused:
        warn_once(f"{len(refused)} of {len(boxed.images)} images are left out, the first since {refused[0]}")
    rows = torch.tensor(kept)
    masks = None if boxed.masks is None else boxed.masks[rows]
    return replace(
        boxed, images=boxed.images[rows], boxes=boxed.boxes[rows], box_labels=boxed.box_labels[rows], twins=torch.stack(twins),
        masks=masks,
    )  # fmt: skip


def as_picture(pixels: Tensor) -> np.ndarray:
    """uint8 [C, H, W] -> [H, W] in grey or [H, W, 3]."""
    return pixels[0].numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).contiguous().numpy()
