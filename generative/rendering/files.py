"""Sets of images in a folder, a zip or an array file, read when they are asked for."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

READABLE_MODES = {"L", "RGB", "RGBA", "P", "1", "CMYK", "LA"}
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
ARRAYS = {".npy", ".npz"}
NUM_THREADS = 4  # that decode: Pillow lets go of the interpreter's lock while it does


class ImageFiles:
    """All images below a folder or in a zip, in the order of their names; they are decoded when asked for.

    Sizes and checksums of all are read at once: ValueError names the first that cannot be read or differs from those before it.
    Labels are the first-level folders, where every image lies in one and there are several: their names if all are
    numbers, else their places among the sorted names. Transparency is dropped.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)
        if path.is_dir():
            self.names = sorted(str(file.relative_to(path)) for file in path.rglob("*") if is_image(file))
            self.read: Callable[[str], bytes] = lambda name: (path / name).read_bytes()
        elif zipfile.is_zipfile(path):
            self.archive = zipfile.ZipFile(path)
            self.names = sorted(name for name in self.archive.namelist() if is_image(Path(name)))
            self.read = self.archive.read
        else:
            raise ValueError(f"{path} is neither a folder, a zip nor an array file of images")
        if not self.names:
            raise ValueError(f"{path} holds no images ({', '.join(sorted(SUFFIXES))})")
        with ThreadPoolExecutor(NUM_THREADS) as threads:
            found = list(threads.map(self.shape_and_checksum, self.names))
        self.shape = found[0][0]
        for name, (shape, _) in zip(self.names, found, strict=True):
            if shape != self.shape:
                raise ValueError(
                    f"{self.describe(name)} is {in_words(shape)}, the images before it {in_words(self.shape)}: bring "
                    "them to one shape"
                )
        marks = [(name, checksum) for name, (_, checksum) in zip(self.names, found, strict=True)]
        self.mark = hashlib.sha256(repr(marks).encode()).hexdigest()[:12]

    def __len__(self) -> int:
        return len(self.names)

    def describe(self, name: str) -> str:
        return str(self.path / name) if self.path.is_dir() else f"{name} in {self.path}"

    def content(self, name: str) -> bytes:
        try:
            return self.read(name)
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:  # RuntimeError: encrypted
            raise ValueError(f"{self.describe(name)} cannot be read: {error}") from error

    def shape_and_checksum(self, name: str) -> tuple[tuple[int, int, int], int]:
        content = self.content(name)
        with open_picture(content, self.describe(name)) as picture:
            return (1 if picture.mode == "L" else 3, picture.height, picture.width), zlib.crc32(content)

    def decode(self, name: str) -> Tensor:
        """One file as uint8 [C, H, W]: grey stays one channel, everything else becomes RGB."""
        with open_picture(self.content(name), self.describe(name)) as picture:
            try:
                array = np.array(picture if picture.mode == "L" else picture.convert("RGB"))
            except (OSError, SyntaxError) as error:
                raise ValueError(f"{self.describe(name)} is not a readable image: {reason(error)}") from error
        return torch.from_numpy(array)[None] if array.ndim == 2 else torch.from_numpy(array).permute(2, 0, 1)

    def images(self, first: int, count: int) -> Tensor:
        return self.select(list(range(first, min(first + count, len(self.names)))))

    def select(self, numbers: Sequence[int]) -> Tensor:
        """uint8 [len(numbers), C, H, W]."""
        with ThreadPoolExecutor(NUM_THREADS) as threads:
            return torch.stack(list(threads.map(self.decode, [self.names[number] for number in numbers])))

    @property
    def folders(self) -> list[str]:
        """The first-level folder of each image that lies in one."""
        return [Path(name).parts[0] for name in self.names if len(Path(name).parts) > 1]

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


def open_picture(content: bytes, name: str) -> Image.Image:
    """An image whose header was read; ValueError names it where that cannot be, or where it is of more than 8 bits."""
    try:
        picture = Image.open(io.BytesIO(content))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name} is not a readable image: {reason(error)}") from error
    if picture.mode not in READABLE_MODES:
        raise ValueError(f"{name} is of mode {picture.mode}, not 8 bits grey or colour: convert it first")
    return picture


def is_image(path: Path) -> bool:
    """By its suffix; what macOS puts beside images in its zips (``__MACOSX/._name.png``) is none."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith("._")


def in_words(shape: tuple[int, int, int]) -> str:
    return f"{'grey' if shape[0] == 1 else 'in colour'}, {shape[1]} x {shape[2]} pixels"


def reason(error: Exception) -> str:
    """What is wrong with a file, without the address of the buffer that it was read from."""
    return "no known format of images" if isinstance(error, UnidentifiedImageError) else str(error)


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
