"""Folders, zips, tar archives and LMDBs as the files in them: the one walk for training and for measuring.

What is no image is passed over and counted. Hidden files and folders, whose names begin with a point, and ``@eaDir`` of
network disks are not looked into: they hold previews and drafts of the images beside them.
"""

from __future__ import annotations

import lzma
import os
import re
import struct
import tarfile
import threading
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

# All that Pillow reads but stubs, which need a program beside it, and tables that may hold anything (.hdf, .grib ...)
SUFFIXES = {
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".dib", ".webp", ".avif", ".avifs", ".gif", ".tif",
    ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".tga", ".icb", ".vda",
    ".vst", ".qoi", ".pcx", ".dcx", ".sgi", ".bw", ".rgb", ".rgba", ".ras", ".psd", ".dds", ".ico", ".cur", ".icns", ".im",
    ".msp", ".xbm", ".xpm", ".fit", ".fits", ".fli", ".flc", ".pcd", ".pxr", ".iim", ".blp", ".ftc", ".ftu", ".gbr",
}  # fmt: skip
SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
PREVIEWS = {"@eaDir"}  # of Synology's disks
PACKED = {".zip", ".tar", ".tgz", ".gz", ".xz", ".txz", ".bz2", ".tbz2"}
DATABASE = {".mdb", ".lmdb"}
# How sets are handed around that no library of ours reads, and what to do about it
UNPACK = "write its images into a folder, with a metadata.csv of the columns file_name and label beside them"
TABLES = {
    ".parquet": f"is a table of Parquet, which nothing installed here reads: {UNPACK}",
    ".arrow": f"is a table of Arrow, which nothing installed here reads: {UNPACK}",
    ".tfrecord": f"holds TensorFlow's records, which nothing installed here reads: {UNPACK}",
    ".tfrecords": f"holds TensorFlow's records, which nothing installed here reads: {UNPACK}",
    ".h5": f"is a table of HDF5, which nothing installed here reads: {UNPACK}",
    ".hdf5": f"is a table of HDF5, which nothing installed here reads: {UNPACK}",
    ".npz": "is an array file, which needs no preparation: give it to datamodule=arrays",
    ".npy": "is an array file: save it as images in an .npz, which datamodule=arrays reads without preparation",
}
# What the readers of the archives raise where one is damaged or locked
DAMAGED = (
    OSError, EOFError, RuntimeError, struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError,
)  # fmt: skip
MOST_BYTES = 2**30  # of a file: Pillow refuses what has more pixels than that
SIZE_AND_NUMBER = re.compile(r"(\d+)-\d+")
SHARD = re.compile(r"(?:(.+)[-_.])?\d+")  # train-000000, 00012


def is_image(path: Path) -> bool:
    """By its suffix; what macOS puts beside images in its zips (``__MACOSX/._name.png``) and hidden files are none."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def is_hidden(name: str) -> bool:
    return name in PREVIEWS or (name.startswith(".") and name not in (".", ".."))


def hidden_folder(name: str) -> str | None:
    """The topmost hidden folder that a file lies in, with its path and a last ``/``."""
    parts = name.split("/")
    depth = next((depth for depth, part in enumerate(parts[:-1]) if is_hidden(part)), None)
    return None if depth is None else "/".join(parts[: depth + 1]) + "/"


def kind_of(name: str) -> str:
    """For a count of files that are passed over: ``.txt``, or words."""
    if name.endswith("/"):
        return f"folders {name.rstrip('/').rpartition('/')[2]}"
    file = name.rpartition("/")[2]
    if file.startswith("._"):
        return "of macOS (._)"
    if file.startswith("."):
        return "hidden"
    return Path(file).suffix.lower() or "with no suffix"


def counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(kind_of(name) for name in names).items()))


def in_words(passed_over: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in passed_over.items())


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

    def content(self, name: str) -> bytes:
        """A file's content; ValueError names one that cannot be read, or is too large to be an image."""
        try:
            if (size := self.num_bytes(name)) > MOST_BYTES:
                raise OSError(
                    f"it has {size / 1e9:.1f} GB, and no picture more than {MOST_BYTES / 1e9:.1f}: take it out"
                )
            return self.read(name)
        except DAMAGED as error:
            raise ValueError(f"{name} in {self.path} cannot be read: {explain(error)}") from error


def explain(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


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
            return explain(error)
        return f"{facts.st_size} {facts.st_mtime_ns}"

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()


class Zip(Container):
    def __init__(self, path: Path) -> None:
        try:
            self.archive = zipfile.ZipFile(path)
        except DAMAGED as error:
            raise ValueError(f"{path} is damaged ({explain(error)}): fetch it again") from error
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
                raise ValueError(twice(name, self.path))
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


def twice(name: str, path: Path) -> str:
    return f"{path} holds {name} twice, and which one is meant it does not say: pack it again without the other"


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
            raise ValueError(f"{path} is damaged or cut short ({explain(error)}): fetch it again") from error
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
                raise ValueError(twice(name, path))
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


class Lmdb(Container):
    """The formats of LSUN (keys and encoded images, no labels) and of StyleGAN's ports, whose keys begin with a size.

    Opened without a lock, so that a read-only copy does. Of several sizes of the same images the largest is taken.
    """

    def __init__(self, path: Path) -> None:
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
        facts = file.stat()
        needed = (self.database.info()["last_pgno"] + 1) * self.database.stat()["psize"]
        if facts.st_size < needed:  # pages beyond the end would kill the process
            self.close()
            raise ValueError(f"{path} is cut short: {needed} bytes are needed; fetch it again")
        self.whole = f"{facts.st_size} {facts.st_mtime_ns}"
        try:
            super().__init__(path)
        except lmdb.Error as error:
            self.close()
            raise ValueError(f"{path} is no readable LMDB ({error}): fetch it again") from error

    def sort_out(self, files: Iterable[str]) -> None:
        names = list(files)
        of_size = {name: int(found[1]) for name in names if (found := SIZE_AND_NUMBER.fullmatch(name))}
        sizes = sorted(set(of_size.values()))
        if not sizes or set(names) - of_size.keys() - {"length"}:
            self.names = names
            return
        self.names = [name for name in names if of_size.get(name) == sizes[-1]]
        self.others = [name for name in names if name not in of_size]
        if sizes[:-1]:
            self.notes.append(
                f"{self.path} holds each image at {', '.join(map(str, sizes))} pixels: those at {sizes[-1]} are taken, and "
                f"{len(of_size) - len(self.names)} smaller copies passed over"
            )

    def find_files(self) -> Iterable[str]:
        with self.database.begin() as transaction:
            keys = transaction.cursor().iternext(keys=True, values=False)
            return [key.decode("utf-8", "surrogateescape") for key in keys]

    def num_bytes(self, name: str) -> int:
        return 0  # no file is larger than the database, which is mapped

    def mark(self, name: str) -> str:
        return self.whole

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
