"""The writing of a prepared set: pictures brought to their sizes, one after the other, in files that a run can go on with."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from datamodules.prepared_set import (
    DESCRIPTION,
    FORMAT,
    JOURNAL,
    hash_of,
    images_file,
    labels_file,
    read_description,
    take_fingerprints,
)
from datamodules.presets import PRESETS
from datamodules.sources import Entry, Source, open_source
from generative.rendering.pictures import NUM_THREADS, WHITE, colour, read_header, read_picture

CHUNK = 512  # images between two entries of the journal
AHEAD = 4 * NUM_THREADS  # images in memory at once, whatever the size of the set


@dataclass(frozen=True)
class PreparedPicture:
    """uint8 [side, side, channels] for each resolution, and whether the picture was turned or put on a background."""

    arrays: list[np.ndarray]
    turned: bool
    transparent: bool


def pixels_of(
    entry: Entry, content: bytes | ValueError, *, channels: int, preset: str, background: str, resolutions: list[int]
) -> PreparedPicture | ValueError:
    """The pixels, or what is wrong with the image."""
    if isinstance(content, ValueError):
        return content
    try:
        picture = read_picture(content, entry.name, channels=channels, background=background)
        made = [np.asarray(PRESETS[preset](picture.image, side)) for side in resolutions]
    except ValueError as error:
        return error if entry.name in str(error) else ValueError(f"{entry.name}: {error}")
    return PreparedPicture(
        [array.reshape(*array.shape[:2], channels) for array in made], picture.turned, picture.transparent
    )


class Preparation:
    """The files of a set while they grow; the journal says how far they are good."""

    def __init__(self, source: Source, folder: Path, settings: dict[str, Any], *, on_error: str) -> None:
        self.source, self.folder, self.settings, self.on_error = source, folder, settings, on_error
        self.done = 0  # entries of the source
        self.kept = dict.fromkeys(source.splits, 0)
        self.skipped: list[str] = []
        self.turned = self.transparent = 0
        self.contents = hashlib.sha256()  # of the marks of what is done
        if (folder / JOURNAL).exists():
            self.resume()
        num_bytes = self.good_bytes()
        self.files: dict[str, BinaryIO] = {name: (folder / name).open("ab") for name in num_bytes}
        for name, size in num_bytes.items():
            self.files[name].truncate(size)

    def resume(self) -> None:
        """Go on where the journal ends; ValueError where its preparation was another one, or images have changed since."""
        written = json.loads((self.folder / JOURNAL).read_text())
        if written["settings"] != self.settings:
            raise ValueError(
                f"{self.folder} holds an unfinished preparation of another kind "
                f"({differences(written['settings'], self.settings)}): finish that one, remove it, or choose another folder"
            )
        self.done, self.kept, self.skipped = written["done"], written["kept"], written["skipped"]
        self.turned, self.transparent = written["turned"], written["transparent"]
        for entry in islice(self.source.entries(), self.done):
            self.contents.update(self.source.mark(entry))
        if written["contents"] != self.contents.hexdigest():
            raise ValueError(
                f"{self.folder} holds an unfinished preparation, and of its {self.done} images some have changed in "
                f"{self.source.path} since: remove it and start again"
            )

    def good_bytes(self) -> dict[str, int]:
        """How far each file of the set is good; ValueError where one does not reach so far."""
        good = {labels_file(split): count * 8 for split, count in self.kept.items()}
        for side in self.settings["resolutions"]:
            size = side * side * self.settings["channels"]
            good |= {images_file(split, side): count * size for split, count in self.kept.items()}
        for name, num_bytes in good.items():
            file = self.folder / name
            if num_bytes and (not file.exists() or file.stat().st_size < num_bytes):
                raise ValueError(f"{file} is shorter than {JOURNAL} says: remove {self.folder} and start again")
        return good

    def close(self) -> None:
        for file in self.files.values():
            file.close()

    def add(self, entry: Entry, made: PreparedPicture | ValueError) -> None:
        if isinstance(made, ValueError) and self.on_error == "stop":
            self.write_journal()
            raise made
        self.contents.update(self.source.mark(entry))
        if isinstance(made, ValueError):
            self.skipped.append(str(made))
            tqdm.write(f"left out: {made}", file=sys.stderr)
            self.done += 1
            return
        for side, array in zip(self.settings["resolutions"], made.arrays, strict=True):
            self.files[images_file(entry.split, side)].write(array.tobytes())
        self.files[labels_file(entry.split)].write(np.int64(entry.label).tobytes())
        self.kept[entry.split] += 1
        self.turned += made.turned
        self.transparent += made.transparent
        self.done += 1

    def content(self, entry: Entry) -> bytes | ValueError:
        try:
            return self.source.content(entry.name)
        except ValueError as error:
            return error

    def write_journal(self) -> None:
        for file in self.files.values():
            file.flush()
            os.fsync(file.fileno())
        replace_json(
            self.folder / JOURNAL,
            {
                "settings": self.settings,
                "contents": self.contents.hexdigest(),
                "done": self.done,
                "kept": self.kept,
                "skipped": self.skipped,
                "turned": self.turned,
                "transparent": self.transparent,
            },
        )

    def decoded(self, threads: ThreadPoolExecutor) -> Iterator[tuple[Entry, PreparedPicture | ValueError]]:
        """In order. An archive is read by this thread alone; pictures are decoded by several, a few ahead."""
        shape = {key: self.settings[key] for key in ("channels", "preset", "background", "resolutions")}
        pending: deque[tuple[Entry, Future[PreparedPicture | ValueError]]] = deque()
        for entry in islice(self.source.entries(), self.done, None):
            pending.append((entry, threads.submit(pixels_of, entry, self.content(entry), **shape)))
            if len(pending) == AHEAD:
                first, made = pending.popleft()
                yield first, made.result()
        for first, made in pending:
            yield first, made.result()

    def run(self) -> None:
        self.write_journal()
        with (
            tqdm(total=len(self.source), initial=self.done, unit=" images", desc=self.folder.name) as bar,
            ThreadPoolExecutor(NUM_THREADS) as threads,
        ):
            for entry, made in self.decoded(threads):
                self.add(entry, made)
                if self.done % CHUNK == 0:
                    self.write_journal()
                bar.update()
        self.write_journal()

    def check_losses(self) -> None:
        """ValueError where most images, or all of a class, were left out: then something is wrong with the whole."""
        lost = ""
        if len(self.skipped) > sum(self.kept.values()):
            lost = f"{len(self.skipped)} of the {len(self.source)} images"
        else:
            for split in self.kept:
                kept = set(np.fromfile(self.folder / labels_file(split), np.int64).tolist())
                all_labels = {entry.label for entry in self.source.entries() if entry.split == split}
                if gone := sorted(all_labels - kept):
                    of_class = f" of class {self.source.classes[gone[0]]}" if self.source.classes else ""
                    lost = f"all {split} images{of_class}"
        if lost:
            raise ValueError(
                f"{lost} cannot be used, the first that was left out because: {self.skipped[0]}. Nothing is finished: mend "
                f"them, remove {self.folder} and start again, or accept the loss by the same command with --on-error accept"
            )

    def finish(self, *, seconds: float) -> dict[str, Any]:
        self.close()
        if not sum(self.kept.values()):
            for name in (*self.files, JOURNAL):
                (self.folder / name).unlink()
            raise ValueError(
                f"none of the {len(self.source)} images of {self.source.path} can be used: {self.skipped[0]}"
            )
        if self.on_error != "accept":
            self.check_losses()
        facts = self.facts(seconds=seconds)
        replace_json(self.folder / DESCRIPTION, facts)
        (self.folder / JOURNAL).unlink()
        return facts

    def facts(self, *, seconds: float) -> dict[str, Any]:
        """What ``prepared.json`` says of the set."""
        return {
            "format": FORMAT,
            **self.settings,
            "classes": self.source.classes,
            "splits": {split: {"count": count} for split, count in self.kept.items()},
            "skipped": self.skipped,
            "turned": self.turned,
            "transparent": self.transparent,
            "passed_over": self.source.passed_over,
            "notes": self.source.notes,
            "hashes": {name: hash_of(self.folder / name) for name in sorted(self.files)},
            "fingerprints": take_fingerprints(
                self.folder,
                splits=self.kept,
                resolutions=self.settings["resolutions"],
                channels=self.settings["channels"],
            ),
            "seconds": round(seconds, 1),
        }


def replace_json(path: Path, content: dict[str, Any]) -> None:
    """A reader, or a crash, never meets half of it."""
    temporary = path.with_name(f".{path.name}.writing")
    with temporary.open("w") as file:
        file.write(json.dumps(content, indent=1))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def differences(a: dict[str, Any], b: dict[str, Any]) -> str:
    return ", ".join(f"{key} {a.get(key)}, not {b[key]}" for key in b if a.get(key) != b[key])


def prepare(
    source: Path,
    folder: Path,
    *,
    resolutions: list[int],
    preset: str = "crop_bilinear",
    channels: int = 0,
    background: str = WHITE,
    folders_are_classes: bool = True,
    folders_are_splits: bool = True,
    on_error: str = "go-on",
) -> dict[str, Any]:
    """The description of the finished set. ``channels`` 0: 1 if all readable images are grey, else 3.

    An image that cannot be used is left out (``on_error`` "go-on"), which is an error in the end where most images or all
    of a class are; "accept" takes that too, "stop" stops at the first. What was done by then is kept.
    """
    started = time.perf_counter()
    if preset not in PRESETS:
        raise ValueError(f"there is no preset {preset!r}: choose one of {', '.join(PRESETS)}")
    if not resolutions or min(resolutions) < 1:
        raise ValueError(f"resolutions must be at least 1 pixel, got {resolutions}")
    colour(background)
    if source.exists():
        check_places(source.resolve(), folder.resolve())
    check_unfinished(folder)
    with closing(
        open_source(source, folders_are_classes=folders_are_classes, folders_are_splits=folders_are_splits)
    ) as found:
        settings: dict[str, Any] = {
            "source": source.resolve().name,
            "images": found.fingerprint(),
            "resolutions": sorted(set(resolutions)),
            "preset": preset,
            "background": background,
            "channels": channels or channels_of(found),
        }
        check_disk_space(folder, len(found) * (settings["channels"] * sum(side**2 for side in set(resolutions)) + 8))
        folder.mkdir(parents=True, exist_ok=True)
        with folder_lock(folder):
            check_unfinished(folder)  # again: another process may have finished it since
            with closing(Preparation(found, folder, settings, on_error=on_error)) as work:
                work.run()
                return work.finish(seconds=time.perf_counter() - started)


def check_unfinished(folder: Path) -> None:
    if (folder / DESCRIPTION).exists() and read_description(folder):
        raise ValueError(f"{folder} holds a finished set: choose another folder, or remove it")


def check_places(source: Path, folder: Path) -> None:
    if source.is_relative_to(folder) or folder.is_relative_to(source):
        raise ValueError(f"{source} and {folder} are one, or one lies in the other: choose another folder for the set")


def check_disk_space(folder: Path, needed: int) -> None:
    disk = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(disk).free
    if folder.exists():  # what an interrupted run has written
        free += sum(file.stat().st_size for file in folder.glob("*_*.[ui]*"))
    if needed > free:
        raise ValueError(
            f"the set takes {needed / 1e9:.1f} GB and {disk} has {free / 1e9:.1f} GB left: choose another disk"
        )


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """ValueError where another process is at work in the folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"another process is preparing {folder}: wait for it") from error
        except OSError as error:
            print(
                f"note: the file system of {folder} has no locks ({error.strerror}): nothing keeps a second preparation out of it",
                file=sys.stderr,
            )
        yield
    finally:
        os.close(handle)


def channels_of(source: Source) -> int:
    """1 if all images that can be read are grey, else 3: looked at until the first one in colour."""
    num_grey = 0
    first_error: ValueError | None = None
    for entry in source.entries():
        try:
            if not read_header(source.content(entry.name), entry.name).is_grey:
                return 3
            num_grey += 1
        except ValueError as error:
            first_error = first_error or error
    if not num_grey:
        raise ValueError(f"none of the {len(source)} images of {source.path} can be read: {first_error}")
    return 1
