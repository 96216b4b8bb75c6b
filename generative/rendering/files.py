"""Sets of images in a folder, a zip or an array file, read when they are asked for."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from generative.rendering.containers.sets import open_container
from generative.rendering.pictures import NUM_THREADS, WHITE, Header, read_header, read_picture

ARRAYS = {".npy", ".npz"}


class ImageFiles:
    """All images below a folder or in a zip, in the order of :func:`in_order`; they are decoded when asked for.

    Sizes and checksums of all are read at once: ValueError names the first that cannot be read. ``shape`` is that of all
    images; height and width are 0 where they differ. One in colour makes all of them colour. They are upright by their
    EXIF data, transparent parts on ``background``. Labels are the first-level folders, where every image lies in one and
    there are several: their names if all are numbers, else their places among the sorted names. ``notes`` are sentences
    about how the set was taken.
    """

    def __init__(self, path: Path, *, background: str = WHITE) -> None:
        self.path, self.name, self.background = path, str(path), background
        if not path.is_dir() and not zipfile.is_zipfile(path):
            raise ValueError(f"{path} is neither a folder, a zip nor an array file of images")
        self.files = open_container(path)
        self.names = in_order(self.files.names)
        if not self.names:
            others = f" but files: {self.files.others_in_words()}" if self.files.others else ""
            raise ValueError(f"{path} holds no images{others}")
        with ThreadPoolExecutor(NUM_THREADS) as threads:
            found = list(threads.map(self.header_and_mark, self.names))
        headers = [header for header, _ in found]
        channels = 1 if all(header.is_grey for header in headers) else 3
        self.sizes = [(header.height, header.width) for header in headers]
        self.shape = (channels, *self.sizes[0]) if len(set(self.sizes)) == 1 else (channels, 0, 0)
        marks = [(name, *mark) for name, (_, mark) in zip(self.names, found, strict=True)]
        self.mark = hashlib.sha256(repr(marks).encode()).hexdigest()[:12]
        self.notes = [*self.files.notes, *self.notes_on(headers)]

    def notes_on(self, headers: list[Header]) -> Iterator[str]:
        if self.files.others:
            others = self.files.others_in_words()
            yield f"{self.path} holds {len(self.names)} images; passed over, as none: {others}"
        if turned := sum(header.turned for header in headers):
            yield f"{self.path}: {turned} images are turned upright, as their EXIF data say"
        if transparent := sum(header.transparent for header in headers):
            yield f"{self.path}: {transparent} images have transparent parts, which are shown on {self.background}"
        if 0 < (greys := sum(header.is_grey for header in headers)) < len(headers):
            yield f"{self.path}: {greys} of {len(headers)} images are grey and count as images in colour"
        if len(set(self.sizes)) > 1:
            least, most = (" x ".join(map(str, size)) for size in (min(self.sizes), max(self.sizes)))
            yield f"{self.path}: images of {len(set(self.sizes))} sizes, from {least} to {most} pixels (height x width)"

    def __len__(self) -> int:
        return len(self.names)

    def describe(self, name: str) -> str:
        return str(self.path / name) if self.path.is_dir() else f"{name} in {self.path}"

    def header_and_mark(self, name: str) -> tuple[Header, tuple[int | str, ...]]:
        """The header of an image, and what its pixels follow from: its bytes, and our reading of it where that has changed."""
        content = self.files.content(name)
        header = read_header(content, self.describe(name))
        shown = ["upright"] * header.turned + [self.background] * header.transparent
        shown += ["grey"] * (header.is_grey and header.mode != "L")
        return header, (zlib.crc32(content), *shown)

    def decode(self, name: str) -> Tensor:
        """One file as uint8 [C, H, W]: one channel where all images are grey, else RGB."""
        picture = read_picture(
            self.files.content(name), self.describe(name), channels=self.shape[0], background=self.background
        )
        array = torch.from_numpy(np.array(picture.image))
        return array[None] if array.ndim == 2 else array.permute(2, 0, 1)

    def images(self, first: int, count: int) -> Tensor:
        return self.select(list(range(first, min(first + count, len(self.names)))))

    def select(self, numbers: Sequence[int]) -> Tensor:
        """uint8 [len(numbers), C, H, W]; ValueError where not all images of the set have one size."""
        if self.shape[1] == 0:
            other = next(number for number, size in enumerate(self.sizes) if size != self.sizes[0])
            sizes = [" x ".join(map(str, self.sizes[number])) for number in (other, 0)]
            raise ValueError(
                f"{self.describe(self.names[other])} is {sizes[0]} pixels, the images before it {sizes[1]}: bring them to "
                "one shape"
            )
        return torch.stack(self.each(numbers))

    def each(self, numbers: Sequence[int]) -> list[Tensor]:
        """uint8 [C, H, W] of each, in its own size."""
        with ThreadPoolExecutor(NUM_THREADS) as threads:
            return list(threads.map(self.decode, [self.names[number] for number in numbers]))

    @property
    def folders(self) -> list[str]:
        """The first-level folder of each image that lies in one."""
        found = [self.files.folders_of(name) for name in self.names]
        return [folders[0] for folders in found if folders]

    @property
    def folders_are_numbers(self) -> bool:
        return all(name.isdecimal() for name in self.folders)

    def labels(self) -> Tensor | None:
        classes = sorted(set(self.folders))
        if len(self.folders) < len(self.names) or len(classes) < 2:
            return None
        if self.folders_are_numbers:
            return torch.tensor([int(folder) for folder in self.folders])
        places = {name: place for place, name in enumerate(classes)}
        return torch.tensor([places[folder] for folder in self.folders])

    def fingerprint(self) -> str:
        """Of the names and contents of all files: a folder and a zip of it have the same."""
        return self.mark


def in_order(names: Sequence[str]) -> list[str]:
    """By name; of images in folders that are numbered through all of them, as samples by class are, by number."""
    stems = [Path(name).stem for name in names]
    are_numbered = all(stem.isdecimal() for stem in stems) and len(set(map(int, stems))) == len(stems)
    if are_numbered and any(len(Path(name).parts) > 1 for name in names):
        return sorted(names, key=lambda name: int(Path(name).stem))
    return sorted(names)


def shape_in_words(shape: tuple[int, int, int]) -> str:
    return f"{'grey' if shape[0] == 1 else 'in colour'}, {shape[1]} x {shape[2]} pixels"


def read_array(path: Path) -> tuple[Tensor, Tensor | None]:
    """Images uint8 [N, C, H, W] and labels, if any, of an array file: [N, H, W] or [N, H, W, C], uint8.

    An ``.npz`` holds them as ``arr_0`` and ``arr_1`` (the format that diffusion models are compared in) or as
    ``images`` and ``labels``.
    """
    try:
        found: Any = np.load(path, allow_pickle=False)
        arrays = {name: found[name] for name in found.files} if path.suffix.lower() == ".npz" else {"images": found}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a readable array file: {error}") from error
    images = arrays.get("images", arrays.get("arr_0"))
    labels = arrays.get("labels", arrays.get("arr_1"))
    if images is None:
        raise ValueError(f"{path} holds no array called images or arr_0, but {', '.join(arrays)}")
    if images.dtype != np.uint8:
        low, high = (float(value) for value in (np.min(images), np.max(images)))
        raise ValueError(
            f"{path} holds {images.dtype} values from {low:g} to {high:g}: give uint8 levels from 0 to 255, so that it is plain "
            "how they were rounded"
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(f"{path} holds an array of shape {images.shape}: images are [N, H, W] or [N, H, W, 1 or 3]")
    tensor = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    return tensor, None if labels is None else torch.from_numpy(labels.astype(np.int64))
