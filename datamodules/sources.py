"""Sets of images as their publishers pack them: named, encoded images in a fixed order, with their splits and classes.

Top folders train, val and test are splits, and the folders below them, or at the top, classes in the order of their
names, of their numbers where all are numbers; a single one is no class. Labels in files beside the images
(:mod:`datamodules.labels`) go before folders. A ``dataset.json``, at the top or in a folder that all images share,
decides alone: all is one split, and folders mean nothing, such as the numbered ones of StyleGAN's tool.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datamodules.labels import find_labels, folder_of
from datamodules.notices import first_few
from generative.rendering.containers.base import Container
from generative.rendering.containers.formats import DATABASE, PACKED, TABLES, count_kinds
from generative.rendering.containers.sets import SPLITS, open_container

BESIDE = "LOC_val_solution.csv, val_annotations.txt, or metadata.csv with the columns file_name and label"


@dataclass(frozen=True)
class Entry:
    """One image; ``label`` is -1 without classes."""

    name: str
    split: str
    label: int


class Source:
    """``classes`` are the names of the labels in their order; empty without labels. ``passed_over`` counts other files.

    ``folders_are_classes`` and ``folders_are_splits`` false: such folders mean nothing, or are classes as any other.
    ``notes`` are sentences about how the set was taken.
    """

    def __init__(self, files: Container, *, folders_are_classes: bool = True, folders_are_splits: bool = True) -> None:
        self.files, self.path, self.names = files, files.path, files.names
        if not self.names:
            raise ValueError(f"{self.path} holds no images{self.what_else()}")
        one_of = {folder_of(name): name for name in self.names}
        self.folders = {folder: files.folders_of(name) for folder, name in one_of.items()}
        self.shared = shared_folder(set(self.folders.values()))
        self.labels = find_labels(files, shared=self.shared)
        self.notes = list(files.notes)
        if self.labels.of:
            self.notes.append(f"labels of {len(self.labels.of)} images are read from {self.label_files()}")
        self.passed_over = count_kinds(name for name in files.others if name not in self.labels.used)
        self.places = self.find_places(folders_are_splits=folders_are_splits)
        self.classes = self.find_classes(folders_are_classes=folders_are_classes)
        self.numbers = {name: number for number, name in enumerate(self.classes)}
        self.notes += self.find_holes()

    def what_else(self) -> str:
        """What lies there instead of images, and the remedy."""
        others = self.files.others
        suffixes = {Path(name).suffix.lower() for name in others}
        what = f" but files: {self.files.others_in_words()}" if others else ""
        if suffixes & DATABASE:
            return f"{what}; unpack the database and give its folder"
        if known := suffixes & TABLES.keys():
            return f"{what}; a {min(known)} {TABLES[min(known)]}"
        return f"{what}; unpack them and give their folder" if suffixes & PACKED else what

    def label_files(self) -> str:
        used = sorted(self.labels.used)
        return ", ".join(used) if len(used) < 4 else f"{used[0]} and {len(used) - 1} other files"

    def content(self, name: str) -> bytes:
        """An encoded image; ValueError names one that cannot be read."""
        return self.files.content(name)

    def close(self) -> None:
        """Let go of the archive."""
        self.files.close()

    def __len__(self) -> int:
        return len(self.names)

    def find_places(self, *, folders_are_splits: bool) -> dict[str, tuple[str, str]]:
        """For each folder with images its split and its class folder: those below the folders that all images share."""
        if self.labels.decide_alone:
            return dict.fromkeys(self.folders, ("train", ""))
        is_split = [folders_are_splits and folder.lower() in SPLITS for folder in self.shared]
        skip = is_split.index(True) if True in is_split else len(self.shared)
        below = {folder: parts[skip:] for folder, parts in self.folders.items()}
        tops = {parts[0] if parts else "" for parts in below.values()}
        splits = {top for top in tops if folders_are_splits and top.lower() in SPLITS}
        if splits and splits != tops:
            outside = next(name for name in self.names if not {*below[folder_of(name)][:1]} & splits)
            raise ValueError(
                f"{self.path} has the splits {', '.join(sorted(splits))}, and images outside them, such as {outside}: put each "
                "image into a split, or give --no-splits if these folders are classes"
            )
        if splits:
            return {folder: (SPLITS[parts[0].lower()], (*parts[1:2], "")[0]) for folder, parts in below.items()}
        return {folder: ("train", (*parts[:1], "")[0]) for folder, parts in below.items()}

    def class_of(self, name: str) -> str:
        """The name of an image's class; empty without one."""
        if name in self.labels.of:
            return str(self.labels.of[name])
        folder = self.places[folder_of(name)][1]
        return str(int(folder)) if self.labels.of and folder.isdecimal() else folder

    def find_classes(self, *, folders_are_classes: bool) -> list[str]:
        given = self.labels.of
        if not folders_are_classes and len(given) < len(self.names):
            if given:
                self.notes.append(f"--no-classes: the labels of {self.label_files()} are left aside")
            return []
        classes = {self.class_of(name) for name in self.names}
        numbered = all(name.isdecimal() for name in classes)
        if len(classes) < 2 and not (given and numbered):
            return []
        if "" in classes:
            raise ValueError(self.without_class())
        if given and numbered:  # they say themselves which class they are
            return [str(label) for label in range(max(map(int, classes)) + 1)]
        if any(isinstance(label, int) for label in given.values()):
            names = sorted(name for name in classes if not name.isdecimal())
            raise ValueError(
                f"{self.path} has numbers as labels in {self.label_files()}, and classes called "
                f"{', '.join(names[:3])}: give all of them numbers, or all of them names"
            )
        return sorted(classes, key=lambda name: (int(name) if numbered else 0, name))

    def without_class(self) -> str:
        """What is wrong with a set where some images have a class and others none, and the remedy."""
        outside = [name for name in self.names if not self.class_of(name)]
        without = {self.places[folder_of(name)][0] for name in outside}
        labelled = {self.places[folder_of(name)][0] for name in self.names if self.class_of(name)}
        if not without & labelled:  # ImageNet's validation archive, say
            return (
                f"{self.path} has classes in {', '.join(sorted(labelled))}, and the images of {', '.join(sorted(without))} lie in "
                f"no class folders, such as {outside[0]}: sort them into class folders, put the list of their labels beside "
                f"them ({BESIDE}), or give --no-classes"
            )
        if self.labels.of:
            return (
                f"{self.label_files()} in {self.path} give no label to {len(outside)} images, such as "
                f"{outside[0]}: add them, or take the labels away"
            )
        return (
            f"{self.path} has class folders, and images outside them, such as {outside[0]}: put each image into a class, or "
            "give --no-classes"
        )

    def find_holes(self) -> Iterator[str]:
        """A sentence where training would never show a class."""
        split = "train" if "train" in self.splits else self.splits[0]
        seen = {entry.label for entry in self.entries() if entry.split == split}
        missing = [name for number, name in enumerate(self.classes) if number not in seen]
        if missing:
            yield f"{len(missing)} of {len(self.classes)} classes have no image in {split}: {first_few(missing)}"

    @property
    def splits(self) -> list[str]:
        return sorted({split for split, _ in self.places.values()})

    def entries(self) -> Iterator[Entry]:
        for name in self.names:
            yield Entry(name, self.places[folder_of(name)][0], self.numbers.get(self.class_of(name), -1))

    def fingerprint(self) -> str:
        """Of the names, splits and labels of all images, not of their contents."""
        digest = hashlib.sha256(repr(self.classes).encode("utf-8", "surrogateescape"))
        for entry in self.entries():
            digest.update(f"{entry.name}\0{entry.split}\0{entry.label}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:16]

    def mark(self, entry: Entry) -> bytes:
        """Changes with the content of an image, without reading it: size and time, the checksum in a zip."""
        return f"{self.files.mark(entry.name)}\n".encode("utf-8", "surrogateescape")


def shared_folder(folders: set[tuple[str, ...]]) -> tuple[str, ...]:
    """The folders that all begin with."""
    low, high = min(folders), max(folders)
    length = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low[:length]


def open_source(path: Path, *, folders_are_classes: bool = True, folders_are_splits: bool = True) -> Source:
    """The images of a folder, zip, tar archive or LMDB; ValueError where it is none of them, or labels do not fit."""
    files = open_container(path)
    try:
        return Source(files, folders_are_classes=folders_are_classes, folders_are_splits=folders_are_splits)
    except ValueError:
        files.close()
        raise
