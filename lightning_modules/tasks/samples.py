"""Samples of any generator: how they are drawn, and any number of them in files to measure or to use."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from generative.checks import check_at_least
from generative.rendering.images import to_uint8
from generative.rendering.writers import WRITERS, unfinished
from lightning_modules.base import Draws, ImageData
from lightning_modules.labels import labels_to_follow
from metrics.samples import among_groups, check_finite, in_turn

BATCH = 256  # as evaluate.py draws for raw pixels, so that images come out to the same bit
BATCH_PIXELS = 1 << 22  # fewer of large images


def asked_classes(method: Draws, classes: list[int] | int | None) -> list[int] | None:
    """The classes that were named, as a list; None where none were. ValueError where the model has no such class."""
    if classes is None:
        return None
    named = [classes] if isinstance(classes, int) else classes
    if method.num_classes == 0:
        raise ValueError("this model is unconditional: leave out classes")
    if not named:
        raise ValueError("classes is empty: name at least one, or leave it out for all")
    method.check_labels(torch.tensor(named))
    return named


def labels_for(method: Draws, classes: list[int] | int | None, rows: int) -> Tensor | None:
    """Labels of ``rows`` rows of images: a column for each class asked for, or for each there is; None without classes."""
    named = asked_classes(method, classes)
    if method.num_classes == 0:
        return None
    chosen = torch.arange(method.num_classes) if named is None else torch.tensor(named)
    return method.check_labels(chosen.repeat(rows))


@torch.no_grad()
def draw(
    method: Draws,
    first: int,
    count: int,
    *,
    seed: int,
    labels: Tensor | None,
    resolution: int | None = None,
    psi: float = 1.0,
) -> Tensor:
    """Images number ``first .. first + count - 1`` of ``seed`` in the classes ``labels`` [count]: [count, C, H, W] on the CPU.

    ValueError where the method cannot do what is asked for, or an image has pixels that are not finite.
    """
    asked: dict[str, Any] = {}
    if resolution is not None and resolution != method.image_shape[1]:
        if not method.any_resolution:
            raise ValueError(
                f"{type(method).__name__} draws images of {method.image_shape[1]} pixels only: leave out resolution"
            )
        asked["image_size"] = resolution
    if psi != 1.0:
        if not method.truncates:
            raise ValueError(f"{type(method).__name__} has no mean to move towards: leave out psi")
        asked["psi"] = psi
    images = method.sample(first, count, seed=seed, labels=labels, **asked).cpu()
    check_finite(images, first=first)
    return images


def samples(
    method: Draws,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    count: int = 1000,
    format: str = "png",
    labels: str | None = None,
    classes: list[int] | int | None = None,
    resolution: int | None = None,
    psi: float = 1.0,
    sampling: str | None = None,
) -> list[Path]:
    """The samples 0 .. count - 1 of ``seed``, the ones that evaluate.py measures under this seed, in files.

    ``png``: the folder ``samples``, ``zip``: the same in ``samples.zip``; a folder for each class, if there are any, and
    in it a file for each image, named by its number. ``npz``: ``samples.npz`` with ``arr_0`` [N, H, W, C] and ``arr_1``,
    the labels. evaluate.py reads all three. ``labels``, as evaluate.py's: classes in the shares of the training images
    (``data``, the default) or all as often (``balanced``); ``classes``: these in turn instead. ``sampling``, as
    evaluate.py's: of a method that draws in several ways. One batch is in memory at a time. What is there already is never
    touched: ValueError.
    """
    check_at_least(1, count=count)
    if sampling is not None:
        method.use_sampling(sampling)
    if format not in WRITERS:
        raise ValueError(f"format must be one of {', '.join(WRITERS)}, got {format!r}")
    cycle = asked_cycle(method, datamodule, labels=labels, classes=classes, seed=seed)
    shape = method.image_shape if resolution is None else (method.image_shape[0], resolution, resolution)
    drawing = partial(draw, method, seed=seed, resolution=resolution, psi=psi)
    target = output / ("samples" if format == "png" else f"samples.{format}")
    with unfinished(target) as path, WRITERS[format](path, count, shape) as write, progress(count, target.name) as bar:
        for numbers in numbers_in_batches(count, shape):
            first, size = int(numbers[0]), len(numbers)
            images = among_groups(method, first, size, cycle=cycle, draw=drawing)
            of_batch = in_turn(cycle, first, size)
            write(first, to_uint8(images), None if of_batch is None else of_batch.cpu())
            bar.update(size)
    return [target]


def asked_cycle(
    method: Draws, datamodule: ImageData, *, labels: str | None, classes: list[int] | int | None, seed: int
) -> Tensor | None:
    """The classes to draw, over and over; None without any. The training labels are read only where they are followed."""
    named = asked_classes(method, classes)
    if named is not None:
        if labels is not None:
            raise ValueError(f"classes={classes} and labels={labels} both say which classes: give one of them")
        return torch.tensor(named, device=method.device)
    return method.label_cycle(labels_to_follow(method, datamodule, labels or "data"), seed=seed)


def numbers_in_batches(count: int, shape: tuple[int, int, int]) -> Iterator[Tensor]:
    """The numbers 0 .. count - 1 in parts that are drawn at once."""
    yield from torch.arange(count).split(max(1, min(BATCH, BATCH_PIXELS // max(1, shape[1] * shape[2]))))


def progress(count: int, what: str) -> tqdm:
    """How many are done, how fast, how long it will take; a line every 20 s where the output is no screen."""
    return tqdm(total=count, desc=what, unit=" images", file=sys.stderr, mininterval=0.5 if sys.stderr.isatty() else 20)
