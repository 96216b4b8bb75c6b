"""Images that stay in their files until a batch asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from datamodules.notices import warn_once
from generative.rendering.pictures import NUM_THREADS, WHITE, open_picture, read_picture, upright


class FileRows:
    """Files that are indexed like a uint8 tensor [N, *row_shape] of what ``decode`` makes of each.

    ``decode`` returns uint8 [*row_shape] and raises ValueError that names the file and the remedy.
    """

    dtype = torch.uint8

    def __init__(self, files: Sequence[Path], decode: Callable[[Path], Tensor], row_shape: tuple[int, ...]) -> None:
        self.files, self.decode = list(files), decode
        self.shape = torch.Size((len(self.files), *row_shape))
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, chosen: Tensor | slice) -> Tensor:
        numbers = range(len(self))[chosen] if isinstance(chosen, slice) else chosen.tolist()
        # Threads of the moment: a loading process is forked, and threads do not survive that.
        with ThreadPoolExecutor(NUM_THREADS) as threads:
            rows = list(threads.map(lambda number: self.decode(self.files[number]), numbers))
        return torch.stack(rows) if rows else torch.empty((0, *self.shape[1:]), dtype=self.dtype)


def decode_upright(path: Path) -> Image.Image:
    """The picture in a file, all of it read, upright; ValueError names a file that cannot be."""
    try:
        with open_picture(path.read_bytes(), str(path)) as picture:
            return upright(picture)
    except Exception as error:  # Pillow's decoders let through whatever damaged bytes lead to
        what = str(error).removeprefix(f"{path} is not a readable image: ")
        raise ValueError(f"{path} cannot be read ({what or type(error).__name__}): fetch it again") from error


def decode_colour(path: Path) -> Image.Image:
    """The picture in a file, in colour and upright, transparent parts on white, which is said.

    ValueError names a file that cannot be read.
    """
    picture = read_picture(path.read_bytes(), str(path))
    if picture.transparent:
        warn_once(f"{path.parent}: transparent parts of its pictures are shown on {WHITE}")
    return picture.image
