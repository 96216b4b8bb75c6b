"""Learning a recipe from a few real defects: their masks, what each class is, sizes, shapes, materials, places and boxes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from datamodules.notices import warn_once
from datamodules.synthesis.reading import Example, Examples, check_box, pixels_of
from datamodules.synthesis.recipe import PRIMITIVES, Learned, Recipe, cutouts_of
from generative.rendering.defects import curves, polygons, primitives
from generative.rendering.defects.binary import Levels, difference, levels_of
from generative.rendering.defects.boxes import Box, learn, tight
from generative.rendering.defects.libraries import opencv
from generative.rendering.defects.masks import from_box
from generative.rendering.defects.materials import nearest
from generative.rendering.defects.placement import surroundings
from generative.rendering.defects.topology import kind_of

MARGIN = 24  # pixels around a box or mask that are looked at, and half of the box's longer side
LEAST_SHARE = 0.5  # of a class's examples that agree on what it is
ELONGATED = 8.0  # length over width, from which on a defect is drawn as a curve
LEAST_PIXELS = 12  # of the inside of a mask, for its material to be taken from there
SINGLE = 0.9  # of a mask in its largest piece, for its polygon to stand for all of it
LEAST_SPAN = 0.5  # of the median share of its box that what was found in one reaches along
NUM_LEVEL_IMAGES = 40  # of whose patches the levels are learned


@dataclass
class Sample:
    """A real defect on the part of its picture around it: ``mask`` bool [h, w], the ``background`` without it, as bytes.

    ``offset`` is (row, column) of the part's first pixel. ``adds_dark``: of two levels, what the defect adds.
    """

    example: Example
    picture: np.ndarray
    background: np.ndarray
    mask: np.ndarray
    offset: tuple[int, int]
    shape: tuple[int, ...]
    adds_dark: bool | None = None
    given_mask: bool = False

    @property
    def tight(self) -> Box:
        return tight(self.mask, offset=self.offset)


@dataclass
class Fit:
    """A recipe, the samples it was learned from by class, and pictures that belong to it by the names of their files."""

    recipe: Recipe
    samples: dict[str, list[Sample]]
    cutouts: dict[str, np.ndarray] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """The recipe, and its pictures into the folder beside it, in place of earlier ones."""
        self.recipe.write(path)
        folder = cutouts_of(path)
        if folder.is_dir():
            for file in folder.glob("*.png"):
                file.unlink()
        if self.cutouts:
            folder.mkdir(exist_ok=True)
            for name, pixels in self.cutouts.items():
                Image.fromarray(pixels).save(folder / name)


def fit(
    examples: Examples, chosen: Mapping[str, list[Example]], *, num_real: int, seed: int, families: Mapping[str, str],
    step: Callable[[], object] = lambda: None,
) -> Fit:  # fmt: skip
    """Learn a recipe from the ``chosen`` defects alone. ``families`` says how a class is drawn, where a person knows better."""
    unknown = sorted(set(families) - set(examples.classes))
    if unknown:
        raise ValueError(f"--family names {unknown[0]!r}, and the classes are {', '.join(examples.classes)}")
    pictures = Pictures()
    levels = levels_of([grey(part) for part in parts_of(chosen, pictures)])
    samples: dict[str, list[Sample]] = {}
    for name, defects in chosen.items():
        found = []
        for defect in defects:
            sample = sample_of(defect, pictures, levels)
            if sample is not None:
                found.append(sample)
            step()
        if not found:
            raise ValueError(f"no example of {name!r} shows a defect in its box: give masks of this class")
        samples[name] = spanning(found)
        if len(samples[name]) < len(defects):
            warn_once(
                f"{len(defects) - len(samples[name])} of {len(defects)} examples of {name} show nothing that fills their box as "
                "the others do: left out"
            )
    boxed = [sample for rows in samples.values() for sample in rows]
    convention = learn([sample.example.box for sample in boxed], [sample.tight for sample in boxed])
    done = Fit(
        Recipe(str(examples.path), seed, num_real, 1 if boxed[0].picture.ndim == 2 else 3, convention, {}, levels),
        samples,
    )
    for name, rows in samples.items():
        done.recipe.classes[name] = learned(name, rows, done, families.get(name))
    return done


def spanning(found: Sequence[Sample]) -> list[Sample]:
    """The samples without those that were looked for in a box, and reach along less of it than half of what others do.

    A faint scratch is not seen, and a pad beside it is: nothing else tells. The longer side counts, since boxes have margins.
    """
    spans = [longest(sample.tight) / longest(sample.example.box) for sample in found]
    least = LEAST_SPAN * float(np.median(spans))
    sure = [sample.example.segmentation or sample.example.twin is not None for sample in found]
    return [sample for sample, span, known in zip(found, spans, sure, strict=True) if known or span >= least]


def longest(box: Sequence[float]) -> float:
    left, top, right, bottom = box
    return max(right - left, bottom - top)


class Pictures:
    """Pictures by their files, each read once; all in grey or all in colour."""

    def __init__(self) -> None:
        self.kept: dict[Path, np.ndarray] = {}
        self.channels: int | None = None

    def __getitem__(self, path: Path) -> np.ndarray:
        if path not in self.kept:
            found = pixels_of(path, channels=self.channels)
            if self.channels is None:
                self.channels = 1 if found.ndim == 2 else 3
            self.kept[path] = found
        return self.kept[path]


def grey(picture: np.ndarray) -> np.ndarray:
    """[H, W] of a picture in grey or colour, bytes."""
    return picture if picture.ndim == 2 else picture.mean(axis=2).astype(np.uint8)


def parts_of(chosen: Mapping[str, list[Example]], pictures: Pictures) -> list[np.ndarray]:
    """The parts around the chosen defects: what is learned comes from them alone, and not from the rest of their pictures."""
    defects = [defect for rows in chosen.values() for defect in rows][
        :: max(1, sum(map(len, chosen.values())) // NUM_LEVEL_IMAGES)
    ]
    found = []
    for defect in defects:
        picture = pictures[defect.image]
        check_box(defect, picture.shape)
        found.append(picture[around(defect, picture.shape)])
    return found


def around(example: Example, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The rows and columns of the part that is looked at."""
    left, top, right, bottom = example.box
    margin = MARGIN + max(right - left, bottom - top) / 2
    return (
        slice(max(0, int(top - margin)), min(shape[0], int(bottom + margin) + 1)),
        slice(max(0, int(left - margin)), min(shape[1], int(right + margin) + 1)),
    )


def sample_of(example: Example, pictures: Pictures, levels: Levels | None) -> Sample | None:
    """The pixels of a defect and of what would be there without it; None where its box shows nothing."""
    whole = pictures[example.image]
    check_box(example, whole.shape)
    place = around(example, whole.shape)
    offset = (place[0].start, place[1].start)
    picture = whole[place]
    twin = None if example.twin is None else pictures[example.twin]
    if twin is not None and twin.shape != whole.shape:
        raise ValueError(
            f"{example.twin} has {twin.shape[1]} x {twin.shape[0]} pixels and {example.image} {whole.shape[1]} x "
            f"{whole.shape[0]}: a faultless twin has those of its picture"
        )
    left, top, right, bottom = example.box
    box = (left - offset[1], top - offset[0], right - offset[1], bottom - offset[0])
    given = example.mask((whole.shape[0], whole.shape[1]))
    if levels is not None and twin is not None:
        return of_two_levels(example, picture, twin[place], offset, whole.shape, levels)
    part = None if twin is None else twin[place]
    try:
        mask = given[place] if given is not None else from_box(picture, box, part)
    except ValueError:
        return None
    if not mask.any():
        return None
    background = part if part is not None else opened_up(picture, mask)
    sample = Sample(example, picture, background, mask, offset, whole.shape, given_mask=given is not None)
    if levels is not None:
        copper = levels.copper(grey(background))
        sample.adds_dark = bool((mask & ~copper).sum() >= (mask & copper).sum())
        sample.mask = mask & (copper ^ sample.adds_dark)  # a defect changes every pixel of its mask
    return sample if sample.mask.any() else None


def of_two_levels(
    example: Example,
    picture: np.ndarray,
    twin: np.ndarray,
    offset: tuple[int, int],
    shape: tuple[int, ...],
    levels: Levels,
) -> Sample | None:
    """A defect of a board by what differs from the faultless one, of the level that it mostly adds."""
    left, top, right, bottom = example.box
    box = (left - offset[1], top - offset[0], right - offset[1], bottom - offset[0])
    mask, template = difference(levels.copper(grey(picture)), levels.copper(grey(twin)), box)
    if not mask.any():
        return None
    adds_dark = bool((mask & ~template).sum() > (mask & template).sum())
    mask &= template ^ adds_dark
    dark, bright = np.uint8(0), np.uint8(255)
    return Sample(example, picture, np.where(template, dark, bright), mask, offset, shape, adds_dark)


def opened_up(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture with the defect filled from its rim: what stands for the faultless one where there is no twin."""
    cv2 = opencv()
    wide = ndimage.binary_dilation(mask, iterations=2).astype(np.uint8)
    found: np.ndarray = cv2.inpaint(np.ascontiguousarray(picture), wide, 3, cv2.INPAINT_TELEA)
    return found


def learned(name: str, samples: list[Sample], done: Fit, family: str | None) -> Learned:
    """How a class is drawn, by the agreement of its examples, and what was measured of each."""
    levels = done.recipe.levels
    if levels is not None and family in (None, *PRIMITIVES):
        primitive = as_primitive(name, samples, levels, family)
        if primitive is not None:
            return primitive
    found: list[dict[str, Any]] = []
    for number, sample in enumerate(samples):
        curve = None if family == "polygon" else curve_in(sample, least=0.0 if family == "curve" else ELONGATED)
        row = of_curve(sample, curve) if curve is not None else None
        if row is None and family != "curve":
            row = of_polygon(sample, f"{file_name(name)}_{number:02d}.png", done)
        if row is not None:
            found.append({**row, **place_of(sample), **source_of(sample)})
    if not found:
        raise ValueError(
            f"no example of {name!r} has a mask that can be drawn as a {family or 'polygon'}: give other masks"
        )
    kinds = {"curve" if "points" in row else "polygon" for row in found}
    left = len(samples) - len(found)
    note = f"{left} of {len(samples)} examples have no such mask: left out" if left else None
    return Learned(kinds.pop() if len(kinds) == 1 else "mixed", "matched", found, note=note)


def as_primitive(name: str, samples: list[Sample], levels: Levels, family: str | None) -> Learned | None:
    """A class of boards of two levels, where most of its examples are of one primitive that adds one level."""
    kinds = []
    for sample in samples:
        copper = levels.copper(grey(sample.background))
        kinds.append(
            (kind_of(copper, sample.mask, adds_copper=bool(sample.adds_dark)).primitive, bool(sample.adds_dark))
        )
    votes = Counter(kind for kind in kinds if kind[0] is not None and family in (None, kind[0]))
    if not votes:
        if family is not None:
            raise ValueError(f"no example of {name!r} is a {family}: leave --family {name} out")
        return None
    (primitive, adds_dark), count = votes.most_common(1)[0]
    if count < LEAST_SHARE * len(samples) and family is None:
        return None
    rows = []
    for sample, kind in zip(samples, kinds, strict=True):
        if kind == (primitive, adds_dark):
            copper = levels.copper(grey(sample.background))
            size = primitives.measure(copper, sample.mask, primitive=str(primitive), adds_copper=adds_dark)
            rows.append({**asdict(size), **source_of(sample)})
    note = (
        None
        if count == len(samples)
        else f"{len(samples) - count} of {len(samples)} examples are no such {primitive}: left out"
    )
    return Learned(str(primitive), "matched", rows, "dark" if adds_dark else "bright", note)


def source_of(sample: Sample) -> dict[str, Any]:
    """Which real defect it is: its picture and the corner of its tight box."""
    left, top, _, _ = sample.tight
    return {"from": sample.example.image.name, "at": [int(left), int(top)]}


def curve_in(sample: Sample, *, least: float) -> curves.Curve | None:
    """The curve that a mask is of, where it is at least so many times as long as wide; None of a blob, or of several curves."""
    try:
        curve = curves.fit(sample.mask)
    except ValueError:
        return None
    return curve if curve.length >= least * max(float(np.median(curve.widths)), 1.0) else None


def of_curve(sample: Sample, curve: curves.Curve) -> dict[str, Any]:
    inner = ndimage.binary_erosion(sample.mask)
    pixels = inner if inner.sum() >= LEAST_PIXELS else sample.mask
    material = nearest(of_pixels(sample.picture, pixels), of_pixels(sample.background, pixels))
    centred = curve.points - curve.points.mean(axis=0)
    return {"points": centred, "widths": curve.widths, "material": material.as_data()}


def of_polygon(sample: Sample, file: str, done: Fit) -> dict[str, Any] | None:
    """An outline, and the pixels within and beside it as a picture beside the recipe; None where the mask has no area."""
    try:
        vertices = polygons.fit(sample.mask)
    except ValueError:
        return None
    centre = vertices.mean(axis=0)
    done.cutouts[file] = np.dstack([np.atleast_3d(sample.picture), 255 * sample.mask.astype(np.uint8)])
    material = nearest(of_pixels(sample.picture, sample.mask), of_pixels(sample.background, sample.mask))
    whole = bool(polygons.filled(vertices, sample.mask.shape)[sample.mask].mean() < SINGLE)
    return {
        "vertices": vertices - centre, "cutout": file, "centre": centre, "in_pieces": whole,
        "translucency": material.translucency, "ground": of_pixels(sample.background, sample.mask).mean(axis=0) / 255.0,
    }  # fmt: skip


def of_pixels(picture: np.ndarray, where: np.ndarray) -> np.ndarray:
    """[N, C] of a picture in grey or colour."""
    found = picture[where]
    return found[:, None] if found.ndim == 1 else found


def place_of(sample: Sample) -> dict[str, Any]:
    """Where a real defect lay: the levels around it, and its place on the picture."""
    found = surroundings(sample.background, sample.mask, sample.offset, sample.shape)
    return {"around": found.levels, "position": found.position, "radius": found.radius}


def file_name(name: str) -> str:
    """A class's name as part of a file's."""
    return "".join(letter if letter.isalnum() else "_" for letter in name)
