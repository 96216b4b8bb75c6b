"""Batches of patches: which window patch number k of a run is, and how it is shown, as functions of (seed, k)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from datamodules.batches import Batch, worker_and_count
from datamodules.patch_augmentation import AUGMENTATIONS, DRAWS, distorted, middle, moved
from datamodules.patch_windows import Windows, joined
from generative.checks import check_choice
from generative.randomness import Stream
from generative.rendering.images import from_uint8


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


@dataclass
class Patches:
    """Training patches ``size`` wide of ``real``, ``made`` (None: none) and ``clean`` windows."""

    real: Windows
    clean: Windows
    made: Windows | None
    composition: Composition
    size: int
    block: int
    augmentation: str
    seed: int
    rows_of: dict[tuple[int, bool], Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("augmentation", self.augmentation, AUGMENTATIONS)
        parts = [self.real, self.clean, *([] if self.made is None else [self.made])]
        self.all = joined(parts)
        self.labels, self.are_made = self.composition.slots(self.block)
        for label in range(self.composition.num_classes + 1):
            for is_made in (False, True):
                own = (self.all.labels == label) & (self.all.real == int(not is_made))
                self.rows_of[label, is_made] = own.nonzero()[:, 0]
        for label, is_made in set(zip(self.labels.tolist(), self.are_made.tolist(), strict=True)):
            if not len(self.rows_of[label, is_made]):
                kind = "synthetic" if is_made else "real"
                raise ValueError(f"class number {label} has no {kind} example: label one, or draw some, or take it off the list")

    def numbers(self, first: int, count: int) -> Tensor:
        """Which windows the patches ``first ..`` of the run show: int64 [count]."""
        slots = (torch.arange(count) + first) % self.block
        uniform = Stream(self.seed, "patches").uniform(first, count, 1)[:, 0].double()
        chosen = torch.empty(count, dtype=torch.int64)
        for place, slot in enumerate(slots.tolist()):
            rows = self.rows_of[int(self.labels[slot]), bool(self.are_made[slot])]
            chosen[place] = rows[int(uniform[place] * len(rows))]
        return chosen

    def batch(self, first: int, count: int) -> Batch:
        """``image`` [B, C, S, S] in [-1, 1], ``label``, ``real``, ``template`` and ``mask`` where all windows have them."""
        numbers = self.numbers(first, count)
        uniform = Stream(self.seed, "augment").uniform(first, count, DRAWS)
        shown = shown_as(self.all.chosen(numbers), uniform, self.size, self.augmentation)
        return shown | {"index": numbers, "first_number": first}


def shown_as(windows: Windows, uniform: Tensor, size: int, augmentation: str) -> Batch:
    """Windows as patches, moved by ``uniform`` [B, 16] together with their twins and masks."""

    def show(pictures: Tensor) -> Tensor:
        values = from_uint8(pictures)
        return middle(values, size) if augmentation == "none" else moved(values, uniform, size, strong=augmentation == "strong")

    images = show(windows.images)
    batch: Batch = {"label": windows.labels, "real": windows.real}
    if windows.twins is not None:
        batch["template"] = show(windows.twins)
    if augmentation == "strong":  # contrast, thickness and hidden borders alike for both
        images = distorted(images, uniform)
        if windows.twins is not None:
            batch["template"] = distorted(batch["template"], uniform)
    if windows.masks is not None:
        mask = show((windows.masks * 255)[:, None])[:, 0] > 0
        batch["mask"] = mask.to(torch.uint8) * (windows.labels + 1).view(-1, 1, 1).to(torch.uint8)
    return batch | {"image": images}


class PatchStream(IterableDataset[Batch]):
    """Endless batches of this rank from patch ``first_number()`` on; rank r takes the r-th part of each."""

    def __init__(
        self, patches: Patches, *, batch_size: int, rank: int, world_size: int, first_number: Callable[[], int]
    ) -> None:
        if batch_size % world_size:
            raise ValueError(
                f"batch_size is that of all ranks together: {batch_size} cannot be shared by {world_size} ranks"
            )
        self.patches, self.batch_size, self.first_number = patches, batch_size, first_number
        self.rank_batch, self.rank = batch_size // world_size, rank

    def __iter__(self) -> Iterator[Batch]:
        worker, num_workers = worker_and_count()
        start = self.first_number() + worker * self.batch_size
        while True:
            yield self.patches.batch(start + self.rank * self.rank_batch, self.rank_batch)
            start += max(1, num_workers) * self.batch_size


def tested(windows: Windows, size: int) -> Mapping[str, Tensor]:
    """All windows as patches around their middles, as a test shows them: pictures stay bytes."""
    rows = {"image": middle(windows.images, size), "label": windows.labels, "real": windows.real}
    if windows.twins is not None:
        rows["template"] = middle(windows.twins, size)
    if windows.masks is not None:
        rows["mask"] = middle(windows.masks, size) * (windows.labels + 1).view(-1, 1, 1).to(torch.uint8)
    return rows
