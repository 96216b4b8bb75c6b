"""A folder as the files below it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from generative.rendering.containers.base import Container, cause
from generative.rendering.containers.formats import is_hidden


class Folder(Container):
    """Links are followed."""

    def find_files(self) -> Iterable[str]:
        def refuse(error: OSError) -> None:
            # Its images would be left out in silence.
            raise ValueError(f"{error.filename} cannot be read: {error.strerror}; give the right to read it") from error

        found = []
        for folder, folders, files in os.walk(self.path, onerror=refuse, followlinks=True):
            place = Path(folder).relative_to(self.path)
            for name in [name for name in folders if is_hidden(name)]:
                folders.remove(name)
                found.append((place / name).as_posix() + "/")
            for name in folders:
                link = Path(folder, name)
                if link.is_symlink() and Path(folder).resolve().is_relative_to(link.resolve()):
                    raise ValueError(f"{link} is a link to a folder that it lies in: take it away")
            found += [(place / file).as_posix() for file in files]
        return sorted(found)

    def num_bytes(self, name: str) -> int:
        return (self.path / name).stat().st_size

    def mark(self, name: str) -> str:
        try:
            facts = (self.path / name).stat()
        except OSError as error:
            return cause(error)
        return f"{facts.st_size} {facts.st_mtime_ns}"

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()
