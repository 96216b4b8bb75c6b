"""Digits on a larger sheet, with their boxes: a set to try detectors on that needs no file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from datamodules.batches import Rows
from datamodules.digits import Digits
from generative.randomness import Stream

SIDE = 32
CELLS = 2  # a side: a digit lies in one of them, so that none hides another
SHOWN = 0.3  # share of the other cells with a digit
BLACK, INK = -1.0, -0.5  # the sheet, and where a pixel counts as ink


class DigitBoxes(Digits):
    """Sheets of 32 x 32 pixels with one to four digits of scikit-learn's: sheet k of a split shows its digit k, and perhaps others.

    A box is the smallest around a digit's ink, in pixels. A sheet is a function of its split and number alone.
    """

    image_shape = (1, SIDE, SIDE)
    num_classes = 0
    target_classes = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.drawn: dict[str, tuple[Tensor, Tensor, Tensor]] = {}

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        images, _, _ = self.sheets(split)
        return images, torch.zeros(len(images), dtype=torch.int64)

    def targets(self, split: str) -> Mapping[str, Rows]:
        _, boxes, labels = self.sheets(split)
        return {"boxes": boxes, "box_label": labels}

    def sheets(self, split: str) -> tuple[Tensor, Tensor, Tensor]:
        """Images [N, 1, 32, 32] in [-1, 1], boxes [N, 4, 4], labels [N, 4], -1 where a place is empty."""
        if split not in self.drawn:
            self.drawn[split] = drawn_sheets(*super().load(split), stream=Stream(0, f"sheets of {split}"))
        return self.drawn[split]


def drawn_sheets(digits: Tensor, names: Tensor, *, stream: Stream) -> tuple[Tensor, Tensor, Tensor]:
    """See :meth:`DigitBoxes.sheets`; ``digits`` [N, 1, 8, 8] in [-1, 1] and their classes [N]."""
    count, places, side = len(digits), CELLS**2, digits.shape[-1]
    uniform = stream.uniform(0, count, places, 4)
    chosen = (uniform[:, :, 0] * count).long()
    shown = uniform[:, :, 1] < SHOWN
    own = (torch.arange(count), (stream.branch("place").uniform(0, count) * places).long())
    chosen[own], shown[own] = torch.arange(count), True
    cell = SIDE // CELLS
    images = torch.full((count, 1, SIDE, SIDE), BLACK)
    boxes = torch.zeros(count, places, 4)
    labels = torch.where(shown, names[chosen], -1)
    corners = (uniform[:, :, 2:] * (cell - side + 1)).long()
    corners += cell * torch.tensor([[place // CELLS, place % CELLS] for place in range(places)])
    for sheet, place in shown.nonzero().tolist():
        top, left = corners[sheet, place].tolist()
        digit = digits[chosen[sheet, place], 0]
        images[sheet, 0, top : top + side, left : left + side] = digit
        rows, columns = (digit > INK).nonzero().T
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        boxes[sheet, place] = torch.stack(edges) + torch.tensor([left, top, left, top])
    return images, boxes, labels
