"""Every way to draw by one decoder, and images without one, measured alike: which sampler is worth its trouble?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from generative.checks import check_at_least, check_choice
from generative.latents.combinations import Combination, Smote
from generative.randomness import Stream
from generative.rendering.images import from_uint8, image_grid, pixel_scale, save_picture, stacked, to_uint8
from generative.rendering.tables import markdown
from lightning_modules.base import Classifies, Draws, ImageData
from lightning_modules.labels import labels_to_follow
from lightning_modules.regene.drawing import AT_ONCE, FILTERED, SAMPLERS, GaveUp
from lightning_modules.regene.judging import chosen_instruments
from lightning_modules.regene.module import ReGene
from lightning_modules.regene.pictures import decoded, source_images
from lightning_modules.tasks.samples import progress
from lightning_modules.tasks.tables import write_lines
from metrics.evaluation import Instruments, evaluate, real_summary
from metrics.image_sets import ImageSet, ImagesInMemory, random_part
from metrics.judge import can_judge
from metrics.samples import DrawnImages
from metrics.statistics import Summary

SHOWN = 16  # images of an arm, in the picture
LEAST = 10  # images of an arm and of the reference: precision and recall look at three neighbours
COMPARED = ["fd", "precision", "recall"]  # with the reference
COPIED = ["authenticity"]  # of the training images
TSTR = "tstr_accuracy"  # of a machine on raw pixels, so of small images only
NAMED = ["accuracy", TSTR]
METRICS = [*COMPARED, *COPIED, *NAMED]
REFERENCES = ("all", "test")
COLUMNS = dict.fromkeys(METRICS, ".3f")
PIXELS, IMAGES = "pixels_", "images"  # arms without a decoder: means of the same images' pixels, training images
DETAILED = "_detailed"  # behind a sampler: with what the decoder misses of the first source
CHECKED = ("convex_2", "variance_2")  # which the table has with the filter, too
ARMS = (
    *(arm for name in SAMPLERS for arm in ((name, name + FILTERED) if name in CHECKED else (name,))),
    f"variance_2{FILTERED}{DETAILED}",
    f"{PIXELS}2",
    IMAGES,
)


@dataclass(frozen=True)
class CombinedPixels:
    """The means of the pixels of the training images whose latents ``method`` would combine: images 0 .. count - 1 of a seed."""

    method: ReGene
    datamodule: ImageData
    sampler: str
    cycle: Tensor
    count: int
    seed: int

    @property
    def name(self) -> str:
        return f"means of the pixels of {self.sampler}"

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.method.image_shape

    def __len__(self) -> int:
        return self.count

    def labels(self) -> Tensor:
        return self.cycle[torch.arange(self.count) % len(self.cycle)]

    def fingerprint(self) -> str:
        return ""

    def images(self, first: int, count: int) -> Tensor:
        stream = Stream(self.seed, "regene").branch("try 0")
        labels = self.labels()[first : first + count]
        drawn = self.method.sampler(self.sampler).draw(range(first, first + count), labels, stream)
        sources = source_images(self.method, self.datamodule, drawn.sources)
        return to_uint8((drawn.weights.to(sources)[:, :, None, None, None] * sources).sum(dim=1))


@dataclass(frozen=True)
class DetailedImages(CombinedPixels):
    """What ``method`` draws by ``sampler``, and the detail that its decoder misses of the first source: D(z) + x_1 - D(z_1).

    The pair of a latent and a detail is a whole code of a training image. Latents are combined, details are not, since a mean
    of details is blurred. The filter, if any, sees D(z).
    """

    @property
    def name(self) -> str:
        return f"{self.sampler}, with details"

    def images(self, first: int, count: int) -> Tensor:
        self.method.use_sampling(self.sampler)
        labels = self.labels()[first : first + count]
        drawn = self.method.sampled(range(first, first + count), labels, seed=self.seed)
        firsts = drawn.sources[:, 0]
        again = torch.cat([decoded(self.method, self.method.bank.rows(part)) for part in firsts.split(AT_ONCE)])
        details = source_images(self.method, self.datamodule, firsts) - again
        return to_uint8((drawn.images.cpu() + details).clamp(-1.0, 1.0))


def samplers(
    method: ReGene,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    arms: list[str] | None = None,
    judge: list[Classifies] | None = None,
    count: int = 1797,
    reference: str = "all",
    num_reference: int | None = None,
    rivals: list[Draws] | None = None,
) -> list[Path]:
    """FD, precision, recall, authenticity, asked class and the accuracy of a student, of ``count`` images of each arm; a picture.

    ``arms``: samplers of the method, also with ``_detailed`` behind them (:class:`DetailedImages`), ``pixels_2`` (the mean of
    the two images whose latents convex_2 combines) and ``images`` (training images themselves); by default all of the table.
    They are measured in raw pixels and, with a ``judge``, in its features too: a classifier's checkpoint that also names the
    images; without it a machine on raw pixels does. The ``reference`` are ``num_reference`` images of the split ``all`` or
    ``test`` (null: all of them); authenticity asks the training images. An arm whose images no try gets past the checks has a
    row that says so. ``rivals`` are other generators of this data that draw by class, measured alike under the names of their
    experiments. ValueError where the judge is the method's own classifier.
    """
    arms = list(ARMS) if arms is None else arms
    rows = measured_rows(
        method,
        arms,
        datamodule,
        judge,
        Asked(count=count, reference=reference, num_reference=num_reference, seed=seed),
        title="samplers",
        rivals=rivals or (),
    )
    picture = arms_picture(method, arms, datamodule, min(SHOWN, count), seed=seed)
    return [*write_rows(rows, output, "samplers"), save_picture(picture, output, "samplers.png")]


def arms_picture(method: ReGene, arms: Sequence[str], datamodule: ImageData, count: int, *, seed: int) -> Image.Image:
    """The first ``count`` images of each arm in a row; none of an arm that gives up."""
    cycle = method.label_cycle(labels_to_follow(method, datamodule, "data"), seed=seed)
    assert cycle is not None
    scale = pixel_scale(method.image_shape[1])
    panels = []
    for name in arms:
        with suppress(GaveUp):
            images = from_uint8(images_of(method, name, datamodule, cycle.cpu(), count, seed=seed).images(0, count))
            panels.append((name, image_grid(images, num_columns=count, scale=scale)))
    return stacked(panels or [("no arm has images", image_grid(torch.zeros(1, *method.image_shape), num_columns=1))])


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How many images of an arm, of which evaluation ``seed``, against how many of which split."""

    count: int
    reference: str
    num_reference: int | None
    seed: int

    def __post_init__(self) -> None:
        check_at_least(LEAST, count=self.count)
        check_choice("reference", self.reference, REFERENCES)


def measured_rows(
    method: ReGene,
    arms: Sequence[str],
    datamodule: ImageData,
    judge: list[Classifies] | None,
    asked: Asked,
    *,
    title: str,
    rivals: Sequence[Draws] = (),
) -> list[dict[str, Any]]:
    """A row of each arm and rival in raw pixels and, with a judge, one in its features; progress is called ``title``."""
    check_arms(method, arms)
    check_rivals(method, rivals)
    ways = (False,) if judge is None else (False, True)
    spaces = [space_of(method, datamodule, judge, asked, by_features=by_features) for by_features in ways]
    cycle = method.label_cycle(labels_to_follow(method, datamodule, "data"), seed=asked.seed)
    assert cycle is not None
    facts = facts_of(method, seed=asked.seed) | {
        "count": asked.count,
        "reference": f"{datamodule.name}:{asked.reference}",
    }
    rows: list[dict[str, Any]] = []
    with progress(len(arms) + len(rivals), title) as bar:
        for name in arms:
            images = images_of(method, name, datamodule, cycle.cpu(), asked.count, seed=asked.seed)
            rows += rows_of(facts | {"arm": name}, images, spaces)
            bar.update()
        for rival in rivals:
            drawn = DrawnImages(rival, asked.count, seed=asked.seed, data_labels=datamodule.split("train")[1])
            own = {"arm": experiment_of(rival), "train_seed": rival.seed, "kimg": rival.images_seen / 1000}
            rows += rows_of(facts | own, drawn, spaces)
            bar.update()
    return rows


def write_rows(rows: Sequence[dict[str, Any]], output: Path, name: str) -> list[Path]:
    """The lines, and a table of each space."""
    written, table = write_lines(rows, output / f"{name}.jsonl"), output / f"{name}.md"
    extractors = dict.fromkeys(row["extractor"] for row in rows)
    table.write_text("\n".join(table_of(rows, extractor) for extractor in extractors))
    return [written, table]


@dataclass(frozen=True)
class Space:
    """Features in which arms are measured: by what, the statistics of the reference, those of the training images."""

    instruments: Instruments
    reference: Summary
    training: Summary

    def measured(self, images: ImagesInMemory, *, names_classes: bool) -> dict[str, Any]:
        can_teach = can_judge(math.prod(images.shape))
        asked = [*COMPARED, *(name for name in NAMED if can_teach or name != TSTR)] if names_classes else COMPARED
        against = {"num_reference": self.reference.num_images, "num_training": self.training.num_images}
        values = evaluate(images, self.reference, replace(self.instruments, metrics=asked))
        return against | values | evaluate(images, self.training, replace(self.instruments, metrics=COPIED))


def space_of(
    method: ReGene, datamodule: ImageData, judge: list[Classifies] | None, asked: Asked, *, by_features: bool
) -> Space:
    instruments = chosen_instruments(method, datamodule, judge, by_features=by_features, metrics=METRICS)
    whole = ImagesInMemory(f"{datamodule.name}:{asked.reference}", *datamodule.split(asked.reference))
    training = ImagesInMemory(f"{datamodule.name}:train", *datamodule.split("train"))
    return Space(
        instruments,
        real_summary(
            random_part(whole, asked.num_reference), instruments.extractor, metrics=COMPARED, work=instruments.work
        ),
        real_summary(training, instruments.extractor, metrics=COPIED, work=instruments.work),
    )


def rows_of(facts: dict[str, Any], images: ImageSet, spaces: Sequence[Space]) -> list[dict[str, Any]]:
    """A row of each space, of images that are drawn once; the classes are named in the first."""
    try:
        drawn = ImagesInMemory(images.name, images.images(0, len(images)), images.labels())
    except GaveUp as error:
        return [facts | {"extractor": space.instruments.extractor.name, "gave_up": str(error)} for space in spaces]
    rows: list[dict[str, Any]] = []
    facts = facts | {"count": len(drawn)}
    for number, space in enumerate(spaces):
        found = space.measured(drawn, names_classes=number == 0)
        shared = {} if number == 0 else {name: rows[0][name] for name in NAMED if name in rows[0]}
        rows.append(facts | {"extractor": space.instruments.extractor.name} | shared | found)
    return rows


def table_of(rows: Sequence[dict[str, Any]], extractor: str) -> str:
    chosen = [row for row in rows if row["extractor"] == extractor]
    head = f"In {extractor}, against {chosen[0]['reference']}; {chosen[0]['count']} images an arm.\n\n"
    return head + markdown(("arm", *COLUMNS), [[row["arm"], *cells(row)] for row in chosen])


def facts_of(method: ReGene, *, seed: int) -> dict[str, Any]:
    """What a row of any table says of the run that it is of, and of the drawing."""
    facts = {
        "experiment": experiment_of(method),
        "train_seed": method.seed,
        "kimg": method.images_seen / 1000,
        "seed": seed,
    }
    rare = method.run_config.get("datamodule", {}).get("rare")
    return facts | {"joint": method.joint} | ({"rare": rare} if rare else {})


def check_rivals(method: ReGene, rivals: Sequence[Draws]) -> None:
    """ValueError for a generator of other images, or of other classes."""
    for rival in rivals:
        if (rival.image_shape, rival.num_classes) != (method.image_shape, method.num_classes):
            raise ValueError(
                f"rivals has {experiment_of(rival)}, which draws images {rival.image_shape} of {rival.num_classes} classes, and "
                f"these are {method.image_shape} of {method.num_classes}: give a generator of this data that draws by class"
            )


def experiment_of(method: Draws) -> str | None:
    name: str | None = method.run_config.get("experiment_name")
    return name


def check_arms(method: ReGene, names: Sequence[str]) -> None:
    """ValueError for a name that is no arm."""
    for name in names:
        if name.startswith(PIXELS) and name.endswith(FILTERED):
            raise ValueError(f"{name}: means of pixels are not filtered, leave out {FILTERED}")
        if name == IMAGES:
            continue
        plain = name.replace(PIXELS, "convex_").removesuffix(DETAILED).removesuffix(FILTERED)
        sampler = method.sampler(plain)  # which refuses a name that is none
        if name.endswith(DETAILED) and not isinstance(sampler, Combination | Smote):
            raise ValueError(
                f"{name}: details are those of a source, and {plain} makes latents of no single training images: take a "
                "sampler like variance_2, convex_2 or smote"
            )


def cells(row: dict[str, Any]) -> Sequence[str]:
    if "gave_up" in row:
        return ["gave up"] * len(COLUMNS)
    return [f"{row[name]:{form}}" if name in row else "-" for name, form in COLUMNS.items()]


def images_of(method: ReGene, name: str, datamodule: ImageData, cycle: Tensor, count: int, *, seed: int) -> Any:
    """The set of images of an arm."""
    if name == IMAGES:
        part = random_part(ImagesInMemory("training images", *datamodule.split("train")), None)
        return random_part(part, min(count, len(part)))
    if name.startswith(PIXELS):
        return CombinedPixels(method, datamodule, name.replace(PIXELS, "convex_"), cycle, count, seed)
    if name.endswith(DETAILED):
        return DetailedImages(method, datamodule, name.removesuffix(DETAILED), cycle, count, seed)
    method.use_sampling(name)
    return DrawnImages(method, count, seed=seed, data_labels=datamodule.split("train")[1])
