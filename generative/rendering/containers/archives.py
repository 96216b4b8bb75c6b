"""Zips and tar archives as the files in them."""

from __future__ import annotations

import tarfile
import threading
import zipfile
from collections.abc import Iterable
from pathlib import Path

from generative.rendering.containers.base import DAMAGED, Container, cause


class Zip(Container):
    def __init__(self, path: Path) -> None:
        try:
            self.archive = zipfile.ZipFile(path)
        except DAMAGED as error:
            raise ValueError(f"{path} is damaged ({cause(error)}): fetch it again") from error
        self.files: dict[str, zipfile.ZipInfo] = {}
        super().__init__(path)

    def find_files(self) -> Iterable[str]:
        with_backslash = 0
        for file in self.archive.infolist():
            name = file.filename.replace("\\", "/")
            with_backslash += name != file.filename
            if name.endswith("/"):
                continue
            if name in self.files:
                raise ValueError(named_twice(name, self.path))
            self.files[name] = file
        if with_backslash:
            self.notes.append(
                f"{self.path} writes folders with backslashes in {with_backslash} names: taken as folders"
            )
        return sorted(self.files)

    def num_bytes(self, name: str) -> int:
        return self.files[name].file_size

    def mark(self, name: str) -> str:
        return f"{self.files[name].file_size} {self.files[name].CRC:08x}"

    def read(self, name: str) -> bytes:
        return self.archive.read(self.files[name])

    def close(self) -> None:
        self.archive.close()


class Tar(Container):
    """Also compressed. In the archive's own order: a compressed one can only be read from its beginning."""

    def __init__(self, path: Path) -> None:
        self.extents: dict[str, tuple[int, int]] = {}  # name -> first byte, number of bytes
        self.marks: dict[str, str] = {}
        self.lock = threading.Lock()
        try:
            self.archive = tarfile.open(path)  # noqa: SIM115 - open as long as the container lives
            self.find_extents(path)
        except DAMAGED as error:
            raise ValueError(f"{path} is damaged or cut short ({cause(error)}): fetch it again") from error
        super().__init__(path)

    def find_extents(self, path: Path) -> None:
        while (member := self.archive.next()) is not None:
            self.archive.members = []  # type: ignore[attr-defined] # a million of them are gigabytes
            if member.size < 0:  # would lead back to a header before it, for ever
                raise tarfile.ReadError(f"{member.name} has a negative size")
            if member.isdir():
                continue
            name = member.name.removeprefix("./")
            if name in self.extents:
                raise ValueError(named_twice(name, path))
            if member.islnk():  # a second name of a file before it
                target = member.linkname.removeprefix("./")
                if target not in self.extents:
                    raise ValueError(
                        f"{path} says that {name} is a second name of {target}, which is not in it before: pack it again with "
                        "the file itself"
                    )
                self.extents[name] = self.extents[target]
            else:
                # Of what has no bytes here, or not in a row, such as a symbolic link, nothing is read, and so it is named.
                is_whole = member.isreg() and not member.issparse()
                self.extents[name] = (member.offset_data, member.size if is_whole else 0)
            self.marks[name] = f"{self.extents[name]} {member.mtime}"
        # tarfile takes a damaged header for the end, which is zeros.
        self.file = self.archive.fileobj
        assert self.file is not None
        self.file.seek(self.archive.offset)
        if any(self.file.read(tarfile.BLOCKSIZE)):
            raise tarfile.ReadError(f"no header at byte {self.archive.offset}")

    def find_files(self) -> Iterable[str]:
        return list(self.extents)

    def num_bytes(self, name: str) -> int:
        return self.extents[name][1]

    def mark(self, name: str) -> str:
        return self.marks[name]

    def read(self, name: str) -> bytes:
        first, size = self.extents[name]
        assert self.file is not None
        with self.lock:
            self.file.seek(first)
            content = self.file.read(size)
        if len(content) < size:
            raise EOFError("the archive is cut short")
        return content

    def close(self) -> None:
        self.archive.close()


def named_twice(name: str, path: Path) -> str:
    return f"{path} holds {name} twice, and which one is meant it does not say: pack it again without the other"
