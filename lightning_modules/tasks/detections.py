"""What a trained detector finds: the given boxes beside those that it found, missed, and called without reason."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from generative.checks import check_at_least
from generative.randomness import permutation
from generative.rendering.images import as_floats, image_grid, pixel_scale, save_picture, side_by_side
from generative.rendering.masks import Named, above, legend, palette
from lightning_modules.base import Detects, ImageData
from metrics.detection import Inspected, hits, stood_for

FOUND: Named = ("found", (0, 170, 60))
FALSE: Named = ("false call", (225, 40, 40))
MISSED: Named = ("missed", (245, 150, 0))


@torch.no_grad()
def detections(
    method: Detects,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    count: int = 4,
    split: str = "test",
    least_score: float = 0.5,
) -> list[Path]:
    """``count`` images of ``split``, chosen by ``seed``: their boxes by class, and what is found with at least ``least_score``."""
    check_at_least(1, count=count)
    if not 0 <= least_score <= 1:
        raise ValueError(f"least_score must lie between 0 and 1, got {least_score}")
    pictures, _ = datamodule.split(split)
    chosen = torch.from_numpy(permutation(seed, 0, len(pictures))[:count].copy())
    targets = datamodule.targets(split)
    given, found = [], []
    colours = [tuple(colour) for colour in palette(len(method.target_classes) + 1)[1:].tolist()]
    for number in chosen.tolist():
        row = torch.tensor([number])
        picture = as_floats(pictures[row])
        boxes, labels = targets["boxes"][row][0], targets["box_label"][row][0]
        there = {"boxes": boxes[labels >= 0], "labels": labels[labels >= 0]}
        (calls,) = method.detect(picture.to(method.device))
        kept = calls["scores"] >= least_score
        image = Inspected.of(number, {name: part[kept] for name, part in calls.items()}, there)
        given.append(outlined(picture[0], there["boxes"], [colours[label] for label in there["labels"].tolist()]))
        found.append(judged(picture[0], image))
    scale = pixel_scale(pictures.shape[2])
    panels = [("given", torch.stack(given)), ("found", torch.stack(found))]
    sheet = side_by_side([(title, image_grid(shown, num_columns=1, scale=scale)) for title, shown in panels])
    names: list[Named] = list(zip(method.target_classes, colours, strict=True))
    return [
        save_picture(above(sheet, legend([*names, FOUND, FALSE, MISSED], width=sheet.width)), output, "detections.png")
    ]


def judged(picture: Tensor, image: Inspected) -> Tensor:
    """A picture [C, H, W] with what was missed, then what was found and called, outlined in the colours of this file."""
    right = hits(image)
    missed = torch.from_numpy(image.given[~stood_for(image)])
    shown = outlined(picture, missed, [MISSED[1]] * len(missed))
    return outlined(shown, torch.from_numpy(image.found), [(FOUND if one else FALSE)[1] for one in right.tolist()])


def outlined(picture: Tensor, boxes: Tensor, colours: list[tuple[int, ...]]) -> Tensor:
    """[3, H, W] in [-1, 1]: a picture [1 or 3, H, W] with a frame in its colour around each box [K, 4], within the box."""
    shown = picture.cpu().float().expand(3, -1, -1).clone()
    height, width = shown.shape[1:]
    thick = max(1, width // 200)
    for box, colour in zip(boxes.tolist(), colours, strict=True):
        left, top = (max(0, int(edge)) for edge in box[:2])
        right, bottom = min(width, round(box[2])), min(height, round(box[3]))
        paint = torch.tensor(colour).view(3, 1, 1) / 127.5 - 1
        for rows, columns in (
            (slice(top, top + thick), slice(left, right)),
            (slice(max(top, bottom - thick), bottom), slice(left, right)),
            (slice(top, bottom), slice(left, left + thick)),
            (slice(top, bottom), slice(max(left, right - thick), right)),
        ):
            shown[:, rows, columns] = paint
    return shown
