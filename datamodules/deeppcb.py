"""DeepPCB: tested circuit boards beside the faultless boards that they should be, and the boxes of six kinds of defects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from datamodules.batches import Rows
from datamodules.boxes import BoxedImages, Inspected
from datamodules.splits import check_apart
from datamodules.stored_images import tell_count

LISTS = {"train": "trainval.txt", "test": "test.txt"}
COUNTS = {"train": 1000, "test": 500}


class DeepPCB(BoxedImages):
    """1,500 pairs of 640 x 640 pixels, near-binary, copper dark.

    Batches also hold "template", the faultless board [B, 1, H, W], and "group" [B], the number of the board's kind: the
    test split has kinds that the training split never shows.
    """

    channels = 1
    target_classes = ("open", "short", "mousebite", "spur", "copper", "pin-hole")

    def find(self, split: str) -> Sequence[Inspected]:
        places = (self.data_dir, self.data_dir / "PCBData")
        folder = next((place for place in places if (place / LISTS[split]).exists()), None)
        if folder is None:
            raise ValueError(
                f"DeepPCB is not in {self.data_dir}: put the folder PCBData of its repository (tangsanli5201/DeepPCB), with "
                f"{LISTS[split]}, there"
            )
        lines = [line.split() for line in (folder / LISTS[split]).read_text().splitlines() if line.strip()]
        bad = next((line for line in lines if len(line) != 2), None)
        if bad is not None:
            raise ValueError(
                f"{folder / LISTS[split]} has the line {' '.join(bad)!r}: each should name an image and its boxes"
            )
        other = folder / LISTS["test" if split == "train" else "train"]
        if other.exists():
            theirs = [line.split()[0] for line in other.read_text().splitlines() if line.strip()]
            check_apart([image for image, _ in lines], theirs, folder)
        tell_count(folder, split, len(lines), published=COUNTS[split], title="DeepPCB")
        return [self.inspected(folder / image, folder / boxes) for image, boxes in lines]

    def inspected(self, listed: Path, source: Path) -> Inspected:
        """The lists say ``ID.jpg``, the files are ``ID_test.jpg`` and ``ID_temp.jpg``."""
        if not source.exists():
            raise ValueError(f"{source} is missing: fetch the set again, or take the image off its list")
        try:
            rows = [[int(word) for word in line.split()] for line in source.read_text().splitlines() if line.strip()]
            boxes = [(left, top, right, bottom) for left, top, right, bottom, _ in rows]
        except ValueError as error:
            raise ValueError(
                f"{source} should have five numbers a line, x1 y1 x2 y2 kind ({error}): mend it"
            ) from error
        return Inspected(
            image=listed.with_name(f"{listed.stem}_test.jpg"),
            boxes=boxes,
            labels=[row[4] - 1 for row in rows],  # kinds are counted from 1
            source=source,
        )

    def further_targets(self, split: str, found: Sequence[Inspected]) -> Mapping[str, Rows]:
        templates = [one.image.with_name(one.image.name.replace("_test.", "_temp.")) for one in found]
        missing = next((template for template in templates if not template.exists()), None)
        if missing is not None:
            raise ValueError(f"{missing}, the faultless board of a pair, is not there: fetch the set again")
        groups = torch.tensor([int(one.image.parent.name) for one in found])
        return {"template": self.pictures(templates), "group": groups}
