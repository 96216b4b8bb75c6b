"""A set of any number of pictures with new defects, in COCO's format, written so that a process that is killed can go on.

Picture number k is a function of the recipe, the seed, the faultless pictures and k. A journal keeps what each one holds as
soon as it is written; at the end ``train.json``, ``parameters.jsonl`` and ``sheet.png`` are made of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin

from datamodules.synthesis.painting import Instance, Painter, Scene, Style
from datamodules.synthesis.reading import pixels_of
from datamodules.synthesis.recipe import Recipe, cutouts_of, fingerprint
from datamodules.synthesis.translating import Translation
from generative.randomness import permutation
from generative.rendering.defects.boxes import tight
from generative.rendering.defects.draws import generator
from generative.rendering.defects.libraries import needed
from generative.rendering.images import save_picture

JOURNAL = ".journal.jsonl"
JPEGS = {".jpg", ".jpeg", ".jpe", ".jfif"}
PER_IMAGE = (1, 6)
FOLDER = "train"
CLEAN = "clean"


@dataclass(frozen=True)
class Plan:
    """What is drawn: ``count`` pictures, each with a number of defects between both of ``per_image``."""

    count: int
    seed: int = 0
    per_image: tuple[int, int] = PER_IMAGE
    style: Style = field(default_factory=Style)

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"--count must be at least 1, got {self.count}")
        if self.seed < 0:
            raise ValueError(f"--seed must be at least 0, got {self.seed}")
        if not 1 <= self.per_image[0] <= self.per_image[1]:
            raise ValueError(
                f"--per-image takes the fewest and the most defects of a picture, at least 1, got {self.per_image}"
            )


class Drawing:
    """Draws the pictures of a plan into the folder ``output``; the last step of each is ``translation``, where there is one."""

    def __init__(
        self,
        recipe_file: Path,
        recipe: Recipe,
        cleans: Sequence[Path],
        plan: Plan,
        output: Path,
        translation: Translation | None = None,
    ) -> None:
        self.recipe, self.cleans, self.plan, self.output = recipe, list(cleans), plan, output
        self.translation = translation
        self.painter = Painter(recipe, cutouts_of(recipe_file), plan.style, seed=plan.seed)
        self.names = list(recipe.classes)
        self.head = {
            "recipe": fingerprint(recipe_file), "seed": plan.seed, "per_image": list(plan.per_image), "style": asdict(plan.style),
            "clean": hashlib.sha256("\n".join(path.name for path in self.cleans).encode()).hexdigest()[:16],
        }  # fmt: skip
        if translation is not None:
            self.head["translation"] = dict(translation.facts)
        self.rows: dict[int, dict[str, Any]] = {}

    def start(self) -> int:
        """Make the folder, or go on in it; the number of pictures that are there. ValueError where it holds something else."""
        journal = self.output / JOURNAL
        if not journal.exists():
            if self.output.exists() and any(self.output.iterdir()):
                raise ValueError(f"{self.output} is not empty, and was not begun by this command: give another -o")
            for folder in (FOLDER, CLEAN):
                (self.output / folder).mkdir(parents=True)
            journal.write_text(json.dumps(self.head) + "\n")
            return 0
        whole, _, _ = journal.read_bytes().rpartition(b"\n")  # a line that a kill has cut off is drawn again
        head, *lines = whole.decode().splitlines() or ["{}"]
        if json.loads(head) != self.head:
            raise ValueError(
                f"{self.output} was begun with another recipe, seed, setting, checkpoint or clean folder: give another -o, or "
                "remove it"
            )
        self.rows = {row["number"]: row for row in map(json.loads, lines) if row["number"] < self.plan.count}
        journal.write_bytes(whole + b"\n")
        return len(self.rows)

    def missing(self) -> list[int]:
        return [number for number in range(self.plan.count) if number not in self.rows]

    def draw(self, number: int) -> None:
        """Draw picture ``number`` and write it, its faultless twin, and its line of the journal."""
        clean = self.clean_of(number)
        scene, instances, failed = self.compose(number, clean)
        picture, refused = scene.picture, []
        if self.translation is not None:
            found = self.translation(scene, instances, first=number * self.plan.per_image[1])
            picture, instances, refused = found.picture, found.instances, found.refused
        name = f"{number:06d}{clean.suffix.lower() if clean.suffix.lower() in JPEGS else '.png'}"
        save_like(picture, clean, self.output / FOLDER / name)
        keep_twin(scene.clean, clean, self.output / CLEAN / name)
        row = {
            "number": number, "file_name": name, "clean": clean.name, "size": list(scene.clean.shape[:2]), "failed": failed,
            "instances": [row_of(instance, scene.clean.shape) for instance in instances],
        }  # fmt: skip
        if refused:
            row["refused"] = refused
        self.rows[number] = row
        with (self.output / JOURNAL).open("a") as file:
            file.write(json.dumps(row) + "\n")

    def clean_of(self, number: int) -> Path:
        """Which faultless picture is drawn on: all of them once, in an order of the seed, before any comes again."""
        turn, place = divmod(number, len(self.cleans))
        return self.cleans[int(permutation(self.plan.seed, turn, len(self.cleans), name="clean pictures")[place])]

    def compose(self, number: int, clean: Path) -> tuple[Scene, list[Instance], list[str]]:
        """Picture ``number`` before it is written, its defects, and the classes that found no place on it."""
        pixels = pixels_of(clean, channels=self.recipe.channels)
        scene = self.painter.scene(pixels)
        random = generator(self.plan.seed, "picture", number)
        low, high = self.plan.per_image
        wanted = [self.names[int(random.integers(len(self.names)))] for _ in range(int(random.integers(low, high + 1)))]
        instances, failed = [], []
        for place, name in enumerate(wanted):
            found = self.painter.draw(scene, name, number=number, place=place)
            if found is None:
                failed.append(name)
            else:
                instances.append(found)
        return scene, instances, failed

    def finish(self) -> Counter[str]:
        """Write ``train.json`` and ``parameters.jsonl``; how many defects of each class there are."""
        rows = [self.rows[number] for number in range(self.plan.count)]
        replace_text(self.output / "train.json", json.dumps(as_coco(rows, self.names)))
        lines = []
        for row in rows:
            for instance in row["instances"]:
                own = {key: value for key, value in instance.items() if key not in ("rle", "parameters")}
                lines.append(
                    json.dumps({"file_name": row["file_name"], "clean": row["clean"], **own, **instance["parameters"]})
                )
        replace_text(self.output / "parameters.jsonl", "\n".join(lines) + "\n")
        return Counter(instance["parameters"]["class"] for row in rows for instance in row["instances"])

    def refused(self) -> Counter[str]:
        """The classes whose translations show no defect, by how often."""
        return Counter(name for row in self.rows.values() for name in row.get("refused", []))

    def failed(self) -> Counter[str]:
        """The classes that found no place, by how often."""
        return Counter(name for row in self.rows.values() for name in row["failed"])


def row_of(instance: Instance, shape: tuple[int, ...]) -> dict[str, Any]:
    """An instance as a line of the journal holds it."""
    coco = needed("pycocotools.mask", "writing masks")
    whole = np.zeros(shape[:2], dtype=np.uint8, order="F")
    whole[instance.place] = instance.mask
    runs = coco.encode(whole)
    offset = (instance.place[0].start, instance.place[1].start)
    return {
        "box": list(instance.box), "tight": list(tight(instance.mask, offset=offset)), "area": int(instance.mask.sum()),
        "rle": {"size": list(map(int, runs["size"])), "counts": runs["counts"].decode()}, "parameters": instance.parameters,
    }  # fmt: skip


def as_coco(rows: Iterable[dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """COCO's images, categories and annotations: boxes are left, top, width and height; masks are run lengths."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, row in enumerate(rows, 1):
        height, width = row["size"]
        images.append({"id": number, "file_name": row["file_name"], "height": height, "width": width})
        for instance in row["instances"]:
            left, top, right, bottom = instance["box"]
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "iscrowd": 0, "area": instance["area"],
                "category_id": names.index(instance["parameters"]["class"]) + 1,
                "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)], "segmentation": instance["rle"],
            })  # fmt: skip
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    return {
        "info": {"description": "synthetic defects"},
        "images": images,
        "categories": categories,
        "annotations": annotations,
    }


def save_like(picture: np.ndarray, clean: Path, target: Path) -> None:
    """Write a picture as its faultless one is stored: as JPEG with the same tables, so with the same losses, else as PNG."""
    image = Image.fromarray(picture)
    part = target.with_name(f".{target.name}")
    if target.suffix in JPEGS:
        with Image.open(clean) as source:
            tables = getattr(source, "quantization", None)
            sampling = JpegImagePlugin.get_sampling(source) if source.mode == "RGB" and image.mode == "RGB" else -1
        image.save(part, "JPEG", qtables=tables, subsampling=sampling)
    else:
        image.save(part, "PNG", compress_level=3)
    os.replace(part, target)


def keep_twin(pixels: np.ndarray, clean: Path, target: Path) -> None:
    """The faultless picture under the name of the one with defects, byte for byte where formats agree."""
    part = target.with_name(f".{target.name}")
    if clean.suffix.lower() == target.suffix:
        shutil.copyfile(clean, part)
        os.replace(part, target)
    else:
        save_picture(Image.fromarray(pixels), target.parent, target.name)


def replace_text(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}")
    part.write_text(text)
    os.replace(part, path)
