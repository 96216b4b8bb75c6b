"""Digits with a defect each, and without: small enough to translate on a processor, with twins and masks."""

from __future__ import annotations

import torch
from torch import Tensor

from datamodules.digits import Digits
from generative.randomness import Stream

SCRATCH, BLOT, FAULTLESS = range(3)
LENGTH, SIDE = 5, 3  # pixels of a scratch, and of a blot to each side


class DigitDefects(Digits):
    """The digits of scikit-learn with a grey scratch (class 0), with a square that shows them in negative (1), or as they are (2).

    Image number k of a split has the class k modulo 3. Batches hold "template", the digit without its defect, and "mask"
    uint8 [B, 8, 8], 1 on the defect.
    """

    num_classes = 3
    target_classes = ("faultless", "defect")

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        digits, _ = super().load(split)
        masks = self.masks(split, len(digits))
        labels = torch.arange(len(digits)) % self.num_classes
        drawn = torch.where((labels == BLOT).view(-1, 1, 1, 1), -digits, 0.25)
        return torch.where(masks[:, None] > 0, drawn, digits), labels

    def targets(self, split: str) -> dict[str, Tensor]:
        digits, _ = super().load(split)
        return {"template": ((digits + 1.0) * 127.5).round().to(torch.uint8), "mask": self.masks(split, len(digits))}

    def masks(self, split: str, count: int) -> Tensor:
        """uint8 [count, 8, 8]: a row or column of five pixels, three by three pixels, or none."""
        size = self.image_shape[1]
        uniform = Stream(0, f"defects of digits, {split}").uniform(0, count, 3)
        found = torch.zeros(count, size, size, dtype=torch.uint8)
        for number, (a, b, turn) in enumerate(uniform.tolist()):
            kind = number % self.num_classes
            if kind == SCRATCH:
                across, along = int(a * size), int(b * (size - LENGTH + 1))
                shown = found[number] if turn < 0.5 else found[number].T
                shown[across, along : along + LENGTH] = 1
            elif kind == BLOT:
                top, left = (int(part * (size - SIDE + 1)) for part in (a, b))
                found[number, top : top + SIDE, left : left + SIDE] = 1
        return found
