"""Inspection images of one's own: folders of images with boxes in COCO's format."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datamodules.boxes import BoxedImages, Inspected
from datamodules.stored import HELD_OUT

BESIDE = "_annotations.coco.json"  # as labelling tools put it beside the images of a split


class Inspection(BoxedImages):
    """``data_dir`` holds ``train.json`` and the images' folder ``train``, or ``train/_annotations.coco.json``; ``test`` likewise.

    Without a test split every tenth image is held out. ``classes``: the names of the defects, in the order of their
    numbers here; the file may number them as it likes.
    """

    def __init__(
        self,
        *,
        data_dir: str,
        resolution: int,
        classes: list[str],
        channels: int = 3,
        batch_size: int,
        seed: int,
        flip: bool = False,
        crop_padding: int = 0,
        num_workers: int = 0,
    ) -> None:
        super().__init__(
            data_dir=data_dir,
            resolution=resolution,
            channels=channels,
            batch_size=batch_size,
            seed=seed,
            flip=flip,
            crop_padding=crop_padding,
            num_workers=num_workers,
        )
        self.target_classes = tuple(classes)

    def find(self, split: str) -> Sequence[Inspected]:
        places = {name: (self.data_dir / f"{name}.json", self.data_dir / name / BESIDE) for name in self.splits}
        there = {name: next((file for file in files if file.exists()), None) for name, files in places.items()}
        train, test = there["train"], there["test"]
        if train is None:
            raise ValueError(
                f"a set of inspection images is not in {self.data_dir}: put boxes in COCO's format into {places['train'][0]} "
                f"and the images into {self.data_dir / 'train'}"
            )
        if test is not None:
            return self.read(train if split == "train" else test, split)
        whole = self.read(train, "train")
        return [one for number, one in enumerate(whole) if (number % HELD_OUT == HELD_OUT - 1) == (split == "test")]

    def read(self, file: Path, split: str) -> list[Inspected]:
        """The images of a file of boxes, in the order of their names."""
        try:
            facts = json.loads(file.read_text())
            images = {image["id"]: str(image["file_name"]) for image in facts["images"]}
            names = {category["id"]: str(category["name"]) for category in facts["categories"]}
            boxes: dict[Any, list[tuple[float, ...]]] = {key: [] for key in images}
            labels: dict[Any, list[int]] = {key: [] for key in images}
            crowds = 0
            for row in facts["annotations"]:
                if row["image_id"] not in images:
                    raise ValueError(f"{file} has boxes of image {row['image_id']}, which it does not list: mend it")
                if row.get("iscrowd"):
                    crowds += 1
                    continue
                left, top, width, height = map(float, row["bbox"])
                boxes[row["image_id"]].append((left, top, left + width, top + height))
                labels[row["image_id"]].append(self.number_of(names[row["category_id"]], file))
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"{file} is not in COCO's format of boxes (images, categories, annotations): {type(error).__name__} {error}"
            ) from error
        if crowds:
            print(f"warning: {crowds} boxes of {file} are of crowds, not of one thing: left out", file=sys.stderr)
        folder = file.parent / split if file.name != BESIDE else file.parent
        ordered = sorted(images, key=lambda key: images[key])
        return [Inspected(folder / images[key], boxes[key], labels[key], source=file) for key in ordered]

    def number_of(self, name: str, file: Path) -> int:
        if name not in self.target_classes:
            raise ValueError(
                f"{file} has boxes of {name!r}, which is not among datamodule.classes ({', '.join(self.target_classes) or 'empty'})"
            )
        return self.target_classes.index(name)
