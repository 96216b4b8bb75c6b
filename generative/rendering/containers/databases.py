"""LMDBs as the files in them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from generative.rendering.containers.base import Container

SIZE_AND_NUMBER = re.compile(r"(\d+)-\d+")


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
