"""Grids of samples with fixed latents, so that pictures of one run can be compared over time."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from lightning.pytorch import Callback, Trainer
from PIL import Image

from generative.rendering.images import image_grid
from lightning_modules.base import GenerativeModule, Method

MAX_SIDE_PIXELS = 96  # of one image of a grid: small images are enlarged, each pixel to a square, up to this


def sample_grid_name(kimg: float, image_size: int) -> str:
    """``kimg_000012.500_64px.png``: sorts by time."""
    return f"kimg_{kimg:010.3f}_{image_size}px.png"


@runtime_checkable
class TakesPictures(Protocol):
    """A logger that shows pictures, by the convention of Lightning's own."""

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None: ...


def log_picture(trainer: Trainer, method: Method, name: str, picture: Image.Image) -> None:
    """Hand a picture to every logger that takes any, with the run's clock in its caption."""
    kimg = method.images_seen / 1000
    for logger in trainer.loggers:
        if isinstance(logger, TakesPictures):
            logger.log_image(name, [picture], step=method.images_seen, caption=[f"{kimg:g} kimg"])


class SampleGrid(Callback):
    """Saves a grid at the start, every ``every_kimg`` and at the end, for each of ``image_sizes``, on disk and on the dashboards.

    Columns are classes where there are any. An empty ``image_sizes`` means the data's own size only; other sizes
    need a method that draws any resolution. Methods that do not generate are left alone.
    """

    def __init__(
        self,
        *,
        run_dir: str,
        every_kimg: float,
        image_sizes: list[int],
        num_rows: int = 8,
        num_columns: int = 10,
        seed: int = 0,
    ) -> None:
        self.folder = Path(run_dir) / "samples"
        self.every_kimg = every_kimg
        self.image_sizes = image_sizes
        self.num_rows, self.num_columns = num_rows, num_columns
        self.seed = seed

    def on_train_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        if isinstance(method, GenerativeModule) and not method.any_resolution:
            other = [size for size in self.image_sizes if size != method.image_shape[1]]
            if other:
                raise ValueError(f"{type(method).__name__} draws no image of {other[0]} pixels, only its own size")
        if method.images_seen == 0:
            self.save(trainer, method)

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        if method.crossed(self.every_kimg):
            self.save(trainer, method)

    def on_train_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        self.save(trainer, method)

    def save(self, trainer: Trainer, method: Method) -> None:
        if not trainer.is_global_zero or not isinstance(method, GenerativeModule):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for size in self.image_sizes or [method.image_shape[1]]:
            path = self.folder / sample_grid_name(method.images_seen / 1000, size)
            if path.exists():
                continue
            labels = None
            if method.num_classes > 0:
                labels = (torch.arange(self.num_rows * self.num_columns) % self.num_columns) % method.num_classes
            images = method.sample(
                0,
                self.num_rows * self.num_columns,
                seed=self.seed,
                labels=labels,
                image_size=None if size == method.image_shape[1] else size,
            )
            picture = image_grid(images, num_columns=self.num_columns, scale=max(1, MAX_SIDE_PIXELS // size // 2))
            picture.save(path)
            log_picture(trainer, method, f"samples/{size}px", picture)
