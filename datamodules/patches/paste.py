"""Copy and paste: a known defect's pixels set onto a faultless window, anywhere or where its rim fits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.patches.windows import Windows, changed
from generative.randomness import Stream

PASTES = ("anywhere", "matched")
NUM_GROUNDS = 96  # of which the best fits
RIM = 4  # pixels around a defect that are compared
COPIED = 2  # pixels around a defect that are copied with it
DRAWS = 4 + NUM_GROUNDS


def grown(mask: Tensor, by: int) -> Tensor:
    """bool [N, W, W] grown by ``by`` pixels to each side."""
    return F.max_pool2d(mask[:, None].float(), 2 * by + 1, 1, by)[:, 0] > 0


def pasted(defects: Windows, clean: Windows, each: int, *, how: str, seed: int) -> Windows:
    """``each`` windows of every class in ``defects``, each a mirrored or turned defect on a window of ``clean``.

    ``how``: ``anywhere``, or ``matched``: of 96 windows that whose pixels around the defect differ the least. ValueError for
    any other.
    """
    if how not in PASTES:
        raise ValueError(f"paste is one of {', '.join(PASTES)}, got {how!r}")
    shapes = changed(defects)
    stream = Stream(seed, f"paste {how}")
    images, labels, origins, twins, masks = [], [], [], [], []
    for label in defects.labels.unique().tolist():
        own = (defects.labels == label).nonzero()[:, 0]
        uniform = stream.branch(str(label)).uniform(0, each, DRAWS)
        for row in uniform:
            number = int(own[int(row[0] * len(own))])
            turns, mirrored = int(row[1] * 4), bool(row[2] < 0.5)
            picture, mask = (turned(part, turns, mirrored) for part in (defects.images[number], shapes[number][None]))
            copied = grown(mask, COPIED)[0]
            ground = int(row[3] * len(clean))
            if how == "matched":
                rim = grown(mask, COPIED + RIM)[0] & ~copied
                tried = (row[4:] * len(clean)).long()
                misfit = (clean.images[tried].float() - picture.float()).abs().mean(dim=1)[:, rim].mean(dim=1)
                ground = int(tried[misfit.argmin()])
            images.append(torch.where(copied, picture, clean.images[ground]))
            masks.append(mask[0].to(torch.uint8))
            labels.append(label)
            origins.append(int(clean.origins[ground]))
            twins.append(clean.images[ground])
    side = defects.images.shape[-1]
    found = torch.stack(masks).view(-1, side, side)
    made = torch.zeros(len(images), dtype=torch.int64)
    return Windows(
        torch.stack(images),
        torch.tensor(labels),
        torch.tensor(origins),
        box_of(found),
        made,
        torch.stack(twins),
        found,
    )


def turned(picture: Tensor, turns: int, mirrored: bool) -> Tensor:
    """[C, W, W] by quarter turns, mirrored first where asked."""
    return torch.rot90(picture.flip(2) if mirrored else picture, turns, (1, 2))


def box_of(masks: Tensor) -> Tensor:
    """The edges of each mask [N, W, W], float32 [N, 4]; zeros for an empty one."""
    rows = []
    for mask in masks:
        y, x = mask.nonzero(as_tuple=True)
        rows.append([int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1] if len(x) else [0, 0, 0, 0])
    return torch.tensor(rows, dtype=torch.float32)
