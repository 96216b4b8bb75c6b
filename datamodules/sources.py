"""Images as their publishers pack them: folders, zips, tar archives, LMDB. Each gives named, encoded images in a fixed order.

Where a ``dataset.json`` lies beside the images, at the top or in a folder that all of them share, it decides alone: its
labels are the classes (``null``: none), all is one split, and folders mean nothing, such as the numbered ones of
StyleGAN's tool. Else top folders train, val and test are splits, and the folders below them, or at the top, classes in
the order of their names, of their numbers where all are numbers; a single one is no class.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generative.rendering.files import is_image

SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
LABEL_FILE = "dataset.json"  # of the zips and folders that StyleGAN2-ADA's tool writes
MOST_CLASSES = 2**20  # a label above is no class but a mistake
PACKED = {".zip", ".tar", ".tgz", ".gz", ".xz", ".txz", ".bz2", ".tbz2"}
DATABASE = {".mdb", ".lmdb"}
# What the readers of the archives raise where one is damaged or locked
DAMAGED = (
    OSError, EOFError, RuntimeError, struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError,
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One image; ``label`` is -1 without classes."""

    name: str
    split: str
    label: int


def folder_of(name: str) -> str:
    return name.rpartition("/")[0]


def suffix_of(name: str) -> str:
    """For a count of files: ``.txt``; of what macOS adds, and of files with no suffix, the words."""
    file = name.rpartition("/")[2]
    return "of macOS (._)" if file.startswith("._") else Path(file).suffix.lower() or "with no suffix"


def in_words(passed_over: dict[str, int]) -> str:
    return ", ".join(f"{count} {suffix}" for suffix, count in passed_over.items())


class Source(ABC):
    """``classes`` are the names of the labels in their order; empty without labels. ``passed_over`` counts other files."""

    def __init__(self, path: Path, *, folders_are_classes: bool = True) -> None:
        self.path = path
        self.names: list[str] = []
        others: list[str] = []
        for name in self.find_files():
            (self.names if self.holds_image(name) else others).append(name)
        if not self.names:
            unpack = any(Path(name).suffix in DATABASE for name in others)
            raise ValueError(
                f"{path} holds no images{' but files: ' + in_words(counted(others)) if others else ''}"
                f"{'; unpack the database and give its folder' if unpack else ''}"
            )
        self.label_file = self.find_label_file(set(others))
        self.passed_over = counted(name for name in others if name != self.label_file)
        self.given_labels = self.read_labels()
        self.places = self.find_places()
        self.classes = self.find_classes() if folders_are_classes or self.given_labels else []
        self.numbers = {name: number for number, name in enumerate(self.classes)}

    @abstractmethod
    def find_files(self) -> Iterable[str]:
        """The names of all files, ``/`` between folders, in the order in which they are given."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """A file's content; one of DAMAGED where it cannot be read."""

    def close(self) -> None:  # noqa: B027 - a folder has nothing to let go of
        """Let go of the archive."""

    def holds_image(self, name: str) -> bool:
        return is_image(Path(name))

    def content(self, name: str) -> bytes:
        """The same; ValueError names the image."""
        try:
            return self.read(name)
        except DAMAGED as error:
            raise ValueError(f"{name} in {self.path} cannot be read: {explain(error)}") from error

    def __len__(self) -> int:
        return len(self.names)

    def find_label_file(self, others: set[str]) -> str | None:
        """The topmost, in a folder that all images share."""
        shared = shared_folder(self.names)
        above = ["/".join(shared[:depth]) for depth in range(len(shared) + 1)]
        return next((name for name in (f"{a}/{LABEL_FILE}".lstrip("/") for a in above) if name in others), None)

    def read_labels(self) -> dict[str, int]:
        """Name -> label of a ``dataset.json``; ValueError where it does not fit the images."""
        if self.label_file is None:
            return {}
        what = f"{self.label_file} in {self.path}"
        shape = 'it should be {"labels": [["name", number], ...]} or {"labels": null}: mend it or take it away'
        try:
            listed = json.loads(self.content(self.label_file))["labels"]
            if listed is None:
                return {}
            beside = folder_of(self.label_file)
            labels: dict[str, Any] = {f"{beside}/{name}".lstrip("/"): label for name, label in listed}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{what} is no list of labels ({error}); {shape}") from error
        for name, label in labels.items():
            if type(label) is not int or not 0 <= label < MOST_CLASSES:
                raise ValueError(f"{what} gives {name} the label {label!r}: classes are numbers from 0")
        missing = sorted(set(labels) - set(self.names))
        without = [name for name in self.names if name not in labels]
        if missing:
            raise ValueError(f"{what} names {len(missing)} images that are not there, such as {missing[0]}")
        if without:
            raise ValueError(f"{what} gives no label to {len(without)} images, such as {without[0]}")
        return labels

    def find_places(self) -> dict[str, tuple[str, str]]:
        """For each folder with images its split and its class folder: those below the folders that all images share."""
        folders = dict.fromkeys(folder_of(name) for name in self.names)
        if self.label_file is not None:
            return dict.fromkeys(folders, ("train", ""))
        shared = shared_folder(self.names)
        skip = next((depth for depth, folder in enumerate(shared) if folder.lower() in SPLITS), len(shared))
        below = {folder: parts_of(folder)[skip:] for folder in folders}
        tops = {parts[0] if parts else "" for parts in below.values()}
        splits = {top for top in tops if top.lower() in SPLITS}
        if splits and splits != tops:
            outside = next(name for name in self.names if not {*below[folder_of(name)][:1]} & splits)
            raise ValueError(
                f"{self.path} has the splits {', '.join(sorted(splits))}, and images outside them, such as {outside}: put each "
                "image into a split, or rename these folders if they are classes"
            )
        if splits:
            return {folder: (SPLITS[parts[0].lower()], (*parts[1:2], "")[0]) for folder, parts in below.items()}
        return {folder: ("train", (*parts[:1], "")[0]) for folder, parts in below.items()}

    def find_classes(self) -> list[str]:
        if self.given_labels:
            return [str(label) for label in range(max(self.given_labels.values()) + 1)]
        classes = {name for _, name in self.places.values()}
        if len(classes) < 2:
            return []
        if "" in classes:
            outside = next(name for name in self.names if not self.places[folder_of(name)][1])
            raise ValueError(
                f"{self.path} has class folders, and images outside them, such as {outside}: put each image into a class, or "
                "give --no-classes"
            )
        numbered = all(name.isdecimal() for name in classes)
        return sorted(classes, key=lambda name: (int(name) if numbered else 0, name))

    @property
    def splits(self) -> list[str]:
        return sorted({split for split, _ in self.places.values()})

    def entries(self) -> Iterator[Entry]:
        for name in self.names:
            split, folder = self.places[folder_of(name)]
            yield Entry(name, split, self.given_labels.get(name, self.numbers.get(folder, -1)))

    def fingerprint(self) -> str:
        """Of the names, splits and labels of all images, not of their contents."""
        digest = hashlib.sha256(repr(self.classes).encode("utf-8", "surrogateescape"))
        for entry in self.entries():
            digest.update(f"{entry.name}\0{entry.split}\0{entry.label}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:16]


def counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(suffix_of(name) for name in names).items()))


def parts_of(folder: str) -> tuple[str, ...]:
    return tuple(part for part in folder.split("/") if part)


def shared_folder(names: list[str]) -> tuple[str, ...]:
    """The folders that all names begin with."""
    folders = {parts_of(folder) for folder in {folder_of(name) for name in names}}
    low, high = min(folders), max(folders)
    length = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low[:length]


def explain(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


class Folder(Source):
    """Links are followed."""

    def find_files(self) -> Iterable[str]:
        def refuse(error: OSError) -> None:
            # Its images would be left out in silence.
            raise ValueError(f"{error.filename} cannot be read: {error.strerror}; give the right to read it") from error

        found = []
        for folder, folders, files in os.walk(self.path, onerror=refuse, followlinks=True):
            for name in folders:
                link = Path(folder, name)
                if link.is_symlink() and Path(folder).resolve().is_relative_to(link.resolve()):
                    raise ValueError(f"{link} is a link to a folder that it lies in: take it away")
            found += [Path(folder, file).relative_to(self.path).as_posix() for file in files]
        return sorted(found)

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()


class Zip(Source):
    def __init__(self, path: Path, *, folders_are_classes: bool = True) -> None:
        try:
            self.archive = zipfile.ZipFile(path)
        except DAMAGED as error:
            raise ValueError(f"{path} is damaged ({explain(error)}): fetch it again") from error
        super().__init__(path, folders_are_classes=folders_are_classes)

    def find_files(self) -> Iterable[str]:
        return sorted({info.filename for info in self.archive.infolist() if not info.is_dir()})

    def read(self, name: str) -> bytes:
        return self.archive.read(name)

    def close(self) -> None:
        self.archive.close()


class Tar(Source):
    """Also compressed. In the archive's own order: a compressed one can only be read from its beginning."""

    def __init__(self, path: Path, *, folders_are_classes: bool = True) -> None:
        self.extents: dict[str, tuple[int, int]] = {}  # name -> first byte, number of bytes
        try:
            self.archive = tarfile.open(path)  # noqa: SIM115 - open as long as the source lives
            self.find_extents()
        except DAMAGED as error:
            raise ValueError(f"{path} is damaged or cut short ({explain(error)}): fetch it again") from error
        super().__init__(path, folders_are_classes=folders_are_classes)

    def find_extents(self) -> None:
        while (member := self.archive.next()) is not None:
            self.archive.members = []  # type: ignore[attr-defined] # a million of them are gigabytes
            name = member.name.removeprefix("./")
            if member.islnk():  # a second name of a file before it
                self.extents[name] = self.extents[member.linkname.removeprefix("./")]
            elif not member.isdir():
                # Of what has no bytes here, such as a symbolic link, nothing is read, and so it is named.
                self.extents[name] = (member.offset_data, member.size if member.isreg() else 0)
        # tarfile takes a damaged header for the end, which is zeros.
        self.file = self.archive.fileobj
        assert self.file is not None
        self.file.seek(self.archive.offset)
        if any(self.file.read(tarfile.BLOCKSIZE)):
            raise tarfile.ReadError(f"no header at byte {self.archive.offset}")

    def find_files(self) -> Iterable[str]:
        return list(self.extents)

    def read(self, name: str) -> bytes:
        first, size = self.extents[name]
        assert self.file is not None
        self.file.seek(first)
        content = self.file.read(size)
        if len(content) < size:
            raise EOFError("the archive is cut short")
        return content

    def close(self) -> None:
        self.archive.close()


class Lmdb(Source):
    """The format of LSUN: keys and encoded images, no labels. Opened without a lock, so that a read-only copy does."""

    def __init__(self, path: Path, *, folders_are_classes: bool = True) -> None:
        try:
            import lmdb
        except ImportError as error:
            raise ValueError("an LMDB needs its reader: pip install lmdb") from error
        self.error = lmdb.Error
        try:
            self.database = lmdb.open(
                str(path), subdir=path.is_dir(), readonly=True, lock=False, readahead=False, meminit=False
            )
        except lmdb.Error as error:
            raise ValueError(f"{path} is no readable LMDB ({error}): fetch it again") from error
        file = path / "data.mdb" if path.is_dir() else path
        needed = (self.database.info()["last_pgno"] + 1) * self.database.stat()["psize"]
        if file.stat().st_size < needed:  # pages beyond the end would kill the process
            self.close()
            raise ValueError(f"{path} is cut short: {needed} bytes are needed; fetch it again")
        try:
            super().__init__(path, folders_are_classes=folders_are_classes)
        except lmdb.Error as error:
            self.close()
            raise ValueError(f"{path} is no readable LMDB ({error}): fetch it again") from error

    def holds_image(self, name: str) -> bool:
        return True

    def find_files(self) -> Iterable[str]:
        with self.database.begin() as transaction:
            keys = transaction.cursor().iternext(keys=True, values=False)
            return [key.decode("utf-8", "surrogateescape") for key in keys]

    def read(self, name: str) -> bytes:
        try:
            with self.database.begin() as transaction:
                content = transaction.get(name.encode("utf-8", "surrogateescape"))
        except self.error as error:
            raise OSError(str(error)) from error
        assert content is not None
        return content

    def close(self) -> None:
        self.database.close()


def open_source(path: Path, *, folders_are_classes: bool = True) -> Source:
    """A folder, zip, tar archive or LMDB of images; ValueError where it is none of them."""
    if not path.exists():
        raise ValueError(f"there is no {path}")
    kind: type[Source] | None = None
    if path.is_dir():
        kind = Lmdb if (path / "data.mdb").exists() else Folder
    elif path.suffix.lower() in DATABASE:
        kind = Lmdb
    elif zipfile.is_zipfile(path):
        kind = Zip
    elif is_tar(path):
        kind = Tar
    if kind is not None:
        return kind(path, folders_are_classes=folders_are_classes)
    if path.suffix.lower() in PACKED:
        raise ValueError(f"{path} is damaged or cut short: fetch it again")
    raise ValueError(f"{path} is neither a folder, a zip, a tar archive nor an LMDB of images")


def is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except DAMAGED:
        return False
