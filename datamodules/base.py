"""Images by global number: order and shards are functions of (seed, number), so there is no state to restore."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from generative.augmentation import DRAWS, flip_and_crop
from generative.randomness import Stream, permutation
from generative.rendering.images import from_uint8

Batch = dict[str, Any]  # "image" [B, C, H, W] in [-1, 1], "label" [B] int64, "first_number" int


@dataclass(frozen=True)
class Augmentation:
    """``flip`` mirrors half of the images; ``crop_padding`` moves them by up to so many pixels over black."""

    seed: int
    flip: bool = False
    crop_padding: int = 0

    def __call__(self, images: Tensor, first_number: int) -> Tensor:
        """Images [B, C, H, W] of the run's global numbers ``first_number ..``, uint8 or floats in [-1, 1]."""
        if not self.flip and self.crop_padding == 0:
            return images
        uniform = Stream(self.seed, "augment").uniform(first_number, len(images), DRAWS)
        black = 0 if images.dtype == torch.uint8 else -1.0
        return flip_and_crop(images, uniform, flip=self.flip, padding=self.crop_padding, fill=black)


def as_batch(
    images: Tensor, labels: Tensor, indices: Tensor, first_number: int, augmentation: Augmentation | None = None
) -> Batch:
    chosen = images[indices]
    if augmentation is not None:
        chosen = augmentation(chosen, first_number)
    return {
        "image": from_uint8(chosen) if chosen.dtype == torch.uint8 else chosen,
        "label": labels[indices],
        "first_number": first_number,
    }


class TrainingStream:
    """Endless batches of this rank, from global image number ``first_number()`` on, asked anew at each start.

    Epoch e shows every image once in the order of ``permutation(seed, e)``; image number k is the k-th of that
    endless sequence, whatever the batch size. Of each global batch rank r takes the r-th part.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        batch_size: int,
        seed: int,
        rank: int,
        world_size: int,
        first_number: Callable[[], int],
        augmentation: Augmentation | None = None,
    ) -> None:
        if batch_size % world_size:
            raise ValueError(
                f"batch_size is that of all ranks together: {batch_size} cannot be shared by {world_size} ranks"
            )
        self.images, self.labels, self.seed = images, labels, seed
        self.batch_size, self.rank_batch, self.rank = batch_size, batch_size // world_size, rank
        self.first_number = first_number
        self.augmentation = augmentation

    def __iter__(self) -> Iterator[Batch]:
        size = len(self.images)
        orders: dict[int, np.ndarray] = {}
        start = self.first_number()
        while True:
            first = start + self.rank * self.rank_batch
            numbers = np.arange(first, first + self.rank_batch)
            epochs = numbers // size
            orders = {
                e: orders[e] if e in orders else permutation(self.seed, e, size) for e in np.unique(epochs).tolist()
            }
            indices = np.concatenate([orders[e][numbers[epochs == e] % size] for e in orders])
            yield as_batch(self.images, self.labels, torch.from_numpy(indices), first, self.augmentation)
            start += self.batch_size


class EvaluationBatches:
    """Every image of a split once, in order, over all ranks together: no padding, no repetition."""

    def __init__(self, images: Tensor, labels: Tensor, *, batch_size: int, rank: int, world_size: int) -> None:
        self.images, self.labels, self.batch_size = images, labels, batch_size
        self.indices = torch.arange(len(images))[rank::world_size]

    def __len__(self) -> int:
        return -(-len(self.indices) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for indices in self.indices.split(self.batch_size):
            yield as_batch(self.images, self.labels, indices, int(indices[0]))


class ImageDataModule(LightningDataModule):
    """Base of all data modules. A subclass states the class attributes and :meth:`load`.

    ``batch_size`` is the number of images in a step over all ranks together. ``flip`` and ``crop_padding`` augment the
    training images, as functions of the seed and the image's number in the run.
    """

    image_shape: tuple[int, int, int]  # channels, height, width
    num_classes: int  # 0: no labels
    splits: tuple[str, ...] = ("train", "test")

    def __init__(self, *, batch_size: int, seed: int, flip: bool = False, crop_padding: int = 0) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if crop_padding < 0:
            raise ValueError(f"crop_padding must be at least 0, got {crop_padding}")
        self.augmentation = Augmentation(seed, flip=flip, crop_padding=crop_padding)
        self.batch_size = batch_size
        self.seed = seed
        self.arrays: dict[str, tuple[Tensor, Tensor]] = {}

    @abstractmethod
    def load(self, split: str) -> tuple[Tensor, Tensor]:
        """Read ``split`` from disk: images [N, C, H, W], uint8 or float32 in [-1, 1], and labels [N] int64."""

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        """Images and labels of a split, or of ``"all"`` of them one after the other; read once, then kept."""
        if name == "all":
            parts = [self.split(part) for part in self.splits]
            return torch.cat([images for images, _ in parts]), torch.cat([labels for _, labels in parts])
        if name not in self.splits:
            raise ValueError(f"unknown split {name!r}: choose one of {', '.join(self.splits)} or all")
        if name not in self.arrays:
            self.arrays[name] = self.load(name)
        return self.arrays[name]

    def setup(self, stage: str) -> None:
        self.split("test" if stage == "test" else "train")

    def train_dataloader(self) -> TrainingStream:
        trainer = self.trainer
        assert trainer is not None
        return TrainingStream(
            *self.split("train"),
            batch_size=self.batch_size,
            seed=self.seed,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            first_number=lambda: cast(int, trainer.lightning_module.images_seen),
            augmentation=self.augmentation,
        )

    def test_dataloader(self) -> EvaluationBatches:
        trainer = self.trainer
        assert trainer is not None
        return EvaluationBatches(
            *self.split("test"), batch_size=self.batch_size, rank=trainer.global_rank, world_size=trainer.world_size
        )
