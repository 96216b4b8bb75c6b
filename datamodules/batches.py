"""Images by global number: order and shards are functions of (seed, number), so there is no state to restore."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from generative.augmentation import DRAWS, flip_and_crop, flip_and_crop_boxes
from generative.randomness import Stream, permutation
from generative.rendering.images import from_uint8
from generative.rendering.masks import NO_CLASS
from generative.schedules import Steps

# "image" [B, C, H, W]: pixels in [-1, 1].
# "label" [B] int64: the class of each image; 0 in a set without classes.
# "index" [B] int64: the number of each image in its split. It is the same in every epoch, in every rank, and however the
# image is augmented, so a method can keep something for each training image: split("train")[0][index] are the images.
# "first_number" int: the number, in the whole run, of the first image. The others follow it.
# Further entries are the set's targets (ImageDataModule.targets).
Batch = dict[str, Any]
# The run's global image numbers [B] -> the rows that they show
Order = Callable[[np.ndarray], np.ndarray]
# The rows of the run's global image numbers from a first one on -> the rows that are shown
Augment = Callable[[dict[str, Tensor], int], dict[str, Tensor]]


class Rows(Protocol):
    """A row for each image: a tensor, or files that are decoded when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, chosen: Tensor, /) -> Tensor: ...


class ChosenRows:
    """Rows ``numbers`` [N] of a set, indexed like a tensor of them: a row is copied when a batch asks for it."""

    def __init__(self, rows: Tensor, numbers: Tensor) -> None:
        self.rows, self.numbers = rows, numbers
        self.dtype, self.shape = rows.dtype, torch.Size((len(numbers), *rows.shape[1:]))
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, chosen: Tensor | slice) -> Tensor:
        return self.rows[self.numbers[chosen]]


class JoinedRows:
    """Sets of rows of one shape and type, one after the other, indexed like one tensor: nothing is copied before."""

    def __init__(self, parts: Sequence[Tensor]) -> None:
        self.parts = parts
        self.dtype, self.shape = parts[0].dtype, torch.Size((sum(map(len, parts)), *parts[0].shape[1:]))
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: Tensor | slice) -> Tensor:
        numbers = torch.arange(*chosen.indices(len(self))) if isinstance(chosen, slice) else chosen
        rows = torch.empty((len(numbers), *self.shape[1:]), dtype=self.dtype)
        first = 0
        for part in self.parts:
            here = (numbers >= first) & (numbers < first + len(part))
            if here.any():
                rows[here] = part[numbers[here] - first]
            first += len(part)
        return rows


@dataclass(frozen=True)
class Augmentation:
    """``flip`` mirrors half of the images; ``crop_padding`` moves them by up to so many pixels over black.

    Pictures, masks and boxes of an image move together; what comes in at the border of a mask is of no class, and a
    box that leaves the image is none.
    """

    seed: int
    flip: bool = False
    crop_padding: int = 0

    def __call__(self, rows: dict[str, Tensor], first_number: int) -> dict[str, Tensor]:
        """The rows of the run's global image numbers ``first_number ..``; pictures as uint8 or floats in [-1, 1]."""
        if not self.flip and self.crop_padding == 0:
            return rows
        images = rows["image"]
        uniform = Stream(self.seed, "augment").uniform(first_number, len(images), DRAWS)
        moved = dict(rows)
        for name, values in rows.items():
            if name == "mask":
                moved[name] = self.move(values[:, None], uniform, fill=NO_CLASS)[:, 0]
            elif values.ndim == 4:
                moved[name] = self.move(values, uniform, fill=0 if values.dtype == torch.uint8 else -1.0)
        if "boxes" in rows:
            moved["boxes"], moved["box_label"] = flip_and_crop_boxes(
                rows["boxes"],
                rows["box_label"],
                uniform,
                size=images.shape[2:],
                flip=self.flip,
                padding=self.crop_padding,
            )
        return moved

    def move(self, pictures: Tensor, uniform: Tensor, *, fill: float) -> Tensor:
        return flip_and_crop(pictures, uniform, flip=self.flip, padding=self.crop_padding, fill=fill)


def as_batch(
    rows: Mapping[str, Rows], indices: Tensor, first_number: int, augmentation: Augment | None = None
) -> Batch:
    """The rows number ``indices`` [B], as ``augmentation`` shows them in the run from ``first_number`` on."""
    chosen = {name: part[indices] for name, part in rows.items()}
    if augmentation is not None:
        chosen = augmentation(chosen, first_number)
    batch: Batch = {
        name: from_uint8(values) if values.ndim == 4 and values.dtype == torch.uint8 else values
        for name, values in chosen.items()
    }
    return batch | {"index": indices, "first_number": first_number}


def worker_and_count() -> tuple[int, int]:
    """The place of this process among those that load batches, and their number; (0, 1) without any."""
    worker = get_worker_info()
    return (0, 1) if worker is None else (worker.id, worker.num_workers)


def leave_signals_to_the_rank(worker: int) -> None:
    """A signal to the whole job: the rank that this process loads for needs it until its step is done and saved.

    SIGTERM is blocked, see :class:`ForkingLoader`, and waited for here.
    """
    for signum in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(signum, signal.SIG_IGN)

    def obey_the_rank() -> None:
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
            pass
        os._exit(0)

    threading.Thread(target=obey_the_rank, daemon=True).start()


class ForkingLoader(DataLoader[Batch]):
    """Forks its processes with SIGTERM blocked: also in the threads that libraries start in a process as it is forked."""

    def __iter__(self) -> Any:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            return super().__iter__()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Epochs:
    """Epoch e shows each of ``size`` images once in the order of ``permutation(seed, e)``; number k is the k-th of that."""

    def __init__(self, seed: int, size: int) -> None:
        self.seed, self.size = seed, size
        self.orders: dict[int, np.ndarray] = {}

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        epochs = numbers // self.size
        self.orders = {
            e: self.orders[e] if e in self.orders else permutation(self.seed, e, self.size)
            for e in np.unique(epochs).tolist()
        }
        return np.concatenate([self.orders[e][numbers[epochs == e] % self.size] for e in self.orders])


class TrainingStream(IterableDataset[Batch]):
    """Endless batches of this rank, from global image number ``first_number()`` on, asked anew at each start.

    ``order`` says which row image number k shows, whatever the batch size; None: :class:`Epochs`. Of each global batch rank
    r takes the r-th part; of each rank's batches loading process w of n makes every n-th, from the w-th on. ``batch_sizes``
    says how many images a global batch has that begins with an image of some number.
    """

    def __init__(
        self,
        rows: Mapping[str, Rows],
        *,
        batch_sizes: Steps,
        seed: int,
        rank: int,
        world_size: int,
        first_number: Callable[[], int],
        augmentation: Augment | None = None,
        order: Order | None = None,
    ) -> None:
        for size in batch_sizes.values:
            if size % world_size:
                raise ValueError(
                    f"batch_size is that of all ranks together: {size} cannot be shared by {world_size} ranks"
                )
        self.rows, self.seed = rows, seed
        self.batch_sizes, self.rank, self.world_size = batch_sizes, rank, world_size
        self.first_number = first_number
        self.augmentation, self.order = augmentation, order

    def __iter__(self) -> Iterator[Batch]:
        order = self.order or Epochs(self.seed, len(self.rows["image"]))
        worker, num_workers = worker_and_count()
        start = self.first_number()
        for number in count():
            size = self.batch_sizes.at(start)
            if number % num_workers == worker:
                share = size // self.world_size
                first = start + self.rank * share
                indices = order(np.arange(first, first + share))
                yield as_batch(self.rows, torch.from_numpy(indices), first, self.augmentation)
            start += size


class EvaluationBatches(IterableDataset[Batch]):
    """Every image of a split once, in order, over all ranks together: no padding, no repetition."""

    def __init__(self, rows: Mapping[str, Rows], *, batch_size: int, rank: int, world_size: int) -> None:
        self.rows, self.batch_size = rows, batch_size
        self.indices = torch.arange(len(rows["image"]))[rank::world_size]

    def __len__(self) -> int:
        return -(-len(self.indices) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        worker, num_workers = worker_and_count()
        for indices in self.indices.split(self.batch_size)[worker::num_workers]:
            yield as_batch(self.rows, indices, int(indices[0]))
