"""Sets of images by number: in memory, chosen from others, a random part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from generative.randomness import permutation
from generative.rendering.images import fingerprint, to_uint8


class ImageSet(Protocol):
    """Images by number. ``shape`` is that of each of them; height and width are 0 where they have several sizes."""

    name: str
    shape: tuple[int, int, int]

    def __len__(self) -> int: ...

    def images(self, first: int, count: int) -> Tensor:
        """uint8 [count, C, H, W]: images number ``first`` to ``first + count - 1``."""

    def labels(self) -> Tensor | None:
        """int64 [N], where known."""

    def fingerprint(self) -> str:
        """The start of a hash of the images; empty for those that are drawn afresh."""


class KeptImageSet(ImageSet, Protocol):
    """One that lies in memory or on disk."""

    def select(self, numbers: Sequence[int]) -> Tensor:
        """uint8 [len(numbers), C, H, W]; ValueError where the images have several sizes."""

    def each(self, numbers: Sequence[int]) -> list[Tensor]:
        """uint8 [C, H, W] of each, in its own size."""


def has_several_sizes(images: ImageSet) -> bool:
    return images.shape[1] == 0


class ImagesInMemory:
    """``images`` [N, C, H, W], uint8 or floats in [-1, 1] (or what is indexed like such a tensor), and their ``labels`` [N].

    ``mark`` is the images' fingerprint, where it is known; otherwise it is taken once, when it is asked for.
    ValueError names the first image that is neither, and labels of another number or below 0.
    """

    def __init__(self, name: str, images: Tensor, labels: Tensor | None = None, *, mark: str | None = None) -> None:
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(f"{name}: images must be [N, 1 or 3, H, W], got {tuple(images.shape)}")
        if labels is not None and (labels.shape != images.shape[:1] or bool((labels < 0).any())):
            raise ValueError(
                f"{name}: labels must be one class from 0 for each of {len(images)} images, got shape {tuple(labels.shape)}"
            )
        self.name = name
        self.tensor = images if images.dtype == torch.uint8 else to_uint8(in_range(images, name=name))
        self.shape = (int(images.shape[1]), int(images.shape[2]), int(images.shape[3]))
        self.known_labels = labels
        self.mark = mark

    def __len__(self) -> int:
        return len(self.tensor)

    def images(self, first: int, count: int) -> Tensor:
        return self.tensor[first : first + count]

    def select(self, numbers: Sequence[int]) -> Tensor:
        return self.tensor[torch.tensor(numbers)]

    def each(self, numbers: Sequence[int]) -> list[Tensor]:
        return list(self.select(numbers))

    def labels(self) -> Tensor | None:
        return self.known_labels

    def fingerprint(self) -> str:
        if self.mark is None:
            self.mark = fingerprint(self.tensor)
        return self.mark


class ChosenImages:
    """Images ``chosen`` of a set, in that order."""

    def __init__(self, whole: KeptImageSet, chosen: list[int], *, name: str) -> None:
        self.whole, self.chosen, self.name, self.shape = whole, chosen, name, whole.shape

    def __len__(self) -> int:
        return len(self.chosen)

    def images(self, first: int, count: int) -> Tensor:
        return self.whole.select(self.chosen[first : first + count])

    def select(self, numbers: Sequence[int]) -> Tensor:
        return self.whole.select([self.chosen[number] for number in numbers])

    def each(self, numbers: Sequence[int]) -> list[Tensor]:
        return self.whole.each([self.chosen[number] for number in numbers])

    def labels(self) -> Tensor | None:
        labels = self.whole.labels()
        return None if labels is None else labels[self.chosen]

    def fingerprint(self) -> str:
        return f"{self.whole.fingerprint()}:{len(self.chosen)}"


class RandomPart(ChosenImages):
    """``count`` images of a set, chosen without repetition by a fixed seed: the same ones everywhere."""

    def __init__(self, whole: KeptImageSet, count: int) -> None:
        chosen = sorted(permutation(0, 0, len(whole))[:count].tolist())
        super().__init__(whole, chosen, name=f"{whole.name} ({count} of {len(whole)})")


def random_part(images: KeptImageSet, count: int | None) -> KeptImageSet:
    """``count`` images of a set, or all; ValueError where it has not so many."""
    if count is None or count == len(images):
        return images
    if not 1 <= count < len(images):
        raise ValueError(f"{images.name} has {len(images)} images: {count} of them cannot be chosen")
    return RandomPart(images, count)


def in_range(images: Tensor, *, name: str) -> Tensor:
    """``images`` [B, ...] if all values are in [-1, 1]; ValueError names the set, the image and the value."""
    bad = ~(images.abs() <= 1 + 1e-4)  # also where a value is NaN
    if bad.any():
        is_bad = bad.flatten(1).any(dim=1)
        place = int(is_bad.nonzero()[0])
        value = images[place][bad[place]][0].item()
        raise ValueError(
            f"{name}: image number {place} has the value {value:g}, and {int(is_bad.sum())} images have values outside [-1, 1]"
        )
    return images
