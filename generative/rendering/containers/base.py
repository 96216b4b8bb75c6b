"""Sets of images as the files in them: what a folder, an archive and a database have in common.

What is no image is passed over and counted. Hidden files and folders, whose names begin with a point, and ``@eaDir`` of
network disks are not looked into: they hold previews and drafts of the images beside them.
"""

from __future__ import annotations

import lzma
import struct
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

from generative.rendering.containers.formats import count_kinds, counts_in_words, hidden_folder, is_image

# What the readers of the archives raise where one is damaged or locked
DAMAGED = (
    OSError, EOFError, RuntimeError, struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError,
)  # fmt: skip
MOST_BYTES = 2**30  # of a file: Pillow refuses what has more pixels than that


class Container(ABC):
    """``names`` are the images, ``/`` between folders, in the order in which they are given; ``others`` all other files.

    ``notes`` are sentences about what was found and how it was taken.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self.names: list[str] = []
        self.others: list[str] = []
        self.sort_out(self.find_files())

    def sort_out(self, files: Iterable[str]) -> None:
        hidden: dict[str, None] = {}
        for name in files:
            if (folder := hidden_folder(name)) is not None:
                hidden[folder] = None
            elif self.holds_image(name):
                self.names.append(name)
            else:
                self.others.append(name)
        self.others += hidden

    @abstractmethod
    def find_files(self) -> Iterable[str]:
        """The names of all files, in their order; a hidden folder may stand for what is in it."""

    @abstractmethod
    def num_bytes(self, name: str) -> int:
        """The size that is declared for a file."""

    @abstractmethod
    def mark(self, name: str) -> str:
        """Changes with the content of a file, and can be told without reading it."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """A file's content; one of DAMAGED where it cannot be read."""

    def close(self) -> None:  # noqa: B027 - a folder has nothing to let go of
        """Let go of the archive."""

    def folders_of(self, name: str) -> tuple[str, ...]:
        """The folders that a file lies in, from the top, as they speak of splits and classes."""
        return tuple(part for part in name.split("/")[:-1] if part)

    def holds_image(self, name: str) -> bool:
        return is_image(Path(name))

    def others_in_words(self) -> str:
        """How many files of which kind are no images; empty where all are."""
        return counts_in_words(count_kinds(self.others))

    def content(self, name: str) -> bytes:
        """A file's content; ValueError names one that cannot be read, or is too large to be an image."""
        try:
            if (size := self.num_bytes(name)) > MOST_BYTES:
                raise OSError(
                    f"it has {size / 1e9:.1f} GB, and no picture more than {MOST_BYTES / 1e9:.1f}: take it out"
                )
            return self.read(name)
        except DAMAGED as error:
            raise ValueError(f"{name} in {self.path} cannot be read: {cause(error)}") from error


def cause(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
