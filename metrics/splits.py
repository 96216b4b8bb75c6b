"""The splits of a data module as sets of images, and the judge that learns from one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from weakref import WeakKeyDictionary

from torch import Tensor

from metrics.image_sets import ImagesInMemory
from metrics.judge import Judge, PixelJudge
from metrics.quality import CLASS_METRICS


class DataInSplits(Protocol):
    """What is asked of a data module."""

    name: str
    num_classes: int  # 0: its labels are none

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        """Images [N, C, H, W], uint8 or in [-1, 1], and labels [N] of ``train``, ``test`` or ``all``."""

    def known_fingerprint(self, split: str) -> str | None:
        """That of the images of a split, where it stands beside them."""


# The sets of images of data modules by split, as long as a data module is in use.
MADE: WeakKeyDictionary[DataInSplits, dict[str, ImagesInMemory]] = WeakKeyDictionary()


def real_images(datamodule: DataInSplits, split: str) -> ImagesInMemory:
    """A split as uint8, by the same rounding that samples go through; made once for a data module, as is its fingerprint."""
    made = MADE.setdefault(datamodule, {})
    if split not in made:
        images, labels = datamodule.split(split)
        mark = datamodule.known_fingerprint(split)
        known = labels if datamodule.num_classes else None
        made[split] = ImagesInMemory(f"{datamodule.name}:{split}", images, known, mark=mark)
    return made[split]


def pixel_judge(datamodule: DataInSplits, metrics: Sequence[str]) -> Judge | None:
    """The judge of raw pixels, fitted on the training split, where ``metrics`` ask for one."""
    if not set(metrics) & set(CLASS_METRICS):
        return None
    train = real_images(datamodule, "train")
    assert train.known_labels is not None
    return PixelJudge(train.tensor, train.known_labels, data=train.name)
