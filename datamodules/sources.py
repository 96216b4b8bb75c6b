"""Images as their publishers pack them: folders, zips, tar archives, LMDB. Each gives named, encoded images in a fixed order.

Where a ``dataset.json`` lies beside the images, at the top or in a folder that all of them share, it decides alone: its
labels are the classes (``null``: none), all is one split, and folders mean nothing, such as the numbered ones of
StyleGAN's tool. Else top folders train, val and test are splits, and the folders below them, or at the top, classes in
the order of their names, of their numbers where all are numbers; a single one is no class.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generative.rendering.containers import DATABASE, Container, counted, in_words, open_container

SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
LABEL_FILE = "dataset.json"  # of the zips and folders that StyleGAN2-ADA's tool writes
MOST_CLASSES = 2**20  # a label above is no class but a mistake


@dataclass(frozen=True)
class Entry:
    """One image; ``label`` is -1 without classes."""

    name: str
    split: str
    label: int


def folder_of(name: str) -> str:
    return name.rpartition("/")[0]


class Source:
    """``classes`` are the names of the labels in their order; empty without labels. ``passed_over`` counts other files."""

    def __init__(self, files: Container, *, folders_are_classes: bool = True) -> None:
        self.files, self.path, self.names, others = files, files.path, files.names, files.others
        if not self.names:
            unpack = any(Path(name).suffix in DATABASE for name in others)
            raise ValueError(
                f"{self.path} holds no images{' but files: ' + in_words(counted(others)) if others else ''}"
                f"{'; unpack the database and give its folder' if unpack else ''}"
            )
        self.label_file = self.find_label_file(set(others))
        self.passed_over = counted(name for name in others if name != self.label_file)
        self.given_labels = self.read_labels()
        self.places = self.find_places()
        self.classes = self.find_classes() if folders_are_classes or self.given_labels else []
        self.numbers = {name: number for number, name in enumerate(self.classes)}

    def content(self, name: str) -> bytes:
        """An encoded image; ValueError names one that cannot be read."""
        return self.files.content(name)

    def close(self) -> None:
        """Let go of the archive."""
        self.files.close()

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

    def mark(self, entry: Entry) -> bytes:
        """Changes with the content of an image, without reading it: size and time, the checksum in a zip."""
        return f"{self.files.mark(entry.name)}\n".encode("utf-8", "surrogateescape")


def parts_of(folder: str) -> tuple[str, ...]:
    return tuple(part for part in folder.split("/") if part)


def shared_folder(names: list[str]) -> tuple[str, ...]:
    """The folders that all names begin with."""
    folders = {parts_of(folder) for folder in {folder_of(name) for name in names}}
    low, high = min(folders), max(folders)
    length = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low[:length]


def open_source(path: Path, *, folders_are_classes: bool = True) -> Source:
    """The images of a folder, zip, tar archive or LMDB; ValueError where it is none of them, or labels do not fit."""
    files = open_container(path)
    try:
        return Source(files, folders_are_classes=folders_are_classes)
    except ValueError:
        files.close()
        raise
