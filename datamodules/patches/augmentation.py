"""How a window becomes a patch: moved, mirrored and turned; strongly also bent, thickened and partly hidden."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from generative.randomness import Stream
from generative.rendering.images import from_uint8

DRAWS = 16  # uniform numbers a patch
SCALES = (0.8, 1.25)
SHEAR = 0.15
THICKENED = 0.3  # share of the patches that a pixel is added to every line of, or taken from
HIDDEN = 0.3  # share of the patches whose border is hidden
LEVELS = 0.1  # standard change of contrast and of brightness
AUGMENTATIONS = ("basic", "strong")


def jitter(size: int) -> int:
    """By how many pixels a patch ``size`` wide is shifted to each side at most."""
    return size // 8


def window_side(size: int) -> int:
    """Pixels a side of the window that a patch ``size`` wide is cut from, turned and shifted."""
    return size + 4 * jitter(size)


@dataclass(frozen=True)
class PatchAugmentation:
    """Windows as patches ``size`` wide: ``strong`` in every way of this file, else shifted, mirrored and turned by quarters.

    How is a function of the seed and the patch's number in the run. A twin and a mask move with their picture; lines that are
    made thicker do not make a mask larger.
    """

    seed: int
    size: int
    strong: bool

    def __call__(self, rows: dict[str, Tensor], first_number: int) -> dict[str, Tensor]:
        uniform = Stream(self.seed, "augment").uniform(first_number, len(rows["image"]), DRAWS)
        shown = dict(rows)
        for name, pictures in rows.items():
            if name == "mask":
                shown[name] = moved_masks(pictures, uniform, self.size, strong=self.strong)
            elif pictures.ndim == 4:
                patches = moved(from_uint8(pictures), uniform, self.size, strong=self.strong)
                shown[name] = distorted(patches, uniform) if self.strong else patches
        return shown


def moved_masks(masks: Tensor, uniform: Tensor, size: int, *, strong: bool) -> Tensor:
    """Masks uint8 [B, W, W] as :func:`moved` moves their pictures, by the nearest pixel: uint8 [B, size, size]."""
    return moved(masks[:, None].float(), uniform, size, strong=strong, mode="nearest")[:, 0].round().to(torch.uint8)


def moved(pictures: Tensor, uniform: Tensor, size: int, *, strong: bool, mode: str = "bilinear") -> Tensor:
    """Windows [B, C, W, W] of floats -> patches [B, C, size, size]: shifted, mirrored, turned.

    ``strong``: by any angle, scaled and sheared, between pixels by ``mode``. ``uniform`` [B, 16] says by what; the same row
    moves a twin alike.
    """
    side = pictures.shape[-1]
    room = min(jitter(size), (side - size) // 2)
    shifts = (uniform[:, :2] * (2 * room + 1)).floor() - room  # whole pixels: basic patches are exact copies
    quarter = (uniform[:, 2] * 4).floor() * (math.pi / 2)
    mirror = torch.where(uniform[:, 3] < 0.5, -1.0, 1.0)
    angle, scale, shear = quarter, torch.ones_like(quarter), torch.zeros_like(quarter)
    if strong:
        angle = uniform[:, 4] * (2 * math.pi)
        low, high = (math.log(value) for value in SCALES)
        scale = (low + (high - low) * uniform[:, 5]).exp()
        shear = SHEAR * (2 * uniform[:, 6] - 1)
    cosine, sine = angle.cos(), angle.sin()
    # Where a patch's pixel comes from: mirrored, sheared, turned and scaled about the middle, then shifted.
    matrix = torch.stack([
        torch.stack([cosine * mirror, cosine * shear - sine], dim=1), torch.stack([sine * mirror, sine * shear + cosine], dim=1),
    ], dim=1) / scale[:, None, None]  # fmt: skip
    at = torch.arange(size) - (size - 1) / 2
    grid = torch.stack(torch.meshgrid(at, at, indexing="ij")[::-1], dim=-1).view(1, -1, 2)
    found = grid @ matrix.transpose(1, 2) + shifts[:, None]
    if not strong:
        columns, rows = ((part + (side - 1) / 2).round().long() for part in found.unbind(dim=2))
        flat = (rows * side + columns)[:, None].expand(-1, pictures.shape[1], -1)
        return pictures.flatten(2).gather(2, flat).view(len(pictures), -1, size, size)
    return F.grid_sample(
        pictures, (found * 2 / side).view(-1, size, size, 2), mode=mode, padding_mode="reflection", align_corners=False
    )  # fmt: skip


def distorted(patches: Tensor, uniform: Tensor) -> Tensor:
    """Patches [B, C, S, S] in [-1, 1] with lines a pixel thicker or thinner, hidden borders, other contrast and brightness."""
    thick, thin = -F.max_pool2d(-patches, 3, 1, 1), F.max_pool2d(patches, 3, 1, 1)
    which = uniform[:, 7].view(-1, 1, 1, 1)
    patches = torch.where(which < THICKENED / 2, thick, torch.where(which > 1 - THICKENED / 2, thin, patches))
    size = patches.shape[-1]
    hidden = ((uniform[:, 8] < HIDDEN) * uniform[:, 9] * size / 4).long()
    edge = torch.arange(size)
    side = (uniform[:, 10] * 4).long()
    place = torch.stack([edge.expand(len(side), -1), size - 1 - edge.expand(len(side), -1)], dim=1)
    along = place.gather(1, (side % 2).view(-1, 1, 1).expand(-1, 1, size))[:, 0] < hidden[:, None]
    mask = torch.where(
        (side < 2).view(-1, 1, 1), along[:, :, None].expand(-1, -1, size), along[:, None].expand(-1, size, -1)
    )
    fill = patches.mean(dim=(1, 2, 3), keepdim=True)
    patches = torch.where(mask[:, None], fill, patches)
    contrast = 1 + LEVELS * 2 * (2 * uniform[:, 11] - 1)
    brightness = LEVELS * 2 * (2 * uniform[:, 12] - 1)
    return (patches * contrast.view(-1, 1, 1, 1) + brightness.view(-1, 1, 1, 1)).clamp(-1, 1)


def middle(pictures: Tensor, size: int) -> Tensor:
    """The middle ``size`` x ``size`` pixels of [..., W, W]."""
    first = (pictures.shape[-1] - size) // 2
    return pictures[..., first : first + size, first : first + size]
