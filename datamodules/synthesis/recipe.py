"""What was learned of a set's defects: a file that a person can read and change, and all that is needed to draw more."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from generative.rendering.defects.binary import Levels
from generative.rendering.defects.boxes import Box, Convention

FORMAT = "polymorph defects 1"
PRIMITIVES = ("bridge", "bump", "island")
FAMILIES = (*PRIMITIVES, "curve", "polygon")
MIXED = "mixed"  # some examples are curves, others polygons
PLACES = ("matched", "anywhere")
HEADER = """\
# What was learned of the defects of a set, by `python -m datamodules.synthesize fit`; draw more by `... draw`.
# You may change what stands here: leave out examples, set `place` to anywhere, or widen `margins`.
"""


@dataclass(frozen=True)
class Learned:
    """A class: its ``family`` says how it is drawn, ``examples`` hold what was measured of the real ones.

    ``adds``: of a board of two levels the level that a defect adds. ``place``: matched to where the real ones lay, or
    anywhere.
    """

    family: str
    place: str
    examples: list[dict[str, Any]]
    adds: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Recipe:
    """``channels``: of the pictures, 1 or 3. ``levels``: of pictures of two levels. ``boxes``: the convention of their edges."""

    source: str
    seed: int
    num_real: int
    channels: int
    boxes: Convention
    classes: dict[str, Learned]
    levels: Levels | None = None

    def write(self, path: Path) -> None:
        data = {
            "format": FORMAT, "source": self.source, "seed": self.seed, "num_real": self.num_real, "channels": self.channels,
            "levels": None if self.levels is None else plain(asdict(self.levels)),
            "boxes": plain(asdict(self.boxes)),
            "classes": {
                name: {key: plain(value) for key, value in asdict(learned).items() if value is not None}
                for name, learned in self.classes.items()
            },
        }  # fmt: skip
        text = yaml.dump(data, Dumper=Compact, sort_keys=False, allow_unicode=True, width=118)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEADER + text, encoding="utf-8")


class Compact(yaml.SafeDumper):
    """Lists of numbers stand in one line."""


def represent_list(dumper: Compact, values: list[Any]) -> yaml.Node:
    flat = all(not isinstance(value, dict) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flat)


Compact.add_representer(list, represent_list)


def plain(value: Any) -> Any:
    """Arrays, tuples and numbers of NumPy as YAML has them, to three digits after the point."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    return round(float(value), 3) if isinstance(value, float | np.floating) else value


def read_recipe(path: Path) -> Recipe:
    """The recipe in a file; ValueError says what is wrong with it."""
    if not path.is_file():
        raise ValueError(f"{path} is not there: make it by python -m datamodules.synthesize fit <set> -o {path}")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"{path} is of the format {data['format']!r}, and {FORMAT!r} is read: fit it again")
        levels = data["levels"]
        if levels is not None:
            threshold = float(levels.pop("threshold"))
            levels = Levels(threshold, **{key: tuple(map(float, row)) for key, row in levels.items()})
        recipe = Recipe(
            str(data["source"]), int(data["seed"]), int(data["num_real"]), int(data["channels"]),
            Convention(**{key: box_of(row) for key, row in data["boxes"].items()}),
            {str(name): Learned(**learned) for name, learned in data["classes"].items()}, levels,
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise ValueError(
            f"{path} is no recipe of defects ({type(error).__name__} {' '.join(str(error).split())}): fit it again"
        ) from error
    for name, learned in recipe.classes.items():
        check(name, learned, recipe, path)
    return recipe


def box_of(row: list[float]) -> Box:
    left, top, right, bottom = map(float, row)
    return left, top, right, bottom


def check(name: str, learned: Learned, recipe: Recipe, path: Path) -> None:
    """ValueError for a class without examples, or of a family or place that is none."""
    if learned.family not in (*FAMILIES, MIXED):
        raise ValueError(
            f"{path}: the class {name!r} has the family {learned.family!r}: choose one of {', '.join(FAMILIES)}"
        )
    if learned.place not in PLACES:
        raise ValueError(
            f"{path}: the class {name!r} has the place {learned.place!r}: choose one of {', '.join(PLACES)}"
        )
    if not learned.examples:
        raise ValueError(f"{path}: the class {name!r} has no example: leave it out, or fit it with some")
    if learned.family in PRIMITIVES and (recipe.levels is None or learned.adds not in ("dark", "bright")):
        raise ValueError(
            f"{path}: the class {name!r} is a {learned.family}, which needs levels, and adds: dark or bright"
        )


def cutouts_of(path: Path) -> Path:
    """The folder of pictures of real defects that belongs to a recipe."""
    return path.with_suffix("")


def fingerprint(path: Path) -> str:
    """The start of a hash of a recipe and of its pictures: what drawn pixels follow from."""
    digest = hashlib.sha256(path.read_bytes())
    folder = cutouts_of(path)
    if folder.is_dir():
        for file in sorted(folder.glob("*.png")):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]
