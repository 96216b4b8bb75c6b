"""Are points between latents as good as latents? Scores of midpoints, means of several codes and points beyond, by path."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from generative.checks import check_at_least
from generative.rendering.tables import markdown
from lightning_modules.base import Classifies, Draws, HasLatents, ImageData
from lightning_modules.labels import labels_to_follow
from lightning_modules.tasks.latent_models import check_paths, drawn_by, prior_name, prior_settings
from lightning_modules.tasks.samples import progress
from lightning_modules.tasks.tables import write_lines
from metrics.combinations import Combination, DecodedImages, combinations_of, combined_code, end_distance, samples_of
from metrics.evaluation import Instruments, Work, evaluate, real_summary
from metrics.features import Extractor, FromClassifier, Pixels, make_extractor
from metrics.image_sets import ImagesInMemory, random_part
from metrics.protocols import check_judge
from metrics.statistics import Summary

PRIOR = Combination("prior", (1.0,))  # the samples themselves, which take no path
NO_PATH = "none"
DEFAULT_PATHS = ("linear", "variance_preserving", "transport")
LEAST = 10  # images: the Inception score cuts them into ten parts, precision and recall look at three neighbours
COMPARED_WITH_ENDS = 512  # images of a row at most: their mean distance is known to about one part in a hundred
COMPARED_CODES = 64  # paths that make these the same are one
COLUMNS = {"fd": ".2f", "precision": ".3f", "recall": ".3f", "is": ".3f", "end_distance": ".3f"}


@dataclass(frozen=True)
class Step:
    """A row to measure; ``same_as``: an earlier path of the same codes, whose row it repeats."""

    combination: Combination
    path: str
    same_as: str | None = None


@dataclass(frozen=True)
class Course:
    """What all rows of a method have in common: their images, and by what they are measured."""

    method: HasLatents
    instruments: Instruments
    real: Summary
    count: int
    seed: int
    cycle: Tensor | None

    def measured(self, step: Step, ends: Sequence[Tensor]) -> dict[str, float | None]:
        """The measures of a row; ``ends``: the features of the codes' own images, [N, D] each."""
        values: dict[str, float | None] = dict.fromkeys(COLUMNS)
        values |= evaluate(images := self.images(step), self.real, self.instruments)
        if step.combination != PRIOR:
            values["end_distance"] = end_distance(self.features(images), ends[: len(step.combination.weights)])
        return {name: values[name] for name in COLUMNS}

    def images(self, step: Step) -> DecodedImages:
        if step.combination == PRIOR:
            return samples_of(self.method, self.count, place=0, seed=self.seed, cycle=self.cycle)
        return combinations_of(
            self.method, step.combination, self.count, path=step.path, seed=self.seed, cycle=self.cycle
        )

    def ends(self, places: int, bar: tqdm) -> list[Tensor]:
        """The features of the images of each code's own, of the first numbers: [N, D] for each of ``places`` codes."""
        found = []
        for place in range(places):
            images = samples_of(self.method, self.count, place=place, seed=self.seed, cycle=self.cycle)
            found.append(self.features(images))
            bar.update(len(found[-1]))
        return found

    def features(self, images: DecodedImages) -> Tensor:
        extractor = self.instruments.extractor.to(self.instruments.work.device)
        numbers = torch.arange(min(len(images), COMPARED_WITH_ENDS)).split(extractor.batch_size)
        return torch.cat([extractor(images.images(int(some[0]), len(some)))["features"] for some in numbers])


def midpoints(
    method: HasLatents,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    judge: list[Classifies] | None = None,
    extractor: str | None = None,
    allow_trained_judge: bool = False,
    count: int = 5000,
    num_reference: int | None = 5000,
    paths: list[str] | None = None,
    means: list[int] | None = None,
    extrapolations: list[float] | None = None,
    samplings: list[str] | None = None,
    only: list[str] | None = None,
) -> list[Path]:
    """Scores of ``count`` samples, midpoints, means and points beyond against the same real training images: a row each.

    ``judge``: a classifier's checkpoint, whose features and logits measure; or ``extractor``: one that evaluate.py knows by
    name, by default raw pixels. ``num_reference`` real images (null: all). ``paths``: how combined codes are brought
    back to the prior, by default linear, variance_preserving and transport, all of them from the same codes. ``means`` of
    how many codes ([2, 4, 8]), ``extrapolations`` (1 - lambda) z1 + lambda z2 ([1.25, 1.5]), ``samplings`` (all the ways
    that the method has). ``only``: the rows of these names, such as [prior, midpoint].

    Midpoint scores alone can be bought with mass at the origin: a prior whose latents nearly all draw one image has good
    midpoints. So the prior's own scores, the recall of midpoints, and the distance of their images to those of their ends
    stand beside. The prior's images are those that evaluate.py measures under this seed.
    """
    check_at_least(LEAST, count=count)
    steps = planned(method, paths=paths, means=means, extrapolations=extrapolations, only=only, seed=seed)
    chosen = chosen_samplings(method, samplings)
    measuring = chosen_extractor(method, judge, extractor)
    trained_against = check_judge(measuring, method.trained_against, allowed=allow_trained_judge)
    metrics = ["fd", "precision", "recall", *(["is"] if "logits" in measuring.provides else [])]
    instruments = Instruments(extractor=measuring, metrics=metrics, work=Work(device=method.device))
    real = reference(datamodule, num_reference, instruments)
    cycle = method.label_cycle(labels_to_follow(method, datamodule, "data"), seed=seed)
    course = Course(method, instruments, real, count, seed, cycle)
    facts = identity_of(method) | {
        "count": count,
        "num_reference": real.num_images,
        "extractor": measuring.name,
        "extractor_weights": measuring.weights,
        "trained_against_judge": trained_against,
    }
    rows = [facts | row for row in measured_rows(course, steps, chosen)]
    table = output / "midpoints.md"
    written = write_lines(rows, output / "midpoints.jsonl")
    table.write_text(midpoints_table(rows))
    return [written, table]


def measured_rows(course: Course, steps: Sequence[Step], samplings: Sequence[str | None]) -> Iterator[dict[str, Any]]:
    """The rows of each way of drawing, one after the other."""
    drawn = [step for step in steps if step.same_as is None]
    places = max((len(step.combination.weights) for step in steps if step.combination != PRIOR), default=0)
    total = course.count * len(drawn) + places * min(course.count, COMPARED_WITH_ENDS)
    with progress(total * len(samplings), "midpoints") as bar:
        for sampling in samplings:
            with drawn_by(course.method, sampling):
                ends = course.ends(places, bar)
                found: dict[tuple[str, str], dict[str, float | None]] = {}
                for step in steps:
                    what, path = step.combination.what, step.path
                    if step.same_as is None:
                        found[what, path] = course.measured(step, ends)
                        bar.update(course.count)
                    yield {"what": what, "path": path, "sampling": sampling} | found[what, step.same_as or path]


def planned(
    method: HasLatents,
    *,
    paths: list[str] | None,
    means: list[int] | None,
    extrapolations: list[float] | None,
    only: list[str] | None,
    seed: int,
) -> list[Step]:
    """What to measure, the prior first; ValueError for what cannot be, before anything is drawn."""
    every = [
        PRIOR,
        *combinations([2, 4, 8] if means is None else means, [1.25, 1.5] if extrapolations is None else extrapolations),
    ]
    names = [combination.what for combination in every]
    unknown = [name for name in only or [] if name not in names]
    if unknown or only == []:
        raise ValueError(f"only names some of {', '.join(names)}, got {only}")
    paths = check_paths(list(DEFAULT_PATHS) if paths is None else paths)
    asked = [combination for combination in every if only is None or combination.what in only]
    steps = []
    for combination in asked:
        steps += [Step(PRIOR, NO_PATH)] if combination == PRIOR else along_paths(method, combination, paths, seed=seed)
    return steps


def combinations(means: Sequence[int], extrapolations: Sequence[float]) -> list[Combination]:
    """Means of as many codes, the first called midpoint, and points beyond the second of two codes."""
    for number in means:
        check_at_least(2, means=number)
    for amount in extrapolations:
        if not 1.0 < amount < math.inf:
            raise ValueError(f"extrapolations lie beyond the second code, at a finite lambda above 1, got {amount}")
    return [
        *(Combination("midpoint" if m == 2 else f"mean_{m}", (1.0 / m,) * m) for m in means),
        *(Combination(f"extrapolation_{amount:g}", (1.0 - amount, amount)) for amount in extrapolations),
    ]


def along_paths(method: HasLatents, combination: Combination, paths: Sequence[str], *, seed: int) -> list[Step]:
    """A combination along each path; those that make the codes of an earlier path say so."""
    steps, made = [], dict[str, Tensor]()
    for path in paths:
        latents = combined_code(method, 0, COMPARED_CODES, weights=combination.weights, path=path, seed=seed)
        same = next((other for other in made if torch.allclose(made[other], latents, rtol=1e-5, atol=1e-6)), None)
        steps.append(Step(combination, path, same_as=same))
        if same is None:
            made[path] = latents
    return steps


def chosen_samplings(method: Draws, samplings: list[str] | None) -> Sequence[str | None]:
    """The ways to draw that are asked for, by default all there are; None stands for the only one."""
    if samplings is None:
        return method.samplings or (None,)
    if not samplings or not {*samplings} <= {*method.samplings}:
        offered = f"some of {', '.join(method.samplings)}" if method.samplings else "nothing: it draws in one way"
        raise ValueError(f"samplings may name {offered}, got {samplings}")
    return samplings


def chosen_extractor(method: Draws, judge: list[Classifies] | None, name: str | None) -> Extractor:
    """By what images are measured: a classifier that was trained here, an extractor by its name, or raw pixels."""
    if name is not None and name.startswith("classifier:"):
        raise ValueError(
            f"here a classifier is named by its checkpoint alone: judge={name.removeprefix('classifier:')}"
        )
    if judge is None:
        return Pixels(method.image_shape) if name is None else make_extractor(name, image_shape=method.image_shape)
    if name is not None:
        raise ValueError(f"judge and extractor={name} both say what measures: give one of them")
    if len(judge) != 1:
        raise ValueError(f"judge takes one checkpoint, got {len(judge)}")
    if judge[0].image_shape != method.image_shape:
        raise ValueError(
            f"the judge takes images {judge[0].image_shape}, and the checkpoint draws {method.image_shape}"
        )
    return FromClassifier(judge[0])


def reference(data: ImageData, count: int | None, instruments: Instruments) -> Summary:
    """What is kept of ``count`` training images, chosen by a fixed seed, or of all."""
    if count is not None:
        check_at_least(LEAST, num_reference=count)
    real = random_part(ImagesInMemory(f"{data.name}:train", data.split("train")[0], mark="training images"), count)
    return real_summary(real, instruments.extractor, metrics=instruments.metrics, work=instruments.work)


def identity_of(method: HasLatents) -> dict[str, Any]:
    """What tells a model from others: its experiment and seed, its prior, and what the generator normalises by."""
    generator = method.run_config.get("method", {}).get("generator", {})
    return {
        "experiment": method.run_config.get("experiment_name"),
        "prior": prior_name(method.prior),
        "prior_settings": prior_settings(method),
        "latent_dim": math.prod(method.latents(0, 1, seed=0).shape),
        "normalization": generator.get("normalization"),
        "train_seed": method.seed,
        "kimg": method.images_seen / 1000,
    }


def midpoints_table(rows: Sequence[dict[str, Any]]) -> str:
    """In Markdown: a table for each way of drawing, a row a combination and path."""

    def cells(row: dict[str, Any]) -> list[str]:
        values = ["-" if row[name] is None else format(row[name], form) for name, form in COLUMNS.items()]
        return [row["what"].replace("_", " "), row["path"].replace("_", " "), *values]

    first = rows[0]
    lines = [
        f"Prior {first['prior']} in {first['latent_dim']} dimensions, {first['kimg']:g} kimg: {first['count']} images a row "
        f"against {first['num_reference']} training images, by {first['extractor']}. The distance is from an image to the "
        "nearest of its ends' images, in units of the mean distance of two samples.",
        "",
    ]
    titles = ("images", "path", *(name.replace("_", " ") for name in COLUMNS))
    for sampling in dict.fromkeys(row["sampling"] for row in rows):
        chosen = (row for row in rows if row["sampling"] == sampling)
        lines += [
            *([] if sampling is None else [f"By {sampling.replace('_', ' ')}:", ""]),
            markdown(titles, map(cells, chosen)),
        ]
    return "\n".join(lines)
