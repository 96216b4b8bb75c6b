"""The container that a path is: a folder, a zip, a tar archive, an LMDB, or a folder of archives that are one set."""

from __future__ import annotations

import re
import tarfile
import threading
import zipfile
from collections.abc import Iterable
from pathlib import Path

from generative.rendering.containers.archives import Tar, Zip
from generative.rendering.containers.base import DAMAGED, Container
from generative.rendering.containers.databases import Lmdb
from generative.rendering.containers.folders import Folder
from generative.rendering.containers.formats import DATABASE, PACKED, TABLES, is_hidden

SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
SHARD = re.compile(r"(?:(.+)[-_.])?\d+")  # train-000000, 00012


class Shards(Container):
    """A folder of archives as one set: numbered shards, as WebDataset has them, or an archive for each class.

    Of ``train-000003.tar`` the part before the number is read as a folder, ``n01440764.tar`` is the folder of that name.
    One archive is open at a time.
    """

    def __init__(self, folder: Folder, archives: list[str]) -> None:
        self.folder, self.archives = folder, dict.fromkeys(archives)
        self.opened: tuple[str, Container] | None = None
        self.lock = threading.RLock()
        super().__init__(folder.path)

    def find_files(self) -> Iterable[str]:
        self.notes.append(f"{self.path} holds {len(self.archives)} archives, which are read as one set")
        for archive in self.archives:
            files = self.open(archive)
            self.notes += files.notes
            yield from (f"{archive}/{name}" for name in (*files.names, *files.others))
        yield from (name for name in self.folder.others if name not in self.archives)

    def open(self, archive: str) -> Container:
        if self.opened is None or self.opened[0] != archive:
            self.close()
            self.opened = archive, open_container(self.path / archive)
        return self.opened[1]

    def archive_of(self, name: str) -> str | None:
        """The archive that a file lies in; None for one beside them."""
        parts = name.split("/")
        above = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
        return next((folder for folder in above if folder in self.archives), None)

    def within(self, name: str) -> tuple[Container, str]:
        """What a file is to be read from, and its name there."""
        archive = self.archive_of(name)
        return (self.folder, name) if archive is None else (self.open(archive), name.removeprefix(f"{archive}/"))

    def folders_of(self, name: str) -> tuple[str, ...]:
        archive = self.archive_of(name)
        if archive is None:
            return super().folders_of(name)
        *folders, stem = archive.split("/")
        while Path(stem).suffix.lower() in PACKED:
            stem = Path(stem).stem
        shard = SHARD.fullmatch(stem)
        before = stem if shard is None else shard[1] or ""
        last_word = re.split("[-_.]", before)[-1]
        kind = last_word if last_word.lower() in SPLITS else before
        return (*folders, *([kind] if kind else []), *super().folders_of(name.removeprefix(f"{archive}/")))

    def num_bytes(self, name: str) -> int:
        with self.lock:
            files, file = self.within(name)
            return files.num_bytes(file)

    def mark(self, name: str) -> str:
        with self.lock:
            files, file = self.within(name)
            return files.mark(file)

    def read(self, name: str) -> bytes:
        with self.lock:
            files, file = self.within(name)
            return files.read(file)

    def close(self) -> None:
        if self.opened is not None:
            self.opened[1].close()
            self.opened = None


def open_container(path: Path) -> Container:
    """A folder, zip, tar archive or LMDB; ValueError where it is none of them."""
    if not path.exists():
        raise ValueError(f"there is no {path}")
    if path.is_dir():
        return Lmdb(path) if (path / "data.mdb").exists() else open_folder(path)
    suffix = path.suffix.lower()
    if suffix in DATABASE:
        return Lmdb(path)
    if zipfile.is_zipfile(path):
        return Zip(path)
    if is_tar(path):
        return Tar(path)
    if suffix in PACKED:
        raise ValueError(f"{path} is damaged or cut short: fetch it again")
    if suffix in TABLES:
        raise ValueError(f"{path} {TABLES[suffix]}")
    raise ValueError(f"{path} is neither a folder, a zip, a tar archive nor an LMDB of images")


def open_folder(path: Path) -> Container:
    """A folder of images, or of archives where it holds no images itself."""
    folder = Folder(path)
    archives = [
        name for name in folder.others if Path(name).suffix.lower() in PACKED and not is_hidden(Path(name).name)
    ]
    if folder.names or not archives or not is_archive(path / archives[0]):
        return folder
    return Shards(folder, archives)


def is_archive(path: Path) -> bool:
    return zipfile.is_zipfile(path) or is_tar(path)


def is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except DAMAGED:
        return False
