"""Which defects of a set are known, and the settings that say so: shared by patches for classifiers and crops for detectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from datamodules.base import ImageDataModule
from datamodules.patches.windows import BoxedSet


def check_settings(*, size: int, num_real: int | None, subset_seed: int, synthetic_share: float) -> None:
    """ValueError for settings of a data module that no patches or crops can have."""
    if size < 8 or size % 8:
        raise ValueError(f"datamodule.size must be a multiple of 8, got {size}")
    if num_real is not None and num_real < 1:
        raise ValueError(f"datamodule.num_real must be at least 1, got {num_real}")
    if subset_seed < 0:
        raise ValueError(f"datamodule.subset_seed must be at least 0, got {subset_seed}")
    if not 0 < synthetic_share <= 1:
        raise ValueError(f"datamodule.synthetic_share must be above 0 and at most 1, got {synthetic_share}")


def with_boxes(source: Callable[..., ImageDataModule], *, batch_size: int, seed: int) -> ImageDataModule:
    """The set that patches or crops are cut from; ValueError for one without boxes."""
    made = source(batch_size=batch_size, seed=seed)
    if not made.target_classes:
        raise ValueError(f"{made.name} has no boxes: give a source with some, such as deeppcb or inspection")
    return made


def known_places(boxed: BoxedSet, names: Sequence[str], *, num_real: int | None, seed: int) -> list[Tensor]:
    """Of each class int64 [M, 2], image and box of ``num_real`` defects (None: all), in an order of ``seed``.

    ValueError where a class has not so many, or none.
    """
    found = []
    for label, name in enumerate(names):
        places = boxed.of_class(label, seed=seed, name=name)
        count = len(places)
        if not count:
            raise ValueError(
                f"the class {name!r} has no training example: label one, or take it off datamodule.source.classes"
            )
        if num_real is not None and count < num_real:
            raise ValueError(
                f"num_real={num_real} is more than the {count} training defects of {name!r}: give num_real={count} or fewer"
            )
        found.append(places[:num_real])
    return found
