"""The images that a task starts from: of the test split by number, or of a folder, a zip or an array file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from generative.checks import check_at_least
from generative.inversion.measurements import Grey
from generative.rendering.files import ARRAYS, ImageFiles, read_array, shape_in_words
from generative.rendering.images import from_uint8
from lightning_modules.base import Draws, ImageData
from lightning_modules.tasks.held_out import held_out


class Originals(NamedTuple):
    """``images`` [N, C, H, W] in [-1, 1] and their ``labels`` [N], where they are known and the model takes any."""

    images: Tensor
    labels: Tensor | None


class Source(ABC):
    """Images by their place, read when they are asked for; ``names`` has one for each, unlike all others."""

    names: list[str]
    numbers: list[int]  # by which random masks and starts are addressed: in the test split, or the place among files
    told: str  # in settings that are compared

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def read(self, method: Draws, places: Sequence[int]) -> Originals:
        """Images of the model's shape, on its device and in its type, and their own labels."""


class TestImages(Source):
    """Of the test split, by number."""

    def __init__(self, datamodule: ImageData, numbers: Sequence[int]) -> None:
        self.datamodule, self.numbers = datamodule, list(numbers)
        self.names = unique([str(number) for number in numbers], of=f"{datamodule.name}'s test split")
        self.told = f"{datamodule.name}:test {', '.join(self.names)}"

    def read(self, method: Draws, places: Sequence[int]) -> Originals:
        numbers = torch.tensor([self.numbers[place] for place in places], dtype=torch.long)
        images, labels = held_out(self.datamodule, numbers)
        return Originals(images.to(next(method.parameters())), labels)


class Files(Source):
    """Of a folder, a zip or an array file. They carry no labels, since another set's classes mean something else.

    Each has the model's shape, or with ``fit`` is brought to it.
    """

    def __init__(self, path: Path, *, fit: bool) -> None:
        if not path.exists():
            raise ValueError(f"there is no folder or file {path} of images")
        self.path, self.fit, self.told = path, fit, f"{path.resolve()}{', fitted' if fit else ''}"
        self.stored = read_array(path)[0] if path.suffix.lower() in ARRAYS else ImageFiles(path)
        if isinstance(self.stored, ImageFiles):
            self.names = unique([str(Path(name).with_suffix("")) for name in self.stored.names], of=str(path))
        else:
            self.names = [str(number) for number in range(len(self.stored))]
        self.numbers = list(range(len(self.names)))

    def read(self, method: Draws, places: Sequence[int]) -> Originals:
        stored, chosen = self.stored, list(places)
        if isinstance(stored, Tensor):
            images = fitted(method, stored[chosen], name=str(self.path), fit=self.fit)
        else:  # each as it is, since photos seldom have one size
            each = zip(chosen, stored.each(chosen), strict=True)
            found = [(stored.describe(stored.names[place]), image[None]) for place, image in each]
            images = torch.cat([fitted(method, image, name=name, fit=self.fit) for name, image in found])
        return Originals(images.to(next(method.parameters())), None)


def unique(names: list[str], *, of: str) -> list[str]:
    """``names`` themselves; ValueError where two images have one: what is made of them would have one file."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{of} holds or is asked for two images called {name}: rename or leave out one of them")
        seen.add(name)
    return names


def open_source(
    datamodule: ImageData, *, images: list[int] | int | str | None, count: int | None, fit: bool
) -> tuple[Source, int]:
    """Where images come from, and how many of them are asked for: ``count``, or all where it is None.

    ``images``: numbers in the test split, all of which are taken, or a path; without it the first test images.
    """
    if count is not None:
        check_at_least(1, count=count)
    if isinstance(images, str):
        files = Files(Path(images).expanduser(), fit=fit)
        return files, min(count or len(files), len(files))
    num_images = len(datamodule.split("test")[1])
    numbers = list(range(min(count or num_images, num_images))) if images is None else images
    chosen = [numbers] if isinstance(numbers, int) else numbers
    if not chosen or min(chosen) < 0 or max(chosen) >= num_images:
        raise ValueError(
            f"images are numbers from 0 to {num_images - 1}, of the test split of {datamodule.name}, or a path: "
            f"got {images}"
        )
    return TestImages(datamodule, chosen), len(chosen)


def open_originals(
    method: Draws,
    datamodule: ImageData,
    *,
    images: list[int] | int | str | None,
    count: int,
    classes: list[int] | int | None,
    fit: bool,
) -> Originals:
    """All images of :func:`open_source`.

    Labels are those of the split unless ``classes`` says otherwise: one for all, or one each.
    """
    source, number = open_source(datamodule, images=images, count=count, fit=fit)
    found = source.read(method, range(number))
    return Originals(found.images, labels_of_originals(method, found.labels, classes, number))


def labels_of_originals(
    method: Draws, own: Tensor | None, classes: list[int] | int | None, count: int
) -> Tensor | None:
    if classes is None:
        return own.to(method.device) if own is not None and method.num_classes > 0 else None
    asked = torch.tensor([classes] if isinstance(classes, int) else classes)
    if method.num_classes == 0:
        raise ValueError("this model is unconditional: leave out classes")
    if len(asked) not in (1, count):
        raise ValueError(f"classes names one class for all images or one for each of the {count}, got {len(asked)}")
    return method.check_labels(asked.expand(count))


def fitted(method: Draws, images: Tensor, *, name: str, fit: bool) -> Tensor:
    """Images in [-1, 1] of the model's shape: as they are, or with ``fit`` their central part, brought to its size and colour."""
    channels, height, width = images.shape[1:]
    found, wanted = (channels, height, width), method.image_shape
    values = from_uint8(images)
    if found == wanted:
        return values
    if not fit:
        raise ValueError(
            f"{name} is {shape_in_words(found)}, and this model draws images {shape_in_words(wanted)}: bring them to that, or "
            "add fit=true"
        )
    if wanted[0] == 1 and found[0] == 3:
        values = Grey()(values)
    values = values.expand(-1, wanted[0], -1, -1)
    scale = max(wanted[1] / found[1], wanted[2] / found[2])
    size = [round(length * scale) for length in found[1:]]
    values = F.interpolate(values, size=size, mode="bicubic", antialias=True, align_corners=False).clamp(-1, 1)
    top, left = (size[0] - wanted[1]) // 2, (size[1] - wanted[2]) // 2
    return values[:, :, top : top + wanted[1], left : left + wanted[2]]
