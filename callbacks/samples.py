"""Grids of samples with fixed latents, so that pictures of one run can be compared over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from PIL import Image
from torch import Tensor

from callbacks.loggers.entries import log_picture
from datamodules.base import ImageDataModule
from generative.rendering.images import GREY, as_floats, from_uint8, image_grid, side_by_side
from lightning_modules.base import Draws, Method, Translates
from records.run_files import REAL_IMAGES, grid_facts, grid_name, grids

MAX_SIDE_PIXELS = 96  # of one image of a grid: small images are enlarged, each pixel to a square, up to this
MAX_GRID_PIXELS = 2**24  # of a grid: large images stand in fewer rows
BLANK = GREY / 127.5 - 1.0  # where a class has no image left to show


def kept(clocks: Sequence[float], *, every_kimg: float, most: int) -> set[float]:
    """Which of the grids at ``clocks`` (kimg, ascending) stay on disk: about evenly spread, at most ``most`` and the last.

    The first one in each stretch of ``every_kimg``; of twice, four times ... that length once there would be too many. So
    a long run is covered as a short one is, and a resumed run keeps what an uninterrupted one keeps.
    """
    stretch = every_kimg
    while stretch > 0 and clocks and clocks[-1] / stretch >= most - 1:
        stretch *= 2
    if stretch == every_kimg or stretch <= 0:
        return set(clocks)
    first_of: dict[int, float] = {}
    for clock in clocks:
        first_of.setdefault(int(clock / stretch + 1e-9), clock)
    return {*first_of.values(), clocks[-1]}


def real_numbers(asked: Tensor | None, labels: Tensor, count: int) -> list[int | None]:
    """Which of the real images with ``labels`` [N] stand in a grid of ``count``; None where there is none left to show.

    The first ones of each class in ``asked`` [count], in its places; without classes some from all over the set.
    """
    if asked is None and len(labels) < count:
        return [k if k < len(labels) else None for k in range(count)]
    if asked is None:
        return [k * len(labels) // count for k in range(count)]
    of_class = {number: iter((labels == number).nonzero().flatten().tolist()) for number in asked.unique().tolist()}
    return [next(of_class[number], None) for number in asked.tolist()]


class SampleGrid(Callback):
    """Saves a grid at the start, every ``every_kimg`` and at the end, for each of ``image_sizes``, on disk and on the dashboards.

    Columns are classes where there are any. An empty ``image_sizes`` means the data's own size only; other sizes need a method
    that draws any resolution. One that grows is shown at the size at which it learns as well. Of a long run ``most_kept`` grids
    of each size stay on disk, spread over its time. Beside them ``real_images.png`` shows training images of the same classes
    in the same places, written once. Methods that do not generate are left alone; those that translate show their inputs
    beside their grids.
    """

    def __init__(
        self,
        *,
        run_dir: str,
        every_kimg: float,
        image_sizes: list[int],
        num_rows: int = 8,
        num_columns: int = 10,
        most_kept: int = 64,
        seed: int = 0,
    ) -> None:
        if most_kept < 2:
            raise ValueError(f"callbacks.samples.most_kept must be at least 2, the first and the last, got {most_kept}")
        self.folder = Path(run_dir) / "samples"
        self.every_kimg = every_kimg
        self.image_sizes = image_sizes
        self.num_rows, self.num_columns = num_rows, num_columns
        self.most_kept = most_kept
        self.seed = seed

    def on_train_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        if isinstance(method, Draws) and not method.any_resolution:
            other = [size for size in self.image_sizes if size != method.image_shape[1]]
            if other:
                raise ValueError(f"{type(method).__name__} draws no image of {other[0]} pixels, only its own size")
        self.save_real(trainer, method)
        if method.images_seen == 0:
            self.save(trainer, method)

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        # The last state is shown at the end, once it is concluded.
        if method.crossed(self.every_kimg) and not trainer.should_stop:
            self.save(trainer, method)

    def on_train_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        self.save(trainer, method)

    def count_and_labels(self, method: Draws, size: int) -> tuple[int, Tensor | None]:
        """How many images a grid of ``size`` pixels has, and their classes [count]: so many rows that it can be handled."""
        most_rows = max(1, MAX_GRID_PIXELS // (self.num_columns * size**2))
        count = min(self.num_rows, most_rows) * self.num_columns
        if method.num_classes == 0:
            return count, None
        return count, (torch.arange(count) % self.num_columns) % method.num_classes

    def picture(self, images: Tensor) -> Image.Image:
        """The grid of ``images`` [N, C, H, W] in [-1, 1], small ones enlarged."""
        scale = max(1, MAX_SIDE_PIXELS // images.shape[2] // 2)
        return image_grid(images, num_columns=self.num_columns, scale=scale)

    def save(self, trainer: Trainer, method: Method) -> None:
        if not trainer.is_global_zero or not isinstance(method, Draws):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for size in self.sizes(method):
            path = self.folder / grid_name(method.images_seen / 1000, size)
            if path.exists():
                continue
            count, labels = self.count_and_labels(method, size)
            images = method.sample(
                0, count, seed=self.seed, labels=labels, image_size=None if size == method.image_shape[1] else size
            )
            picture = self.picture(images)
            if isinstance(method, Translates):
                inputs = self.picture(self.inputs(method, count, labels))
                picture = side_by_side([("inputs", inputs), ("translations", picture)])
            picture.save(path)
            log_picture(trainer, method, f"samples/{size}px", picture)
        self.prune()

    def sizes(self, method: Draws) -> list[int]:
        """Pixels a side of the grids that are saved now."""
        listed = self.image_sizes or [method.image_shape[1]]
        learning = method.learning_size
        return listed if learning is None or learning in listed else [learning, *listed]

    def inputs(self, method: Translates, count: int, labels: Tensor | None) -> Tensor:
        """What a grid shows translations of, [count, C, H, W] in [-1, 1], in middle grey where a mask says what is to change."""
        images, masks = method.inputs_of(0, count, seed=self.seed, labels=labels)
        shown = from_uint8(images)
        return shown if masks is None else torch.where(masks[:, None] > 0, 0.0, shown)

    def prune(self) -> None:
        """Delete the grids that a run of this length is not to keep."""
        for paths in grids(self.folder).values():
            clocks = [grid_facts(path)[0] for path in paths]
            staying = kept(clocks, every_kimg=self.every_kimg, most=self.most_kept)
            for path, clock in zip(paths, clocks, strict=True):
                if clock not in staying:
                    path.unlink()

    def save_real(self, trainer: Trainer, method: Method) -> None:
        path = self.folder / REAL_IMAGES
        if not trainer.is_global_zero or not isinstance(method, Draws) or path.exists():
            return
        datamodule: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
        images, labels = datamodule.split("train")
        count, asked = self.count_and_labels(method, method.image_shape[1])
        numbers = real_numbers(asked, labels, count)
        rows = images[torch.tensor([number for number in numbers if number is not None], dtype=torch.long)]
        shown = torch.full((count, *rows.shape[1:]), BLANK)
        shown[torch.tensor([number is not None for number in numbers])] = as_floats(rows)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.picture(shown).save(path)
