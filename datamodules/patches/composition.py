"""Which window each patch of a run shows, so that every batch has its share of faultless, real and made ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datamodules.patches.windows import Windows
from generative.randomness import Stream


@dataclass(frozen=True)
class Composition:
    """Shares of a batch: ``clean`` of all patches are faultless, the others of every class alike, ``made`` of them synthetic."""

    num_classes: int
    clean: float
    made: float

    def slots(self, block: int) -> tuple[Tensor, Tensor]:
        """Of ``block`` patches in turn the label int64 [block], and whether it is a synthetic one, bool [block]."""
        place = (torch.arange(block, dtype=torch.float64) + 0.5) / block
        share = (place - self.clean) / (1 - self.clean) * self.num_classes
        labels = share.floor().long().clamp(max=self.num_classes - 1)
        labels[place < self.clean] = self.num_classes
        rank = torch.stack([(labels[:slot] == labels[slot]).sum() for slot in range(block)])
        made = ((rank + 1) * self.made + 1e-9).floor() > (rank * self.made + 1e-9).floor()
        return labels, made & (labels < self.num_classes)


class ComposedOrder:
    """Patch number k of a run -> the row of ``windows`` that it shows: of slot k modulo ``block``, drawn by (seed, k).

    ValueError where a batch of ``block`` patches is too small for a patch of every class, or a class has no window to show.
    """

    def __init__(self, windows: Windows, composition: Composition, *, block: int, seed: int) -> None:
        self.seed, self.block = seed, block
        labels, made = composition.slots(block)
        needed = composition.num_classes + (composition.clean > 0)
        if len(labels.unique()) < needed:
            raise ValueError(
                f"batch_size={block} has no room for a patch of each of {needed} classes: give {2 * needed} or more"
            )
        self.rows: list[Tensor] = []
        for label, is_made in zip(labels.tolist(), made.tolist(), strict=True):
            rows = ((windows.labels == label) & (windows.real == int(not is_made))).nonzero()[:, 0]
            if not len(rows):
                kind = "synthetic" if is_made else "real"
                raise ValueError(
                    f"class number {label} has no {kind} example: label one, draw some, or take it off the classes"
                )
            self.rows.append(rows)

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """int64 [B] of the run's patch numbers ``numbers``, which follow one another."""
        uniform = Stream(self.seed, "patches").uniform(int(numbers[0]), len(numbers), 1)[:, 0].tolist()
        slots = (self.rows[number % self.block] for number in numbers.tolist())
        return np.array([int(rows[int(part * len(rows))]) for rows, part in zip(slots, uniform, strict=True)])
