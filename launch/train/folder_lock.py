"""A folder for one process alone: a second start in it ends with a sentence instead of mixing its files with ours."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType

LOCK = ".lock"


class FolderLock:
    """Keeps the folder that it has taken until the ``with`` block, or this process, ends: also by kill -9.

    It is a record lock of the operating system: the kernel gives it back with the process that took it, and a child
    has no part in it (one of ``flock`` lives on in a data worker that outlasts its parent). The file ``.lock`` says who
    holds it, and is taken away again; one that a killed process left behind means nothing.
    """

    def __init__(self) -> None:
        self.path: Path | None = None
        self.descriptor = -1
        self.made: list[Path] = []  # folders that were not there before

    def __enter__(self) -> FolderLock:
        return self

    def take(self, folder: Path, *, what: str) -> None:
        """ValueError, with what the other process is at (``what``), where one has the folder; it is made if need be."""
        assert self.path is None, "one folder a lock"
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / LOCK
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                lock(descriptor, folder, what=what)
            except ValueError:
                os.close(descriptor)
                raise
            # Its holder may have ended, and taken the file away, between the two lines above.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    break
            os.close(descriptor)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        self.path, self.descriptor, self.made = path, descriptor, made

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.path is None:
            return
        self.path.unlink(missing_ok=True)
        os.close(self.descriptor)
        for folder in self.made:  # of a start that came to nothing
            with suppress(OSError):
                folder.rmdir()
        self.path = None


def lock(descriptor: int, folder: Path, *, what: str) -> None:
    """ValueError where another process has locked the file; a note where the file system knows no locks."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:  # POSIX leaves open which
        holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
        raise ValueError(f"{what} {folder}{f' ({holder})' if holder else ''}: wait for it, or end it") from error
    except OSError as error:
        print(
            f"note: the file system of {folder} has no locks ({error.strerror}): nothing keeps a second start out of it",
            file=sys.stderr,
        )
