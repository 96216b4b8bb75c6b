"""Crops around defects with all boxes on them: which defect each crop of a run is around, and how it is cut."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.batches import Rows
from datamodules.notices import warn_once
from generative.randomness import Stream
from generative.rendering.images import from_uint8

DRAWS = 6  # uniform numbers a crop
REACH = 0.25  # of a crop's side: how far from its middle the defect may lie
VISIBLE = 0.5  # share of a box that must be more than this within the crop


def shown_class(numbers: np.ndarray, num_classes: int) -> np.ndarray:
    """Crop number k is around a defect of class k modulo ``num_classes``: every class as often, in any batch."""
    return numbers % num_classes


def is_made(numbers: np.ndarray, num_classes: int, share: float) -> np.ndarray:
    """Whether a crop is of a made picture: of the crops of each class ``share``, evenly spread over the run."""
    turns = numbers // num_classes
    return np.floor((turns + 1) * share + 1e-9) > np.floor(turns * share + 1e-9)


class CropOrder:
    """Crop number k of a run -> the picture that it is cut from: one of (:func:`shown_class`, :func:`is_made`), by (seed, k).

    Pictures with more defects of the class come more often, as each of the defects is as likely. ``labels`` int64 [N, K]: the
    classes on each of N pictures, ``real`` [N] 0 for made ones. ValueError where a class has no picture to show; one that
    was not drawn is shown by real ones alone, with a warning.
    """

    def __init__(self, labels: Tensor, real: Tensor, names: tuple[str, ...], *, made_share: float, seed: int) -> None:
        self.seed, self.num_classes, self.made_share = seed, len(names), made_share
        self.pictures: dict[tuple[int, bool], np.ndarray] = {}
        kinds = [made for made, share in ((False, 1 - made_share), (True, made_share)) if share > 0]
        for label, name in enumerate(names):
            for made in kinds:
                found = ((labels == label) & (real == int(not made))[:, None]).nonzero()[:, 0].numpy()
                if not len(found) and made and made_share < 1:
                    warn_once(f"the class {name!r} has no drawn example: real ones are shown in their place")
                    found = self.pictures[label, False]
                elif not len(found):
                    kind, remedy = ("drawn", "draw some") if made else ("training", "label one")
                    raise ValueError(
                        f"the class {name!r} has no {kind} example: {remedy}, or take it off datamodule.source.classes"
                    )
                self.pictures[label, made] = found

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """int64 [B] of the run's crop numbers ``numbers``, which follow one another."""
        uniform = Stream(self.seed, "pictures of crops").uniform(int(numbers[0]), len(numbers), 1)[:, 0].tolist()
        labels = shown_class(numbers, self.num_classes).tolist()
        made = is_made(numbers, self.num_classes, self.made_share).tolist()
        rows = [self.pictures[key] for key in zip(labels, made, strict=True)]
        return np.array([of[int(part * len(of))] for of, part in zip(rows, uniform, strict=True)])


@dataclass(frozen=True)
class DefectCrop:
    """Pictures as crops of ``size`` pixels around a defect of :func:`shown_class`, at a scale between the two of ``scale``.

    The scale is uniform, and at least such that the crop lies within its picture. The defect's middle lies at most a quarter
    of the crop's side from that of the crop, nearer to the rim only at the picture's border. Of the crops ``anywhere`` are
    from any place of the picture, so that what lies far from all defects is shown too. ``turned``: by quarters, and mirrored.
    All of it is a function of the seed and the crop's number in the run.
    """

    seed: int
    size: int
    scale: tuple[float, float]
    num_classes: int
    turned: bool
    anywhere: float = 0.0

    def __call__(self, rows: dict[str, Tensor], first_number: int) -> dict[str, Tensor]:
        """ "image" uint8 [B, C, H, W] -> float [B, C, size, size], with "boxes" and "box_label"; uses up "extent"."""
        count = len(rows["image"])
        uniform = Stream(self.seed, "crops").uniform(first_number, count, DRAWS)
        labels = shown_class(np.arange(first_number, first_number + count), self.num_classes).tolist()
        free = Stream(self.seed, "crops from anywhere").uniform(first_number, count, 1)[:, 0] < self.anywhere
        crops, boxes, names = [], [], []
        for i, label in enumerate(labels):
            crop, edges = self.cut(
                rows["image"][i], rows["boxes"][i], (rows["box_label"][i] == label).nonzero()[:, 0],
                extent=rows["extent"][i], uniform=uniform[i], anywhere=bool(free[i]),
            )  # fmt: skip
            kept = visible(edges, self.size) & (rows["box_label"][i] >= 0)
            crops.append(crop)
            boxes.append(edges.clamp(0, self.size) * kept[:, None])
            names.append(torch.where(kept, rows["box_label"][i], -1))
        shown = {name: values for name, values in rows.items() if name != "extent"}
        return shown | {"image": torch.stack(crops), "boxes": torch.stack(boxes), "box_label": torch.stack(names)}

    def cut(
        self, picture: Tensor, boxes: Tensor, around: Tensor, *, extent: Tensor, uniform: Tensor, anywhere: bool = False
    ) -> tuple[Tensor, Tensor]:
        """One crop [C, size, size] in [-1, 1], and all boxes [K, 4] in its pixels, not clipped.

        ``around``: the numbers of the boxes, one of which it is around, unless it is from ``anywhere``. ``extent``: height and
        width of the picture [C, H, W].
        """
        draws = uniform.tolist()
        left, top, right, bottom = boxes[around[int(draws[0] * len(around))]].tolist()
        height, width = extent.tolist()
        scale = self.scale[0] + (self.scale[1] - self.scale[0]) * draws[1]
        side = max(1, min(round(self.size / scale), height, width))
        corner = [
            round(draw * (most - side))
            if anywhere
            else min(max(round(middle + (2 * draw - 1) * REACH * side - side / 2), 0), most - side)
            for middle, draw, most in (((left + right) / 2, draws[2], width), ((top + bottom) / 2, draws[3], height))
        ]
        x, y = corner
        crop = from_uint8(picture[:, y : y + side, x : x + side])
        if side != self.size:
            crop = F.interpolate(
                crop[None], size=[self.size] * 2, mode="bilinear", antialias=True, align_corners=False
            )[0]
        edges = (boxes - torch.tensor([x, y, x, y])) * (self.size / side)
        if not self.turned:
            return crop, edges
        return turned(crop, edges, turns=int(draws[4] * 4), mirror=draws[5] < 0.5)


def turned(crop: Tensor, boxes: Tensor, *, turns: int, mirror: bool) -> tuple[Tensor, Tensor]:
    """A square [C, S, S] and boxes [K, 4] in its pixels, left and right swapped if asked, then ``turns`` quarters to the left."""
    size = crop.shape[-1]
    left, top, right, bottom = boxes.unbind(dim=1)
    if mirror:
        crop, (left, right) = crop.flip(2), (size - right, size - left)
    for _ in range(turns):
        left, top, right, bottom = top, size - right, bottom, size - left
    return crop.rot90(turns, (1, 2)), torch.stack([left, top, right, bottom], dim=1)


def visible(boxes: Tensor, size: int) -> Tensor:
    """Whether more than half of each box [K, 4] lies on a square of ``size`` pixels: bool [K]."""
    whole, clipped = ((part[:, 2:] - part[:, :2]).prod(dim=1) for part in (boxes, boxes.clamp(0, size)))
    return clipped > VISIBLE * whole


class CanvasRows:
    """Pictures of sets of several sizes as rows of one, [N, C, H, W] uint8: each at the top left, black beside it.

    ``parts``: rows and the numbers of those that are taken. Indexed like a tensor; a picture is copied when a batch asks for it.
    """

    def __init__(self, parts: list[tuple[Rows, Tensor]]) -> None:
        self.parts = parts
        shapes = [tuple(rows[numbers[:1]].shape[1:]) for rows, numbers in parts]
        sides = [max(shape[axis] for shape in shapes) for axis in (1, 2)]
        self.extents = torch.cat(
            [torch.tensor(shape[1:]).expand(len(numbers), 2) for shape, (_, numbers) in zip(shapes, parts, strict=True)]
        )
        self.dtype, self.ndim = torch.uint8, 4
        self.shape = torch.Size((len(self.extents), shapes[0][0], *sides))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: Tensor | slice) -> Tensor:
        numbers = torch.arange(*chosen.indices(len(self))) if isinstance(chosen, slice) else chosen
        pictures = torch.zeros((len(numbers), *self.shape[1:]), dtype=self.dtype)
        first = 0
        for rows, taken in self.parts:
            here = ((numbers >= first) & (numbers < first + len(taken))).nonzero()[:, 0]
            if len(here):
                found = rows[taken[numbers[here] - first]]
                pictures[here, :, : found.shape[2], : found.shape[3]] = found
            first += len(taken)
        return pictures


def padded(boxes: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Boxes [N, K, 4] and labels [N, K] with room for ``count`` an image, -1 where there is none."""
    more = count - boxes.shape[1]
    return F.pad(boxes, (0, 0, 0, more)), F.pad(labels, (0, more), value=-1)


def check_scale(scale: list[float]) -> tuple[float, float]:
    """The two numbers of ``scale``; ValueError unless they are the smallest and the largest."""
    if len(scale) != 2 or not 0 < scale[0] <= scale[1] or not math.isfinite(scale[1]):
        raise ValueError(f"datamodule.scale must be the smallest and the largest, such as [0.5, 2.0], got {scale}")
    return scale[0], scale[1]
