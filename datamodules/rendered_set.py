"""The files of the rendered inspection set: drawn from seeds, image by image, so that an interrupted run goes on."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from datamodules.box_masks import REMEDY, coco_masks, packed
from datamodules.preparation import replace_json
from datamodules.twins import CLEAN as TWINS
from generative.rendering.inspection.address import Address
from generative.rendering.inspection.classes import CLASSES, CLEAN, PRODUCTS, VERSION

COUNTS = {  # Table 3.1
    "train": dict(zip(CLASSES, (115, 16, 18, 11, 20, 13, 56, 7, 139), strict=True)),
    "test": dict(zip(CLASSES, (47, 6, 8, 4, 5, 4, 21, 3, 31), strict=True)),
}
DESCRIPTION, JOURNAL, PARAMETERS = "world.json", "journal.jsonl", "parameters.jsonl"


@dataclass(frozen=True)
class SetSettings:
    """Everything that the files of a set follow from. ``contrast``: class and factor, of all classes.

    ``only``: the classes of the set, each with those of the world that it stands for; empty: the nine of the world.
    ``test_share``: as ``share``, of the defective test images; None: ``share``. ``products``: so many are shown.
    """

    resolution: int
    seed: int
    share: float
    clean_train: int
    clean_test: int
    contrast: tuple[tuple[str, float], ...]
    misaligned: bool
    only: tuple[tuple[str, tuple[str, ...]], ...] = ()
    test_share: float | None = None
    products: int = PRODUCTS

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.only) or CLASSES

    def class_of(self, kind: str) -> str | None:
        """What the set calls a class of the world; None where it leaves it out."""
        if not self.only:
            return kind
        return next((name for name, kinds in self.only if kind in kinds), None)

    @property
    def name(self) -> str:
        """The name of the set's folder: resolution and a hash of the settings and of the renderer's version."""
        facts = {**asdict(self), "version": VERSION}
        for name in (
            "only",
            "test_share",
            "products",
        ):  # sets that were drawn before these settings came keep their names
            if facts[name] == getattr(SetSettings, name):
                del facts[name]
        text = json.dumps(facts, sort_keys=True)
        return f"{self.resolution}px_{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    def counts(self, split: str) -> dict[str, int]:
        """Images of each class, and clean ones: the share of the published counts, at least one of each."""
        defective = self.share if split == "train" or self.test_share is None else self.test_share
        found = {kind: max(1, round(count * defective)) for kind, count in COUNTS[split].items() if self.class_of(kind)}
        clean = self.clean_train if split == "train" else self.clean_test
        return found | {CLEAN: max(1, round(clean * self.share)) if clean else 0}

    def addresses(self) -> list[Address]:
        """All images, in the order in which they are drawn."""
        return [
            Address(self.seed, split, kind, number, self.products)
            for split in COUNTS
            for kind, count in self.counts(split).items()
            for number in range(count)
        ]


def file_of(address: Address) -> str:
    return f"{address.kind.replace(' ', '_')}_{address.number:04d}.jpg"


def make_set(folder: Path, settings: SetSettings) -> None:
    """Draw the set into ``folder`` unless it is there: another process is waited for, an interrupted one continued.

    ValueError says what to install where a library is missing.
    """
    if (folder / DESCRIPTION).exists():
        return
    load_libraries()
    folder.mkdir(parents=True, exist_ok=True)
    with waiting_lock(folder):
        if not (folder / DESCRIPTION).exists():
            draw(folder, settings)


def load_libraries() -> None:
    """ValueError with the remedy unless what draws and packs is installed."""
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise ValueError(f"the rendered set is drawn with OpenCV ({error}): {REMEDY}") from error
    coco_masks()


@contextmanager
def waiting_lock(folder: Path) -> Iterator[None]:
    """One process at a time: the others, such as other ranks, wait."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"note: another process is drawing {folder}: waiting for it", file=sys.stderr)
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:  # a file system without locks: files are whole all the same
            print(f"note: the file system of {folder} has no locks: have one process draw it first", file=sys.stderr)
        yield
    finally:
        os.close(handle)


def draw(folder: Path, settings: SetSettings) -> None:
    """Images that the journal has not, then the files that list them, last the description: where it is, all is."""
    addresses = settings.addresses()
    done = read_journal(folder / JOURNAL)
    started = time.process_time()
    for split in COUNTS:
        (folder / split).mkdir(exist_ok=True)
        (folder / TWINS / split).mkdir(parents=True, exist_ok=True)
    with (
        (folder / JOURNAL).open("a") as journal,
        tqdm(total=len(addresses), initial=len(done), unit=" images", desc=f"rendering {folder.name}") as bar,
    ):
        for address in addresses:
            key = f"{address.split}/{file_of(address)}"
            if key not in done:
                done[key] = draw_image(folder, address, settings)
                journal.write(json.dumps({"file": key, **done[key]}) + "\n")
                journal.flush()
                bar.update()
    lines = {split: [] for split in COUNTS}  # type: dict[str, list[dict[str, Any]]]
    for address in addresses:
        key = f"{address.split}/{file_of(address)}"
        lines[address.split].append({"file_name": file_of(address), **done[key]})
    for split, listed in lines.items():
        replace_json(folder / f"{split}.json", as_coco(listed, settings))
    parameters = [
        json.dumps({"split": split, "file_name": line["file_name"], **line["parameters"]})
        for split, listed in lines.items()
        for line in listed
    ]
    write_whole(folder / PARAMETERS, "".join(f"{line}\n" for line in parameters).encode())
    seconds = round(time.process_time() - started, 1)
    replace_json(folder / DESCRIPTION, {**asdict(settings), "version": VERSION, "cpu_seconds": seconds})
    (folder / JOURNAL).unlink()


def read_journal(path: Path) -> dict[str, dict[str, Any]]:
    """What is drawn; a line that a kill has cut is taken off the file."""
    if not path.exists():
        return {}
    done: dict[str, dict[str, Any]] = {}
    good = b""
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        facts = json.loads(line)
        done[facts.pop("file")] = facts
        good += line
    write_whole(path, good)
    return done


def draw_image(folder: Path, address: Address, settings: SetSettings) -> dict[str, Any]:
    """Write an image and its twin; its boxes, masks and parameters."""
    from generative.rendering.inspection.world import encoded, render

    made = render(address, settings.resolution, contrast=dict(settings.contrast), misaligned=settings.misaligned)
    name = file_of(address)
    write_whole(folder / TWINS / address.split / name, encoded(made.twin, made.quality))
    write_whole(folder / address.split / name, encoded(made.image, made.quality))
    boxes = [
        {
            "category_id": settings.classes.index(settings.class_of(one.kind) or "") + 1,
            "bbox": box_around(one.visible),
            "area": int(one.visible.sum()),
            "segmentation": packed(one.visible),
            "hidden_too": packed(one.body),
            "changed": packed(one.whole),
        }
        for one in made.instances
    ]
    defects = [{"class": one.kind, **one.parameters} for one in made.instances]
    facts = {
        "kind": address.kind,
        "number": address.number,
        "seed": address.seed,
        **made.parameters,
        "defects": defects,
    }
    return {"boxes": boxes, "parameters": facts}


def box_around(pixels: np.ndarray) -> list[int]:
    """Left, top, width and height of the pixels that are set, bool [H, W]."""
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top]


def as_coco(listed: list[dict[str, Any]], settings: SetSettings) -> dict[str, Any]:
    """The file of a split: images, and an annotation for each defect, numbered from 1."""
    annotations: list[dict[str, Any]] = []
    for number, line in enumerate(listed):
        for box in line["boxes"]:
            annotations.append({"id": len(annotations) + 1, "image_id": number + 1, "iscrowd": 0, **box})
    return {
        "images": [
            {
                "id": number + 1,
                "file_name": line["file_name"],
                "width": settings.resolution,
                "height": settings.resolution,
            }
            for number, line in enumerate(listed)
        ],
        "categories": [{"id": number + 1, "name": name} for number, name in enumerate(settings.classes)],
        "annotations": annotations,
    }


def write_whole(path: Path, content: bytes) -> None:
    """A reader, or a kill, never meets half of it."""
    temporary = path.with_name(f".{path.name}.writing")
    temporary.write_bytes(content)
    temporary.replace(path)
