"""Sets of images in a folder, a zip or an array file, read when they are asked for."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

READABLE_MODES = {"L", "RGB", "RGBA", "P", "1"}
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
ARRAYS = {".npy", ".npz"}
NUM_THREADS = 4  # that decode: Pillow lets go of the interpreter's lock while it does


class ImageFiles:
    """All images below a folder or in a zip, in the order of their names; images are decoded when asked for.

    The sizes of all are read at once: ValueError names the first that cannot be read or differs from those before it.
    Labels are the numbers of the sorted first-level folders, where every image lies in one and there are several.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
            self.names = [str(file.relative_to(path)) for file in found]
            self.read: Callable[[str], bytes] = lambda name: (path / name).read_bytes()
            marks = [(name, (path / name).stat().st_size, (path / name).stat().st_mtime_ns) for name in self.names]
        elif zipfile.is_zipfile(path):
            self.archive = zipfile.ZipFile(path)
            entries = sorted(
                (entry for entry in self.archive.infolist() if Path(entry.filename).suffix.lower() in SUFFIXES),
                key=lambda entry: entry.filename,
            )
            self.names = [entry.filename for entry in entries]
            self.read = self.archive.read
            marks = [(entry.filename, entry.file_size, entry.CRC) for entry in entries]
        else:
            raise ValueError(f"{path} is neither a folder, a zip nor an array file of images")
        if not self.names:
            raise ValueError(f"{path} holds no images ({', '.join(sorted(SUFFIXES))})")
        self.mark = hashlib.sha256(repr(marks).encode()).hexdigest()[:12]
        with ThreadPoolExecutor(NUM_THREADS) as threads:
            shapes = list(threads.map(self.shape_of, self.names))
        self.shape = shapes[0]
        for name, shape in zip(self.names, shapes, strict=True):
            if shape != self.shape:
                raise ValueError(
                    f"{self.describe(name)} is {in_words(shape)}, the images before it {in_words(self.shape)}: bring "
                    "them to one shape"
                )

    def __len__(self) -> int:
        return len(self.names)

    def describe(self, name: str) -> str:
        return str(self.path / name) if self.path.is_dir() else f"{name} in {self.path}"

    def open(self, name: str) -> Image.Image:
        """An image whose header was read; ValueError names the file."""
        try:
            picture = Image.open(io.BytesIO(self.read(name)))
        except (UnidentifiedImageError, OSError, zipfile.BadZipFile) as error:
            raise ValueError(f"{self.describe(name)} is not a readable image: {reason(error)}") from error
        if picture.mode not in READABLE_MODES:
            raise ValueError(
                f"{self.describe(name)} is of mode {picture.mode}, not 8 bits grey or colour: convert it first"
            )
        return picture

    def shape_of(self, name: str) -> tuple[int, int, int]:
        with self.open(name) as picture:
            return 1 if picture.mode == "L" else 3, picture.height, picture.width

    def decode(self, name: str) -> Tensor:
        """One file as uint8 [C, H, W]: grey stays one channel, everything else becomes RGB."""
        with self.open(name) as picture:
            try:
                array = np.array(picture if picture.mode == "L" else picture.convert("RGB"))
            except (OSError, SyntaxError) as error:
                raise ValueError(f"{self.describe(name)} is not a readable image: {reason(error)}") from error
        return torch.from_numpy(array)[None] if array.ndim == 2 else torch.from_numpy(array).permute(2, 0, 1)

    def images(self, first: int, count: int) -> Tensor:
        with ThreadPoolExecutor(NUM_THREADS) as threads:
            return torch.stack(list(threads.map(self.decode, self.names[first : first + count])))

    def labels(self) -> Tensor | None:
        folders = [Path(name).parts[0] if len(Path(name).parts) > 1 else None for name in self.names]
        classes = sorted({folder for folder in folders if folder is not None})
        if None in folders or len(classes) < 2:
            return None
        return torch.tensor([classes.index(folder) for folder in folders if folder is not None])

    def fingerprint(self) -> str:
        """Of names, sizes and times of change (in a zip: checksums)."""
        return self.mark


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
        arrays = {name: found[name] for name in found.files} if path.suffix == ".npz" else {"images": found}
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
