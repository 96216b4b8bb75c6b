"""Labels that lie beside images in files: the formats in which sets are handed around.

| file | format | whose |
|---|---|---|
| dataset.json | {"labels": [["name", number], ...]} or null | StyleGAN's tools; it decides alone, folders mean nothing |
| metadata.csv, metadata.jsonl | columns file_name and label, beside the images | Hugging Face's ImageFolder |
| LOC_val_solution.csv | ImageId, and a wnid with boxes | ImageNet's flat validation folder, as Kaggle packs it |
| val_annotations.txt | name and wnid in columns, above the images | Tiny ImageNet |
| <name>.cls | a number or a name, beside <name>.jpg | WebDataset's shards |
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from generative.rendering.containers.base import Container

MOST_CLASSES = 2**20  # a label above is no class but a mistake
DECIDES_ALONE = "dataset.json"
Label = int | str


@dataclass
class Labels:
    """``of`` gives images their labels, by name; ``used`` are the files that say so."""

    of: dict[str, Label] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    decide_alone: bool = False

    def add(self, source: str, found: Iterable[tuple[str, Label]], *, path: object) -> None:
        """ValueError where an image is listed twice, or two files differ about it."""
        listed: set[str] = set()
        for name, label in found:
            if name in listed:
                raise ValueError(f"{source} in {path} lists {name} twice: take one of its lines away")
            if self.of.get(name, label) != label:
                raise ValueError(
                    f"{source} in {path} gives {name} the label {label}, another file {self.of[name]}: mend one"
                )
            listed.add(name)
            self.of[name] = label
        if listed:
            self.used.add(source)


def folder_of(name: str) -> str:
    return name.rpartition("/")[0]


def example_key(name: str) -> str:
    """What the files of one example share: all up to the first point of the file's name."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def find_labels(files: Container, *, shared: tuple[str, ...]) -> Labels:
    """Of all label files of a set; ``shared`` are the folders that all its images lie in. ValueError where one does not fit."""
    others = set(files.others)
    above = ["/".join([*shared[:depth], DECIDES_ALONE]) for depth in range(len(shared) + 1)]
    decides = next((name for name in above if name in others), None)
    labels = Labels()
    if decides is not None:
        labels.decide_alone = True
        labels.used.add(decides)  # null is an answer too
        labels.add(decides, stylegan_labels(files, decides), path=files.path)
        return labels
    readers = {
        "metadata.csv": metadata_labels,
        "metadata.jsonl": metadata_labels,
        "loc_val_solution.csv": solution_labels,
        "val_annotations.txt": annotation_labels,
    }
    for name in files.others:
        reader = readers.get(name.rpartition("/")[2].lower())
        if reader is not None:
            labels.add(name, reader(files, name), path=files.path)
    of_key: dict[str, list[str]] = {}
    for name in files.names if any(name.endswith(".cls") for name in others) else ():
        of_key.setdefault(example_key(name), []).append(name)
    for name in files.others:
        if name.endswith(".cls") and example_key(name) in of_key:
            label = as_label(text_of(files, name).strip(), name, files)
            labels.add(name, ((image, label) for image in of_key[example_key(name)]), path=files.path)
    return labels


def text_of(files: Container, name: str) -> str:
    try:
        return files.content(name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} in {files.path} is no text ({error}): mend it or take it away") from error


def as_label(value: Any, image: str, files: Container) -> Label:
    """A number from 0, or a name; ValueError for anything else."""
    label = int(value) if isinstance(value, str) and value.isdecimal() else value
    if isinstance(label, str) and label and not label.lstrip("-").isdecimal():
        return label
    if type(label) is not int or not 0 <= label < MOST_CLASSES:
        raise ValueError(f"{files.path} gives {image} the label {value!r}: classes are names, or numbers from 0")
    return label


def stylegan_labels(files: Container, name: str) -> Iterator[tuple[str, Label]]:
    """None where it says ``null``; ValueError unless every image has exactly one number."""
    what = f"{name} in {files.path}"
    shape = 'it should be {"labels": [["name", number], ...]} or {"labels": null}: mend it or take it away'
    try:
        listed = json.loads(files.content(name))["labels"]
        if listed is None:
            return
        pairs = [(beside(name, image), label) for image, label in listed]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{what} is no list of labels ({error}); {shape}") from error
    for image, label in pairs:
        if type(label) is not int or not 0 <= label < MOST_CLASSES:
            raise ValueError(f"{what} gives {image} the label {label!r}: classes are numbers from 0")
    named = {image for image, _ in pairs}
    check_there(named, files, what)
    without = [image for image in files.names if image not in named]
    if without:
        raise ValueError(f"{what} gives no label to {len(without)} images, such as {without[0]}")
    yield from pairs


def beside(name: str, image: str) -> str:
    """The name of an image that is given as it is seen from the folder of the file ``name``."""
    return f"{folder_of(name)}/{image}".lstrip("/")


def check_there(named: Iterable[str], files: Container, what: str) -> None:
    missing = sorted(set(named) - set(files.names))
    if missing:
        raise ValueError(f"{what} names {len(missing)} images that are not there, such as {missing[0]}")


def metadata_labels(files: Container, name: str) -> Iterator[tuple[str, Label]]:
    """None where there is no column ``label``, as beside pictures with captions."""
    what, text = f"{name} in {files.path}", text_of(files, name)
    try:
        rows: list[dict[str, Any]]
        rows = [json.loads(line) for line in text.splitlines() if line.strip()] if name.lower().endswith("l") else [
            *csv.DictReader(text.splitlines(), strict=True)
        ]  # fmt: skip
        pairs = [(beside(name, row["file_name"].replace("\\", "/")), row["label"]) for row in rows if "label" in row]
    except (ValueError, csv.Error, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{what} is no table with the columns file_name and label ({error}): mend it or take it away"
        ) from error
    check_there((image for image, _ in pairs), files, what)
    for image, label in pairs:
        yield image, as_label(label, image, files)


def solution_labels(files: Container, name: str) -> Iterator[tuple[str, Label]]:
    """The wnids of those photos that are there."""
    images = {example_key(image).rpartition("/")[2]: image for image in files.names}
    for line in text_of(files, name).splitlines()[1:]:
        photo, _, boxes = line.partition(",")
        if photo in images and boxes.strip():
            yield images[photo], boxes.split()[0]


def annotation_labels(files: Container, name: str) -> Iterator[tuple[str, Label]]:
    """The wnids of those photos that are there, in the folder of the file or below it."""
    above = f"{folder_of(name)}/".lstrip("/")
    images = {image.rpartition("/")[2]: image for image in files.names if image.startswith(above)}
    for line in text_of(files, name).splitlines():
        photo, *columns = line.split()
        if photo in images and columns:
            yield images[photo], as_label(columns[0], photo, files)
