"""Inversion: the point of each of a method's spaces that draws a given image, and pivotal tuning."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generative.checks import check_at_least
from generative.inversion.measurements import Measurement, Whole
from generative.inversion.objective import ReconstructionLoss
from generative.inversion.search import Found, nearest, search
from generative.inversion.tuning import BatchLoss, check_tuning, tuned
from generative.rendering.images import image_grid, pixel_scale, save_picture, side_by_side, to_uint8
from lightning_modules.base import ImageData, Invertible
from lightning_modules.tasks.originals import open_originals
from metrics.features import LITE_SIDES, EfficientNetLite
from metrics.quality import SSIM_WINDOW, ReconstructionQuality

NUM_SAMPLES = 32  # of each class: the nearest one is where the search starts, and their spread is its unit of length
LEAST_SIDE = 64  # pixels a side at which the perceptual loss looks at small images
PERCEPTUAL = 0.1  # weight of that loss unless asked for another
TOO_SMALL = 16  # pixels a side below which images have nothing that it knows: there the default is 0
INVERSION_COLUMNS = ("space", "PSNR", "SSIM", "seconds an image", "in a batch of one", "largest change of PSNR there")
SHOWN = 16  # images of a large set that the picture has rows for


def make_objective(method: Invertible, *, pixel: str, perceptual: float | None) -> ReconstructionLoss:
    """ValueError where the loss is none, or where the weights of its network are missing."""
    if perceptual is None:
        perceptual = PERCEPTUAL if method.image_shape[1] >= TOO_SMALL else 0.0
    objective = ReconstructionLoss(pixel, perceptual)  # which refuses what is neither
    if perceptual == 0:
        return objective
    side = min(max(method.image_shape[1], LEAST_SIDE), LITE_SIDES[0])
    try:
        network = EfficientNetLite(0, side=side).to(method.device)
    except ValueError as error:
        raise ValueError(f"{error}, or leave the perceptual loss out: perceptual=0") from error
    return replace(objective, stages=network.stages)


@dataclass(frozen=True)
class Targets:
    """What is looked for: ``images`` [N, C, H, W] in [-1, 1], of the classes ``labels`` [N], as far as ``through`` knows them."""

    images: Tensor
    labels: Tensor | None
    through: Measurement = field(default_factory=Whole)

    def __len__(self) -> int:
        return len(self.images)

    def of(self, numbers: Tensor) -> Targets:
        """The targets of the images number ``numbers`` alone."""
        labels = None if self.labels is None else self.labels[numbers]
        return Targets(self.images[numbers], labels, self.through.of(numbers))

    def batches(self, size: int) -> Iterator[Targets]:
        for numbers in torch.arange(len(self), device=self.images.device).split(size):
            yield self.of(numbers)


@dataclass(frozen=True)
class Inversion:
    """A search of ``steps`` for images that ``objective`` calls near, ``batch_size`` at a time.

    ``rate``: of Adam, in units of the samples' spread, by default each space's own. ``seconds``: the most that the search
    in one space takes, for all images together; each batch gets its share, of which at least one step comes.
    """

    method: Invertible
    objective: ReconstructionLoss
    _: KW_ONLY
    seed: int
    steps: int
    rate: float | None
    batch_size: int
    seconds: float | None = None

    def __post_init__(self) -> None:
        check_at_least(1, steps=self.steps)
        check_at_least(1, batch_size=self.batch_size)
        for name in ("rate", "seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {value}")

    @cached_property
    def samples(self) -> Tensor:
        """Latents [K, ...]: the nearest is the start, their spread the unit of length."""
        return self.method.latents(0, NUM_SAMPLES, seed=self.seed, stream="inversion")

    @torch.no_grad()
    def nearest_samples(self, targets: Tensor, labels: Tensor | None, *, through: Measurement) -> Tensor:
        """For each target the latent of the nearest of the samples of its class, by what is known of the pixels."""
        if labels is None:
            return self.samples[nearest(self.drawn_samples(None), targets, through=through)]
        found = self.samples.new_empty(len(targets), *self.samples.shape[1:])
        for label in labels.unique():
            of_class = (labels == label).nonzero().flatten()
            drawn, known = self.drawn_samples(label), through.of(of_class)
            found[of_class] = self.samples[nearest(drawn, targets[of_class], through=known)]
        return found

    def drawn_samples(self, label: Tensor | None) -> Tensor:
        """The samples as images [K, C, H, W] of one class."""
        return torch.cat(
            [
                self.method.decode(part, None if label is None else label.expand(len(part)))
                for part in self.samples.split(self.batch_size)
            ]
        )

    def embed(self, targets: Targets, *, space: str) -> list[Found]:
        """Where the search in ``space`` ended, batch by batch."""
        check_space(self.method, space)
        started, done, found = time.perf_counter(), 0, []
        for batch in targets.batches(self.batch_size):
            share = len(batch) / (len(targets) - done)
            seconds = None
            if self.seconds is not None:  # a batch that is late has taken from the others, but leaves them a step
                seconds = max(1e-9, self.seconds - (time.perf_counter() - started)) * share
            found.append(self.embed_batch(batch, space=space, seconds=seconds))
            done += len(batch)
        return found

    def embed_batch(self, batch: Targets, *, space: str, seconds: float | None = None) -> Found:
        """The search for the images of one batch, from the nearest samples."""
        chosen = self.method.space(space, batch.labels, samples=self.samples)
        start = chosen.at(self.nearest_samples(batch.images, batch.labels, through=batch.through))
        loss = self.objective.to(batch.images, through=batch.through)
        return search(chosen, loss, start, steps=self.steps, rate=self.rate, seconds=seconds)

    def best_classes(self, targets: Targets) -> Tensor:
        """The class of each target [N] in which a short search, a tenth of the steps, by pixels alone, leaves least."""
        pixels = replace(self.objective, perceptual=0.0, stages=None)
        short = replace(self, objective=pixels, steps=max(1, self.steps // 10), seconds=None)
        chosen = []
        for batch in targets.batches(self.batch_size):
            losses = []
            for group in range(self.method.num_classes):
                labels = torch.full((len(batch),), group, device=batch.images.device)
                losses.append(short.embed_batch(replace(batch, labels=labels), space=self.method.space_names[0]).losses)
            chosen.append(torch.stack(losses).argmin(dim=0))
        return torch.cat(chosen)

    def with_classes(self, targets: Targets) -> Targets:
        """``targets`` with labels: their own, else the best of all classes, if the method knows any."""
        if targets.labels is not None or self.method.num_classes == 0:
            return targets
        return replace(targets, labels=self.best_classes(targets))

    def tuned(
        self, targets: Targets, pivots: list[Found], *, space: str, steps: int, rate: float
    ) -> AbstractContextManager[None]:
        """Inside, the method's generator is tuned to draw the ``targets`` at the ``pivots`` that were found in ``space``."""

        def loss_of(batch: Targets, pivot: Found) -> BatchLoss:
            chosen = self.method.space(space, batch.labels, samples=self.samples)
            loss = self.objective.to(batch.images, through=batch.through)
            return lambda: loss(chosen.draw(pivot.point)).sum()

        batches = zip(targets.batches(self.batch_size), pivots, strict=True)
        losses = [loss_of(batch, pivot) for batch, pivot in batches]
        return tuned(self.method.tunable(), losses, num_images=len(targets), steps=steps, rate=rate)

    @torch.no_grad()
    def images_at(self, targets: Targets, found: list[Found], *, space: str) -> Tensor:
        """The images of points that were found in ``space`` for ``targets``, by the weights of now: on the CPU."""
        batches = zip(targets.batches(self.batch_size), found, strict=True)
        return torch.cat(
            [self.method.space(space, b.labels, samples=self.samples).draw(f.point).cpu() for b, f in batches]
        )


def check_space(method: Invertible, name: str) -> None:
    if name not in method.space_names:
        raise ValueError(f"space must be one of {', '.join(method.space_names)}, got {name!r}")


def images_of(found: list[Found]) -> Tensor:
    """What searches drew at their ends: [N, C, H, W] on the CPU."""
    return torch.cat([part.images.cpu() for part in found])


def quality(images: Tensor, originals: Tensor) -> dict[str, float]:
    """PSNR, and SSIM where the images are large enough for its window."""
    metrics = ["psnr", "ssim"] if min(images.shape[2:]) >= SSIM_WINDOW else ["psnr"]
    measured = ReconstructionQuality(metrics=metrics)
    measured.update(to_uint8(images), to_uint8(originals))
    return measured.compute()


@dataclass(frozen=True)
class Embedded:
    """Images [N, C, H, W] drawn at points of a space, or by weights tuned at them; ``facts`` of how they were found."""

    images: Tensor
    seconds: float  # an image
    facts: dict[str, Any]


def invert(
    method: Invertible,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    images: list[int] | int | str | None = None,
    count: int = 10,
    classes: list[int] | int | None = None,
    fit: bool = False,
    steps: int = 200,
    rate: float | None = None,
    pixel: str = "l2",
    perceptual: float | None = None,
    tuning_steps: int = 200,
    tuning_rate: float = 0.001,
    batch_size: int = 16,
    one_by_one: int = 0,
) -> list[Path]:
    """Images embedded in each space of the method, and in one of them with pivotal tuning: a picture, PSNR and SSIM.

    ``images``: numbers in the test split, or a path; by default the first ``count`` test images. ``classes`` says what they
    are; where neither does, the best of all classes is taken. ``fit`` brings images of another shape to the model's.
    ``rate``: of the search, by default each space's own. ``one_by_one``: so many of them are embedded again in batches of
    one, to compare.
    """
    check_tuning(tuning_steps, tuning_rate)
    check_at_least(0, one_by_one=one_by_one)
    originals = open_originals(method, datamodule, images=images, count=count, classes=classes, fit=fit)
    objective = make_objective(method, pixel=pixel, perceptual=perceptual)
    inversion = Inversion(method, objective, seed=seed, steps=steps, rate=rate, batch_size=batch_size)
    targets = inversion.with_classes(Targets(*originals))
    results = reconstructions(inversion, targets, tuning_steps=tuning_steps, tuning_rate=tuning_rate)
    if one_by_one:
        results = with_embedded_alone(inversion, targets.of(torch.arange(min(one_by_one, len(targets)))), results)
    facts: dict[str, Any] = {"images": len(targets), "steps": steps, "pixel": pixel, "batch_size": batch_size}
    return write_inversion(output, targets.images.cpu(), results, facts | {"perceptual": objective.perceptual})


def reconstructions(
    inversion: Inversion, targets: Targets, *, tuning_steps: int, tuning_rate: float
) -> dict[str, Embedded]:
    """The name of a space, or ``pivotal`` -> what was drawn there."""
    method, results = inversion.method, {}
    pivots: list[Found] = []  # of the other spaces nothing stays on the device
    for space in method.space_names:
        start = time.perf_counter()
        found = inversion.embed(targets, space=space)
        seconds = (time.perf_counter() - start) / len(targets)
        rate = method.space(space, samples=inversion.samples).rate if inversion.rate is None else inversion.rate
        results[space] = Embedded(images_of(found), seconds, {"rate": rate})
        pivots = found if space == method.pivot_space else pivots
    if tuning_steps > 0:
        space = method.pivot_space
        start = time.perf_counter()
        with inversion.tuned(targets, pivots, space=space, steps=tuning_steps, rate=tuning_rate):
            seconds = results[space].seconds + (time.perf_counter() - start) / len(targets)
            images = inversion.images_at(targets, pivots, space=space)
        results["pivotal"] = Embedded(images, seconds, {"rate": results[space].facts["rate"]})
    return results


def with_embedded_alone(inversion: Inversion, targets: Targets, results: dict[str, Embedded]) -> dict[str, Embedded]:
    """``results`` with the seconds that an image takes in a batch of one, and the largest change of an image's PSNR, in dB."""
    alone, count, found = replace(inversion, batch_size=1), len(targets), dict(results)
    originals = targets.images.cpu()
    for space in inversion.method.space_names:
        start = time.perf_counter()
        images = images_of(alone.embed(targets, space=space))
        seconds = (time.perf_counter() - start) / count
        pairs = zip(images.split(1), results[space].images[:count].split(1), originals.split(1), strict=True)
        difference = max(abs(quality(one, t)["psnr"] - quality(of_batch, t)["psnr"]) for one, of_batch, t in pairs)
        facts = {"images_alone": count, "seconds_alone": seconds, "psnr_difference": difference}
        found[space] = replace(results[space], facts=results[space].facts | facts)
    return found


def write_inversion(output: Path, originals: Tensor, results: dict[str, Embedded], facts: dict[str, Any]) -> list[Path]:
    """A picture with a column a space, a line of JSON and a row of a table for each."""
    scale = pixel_scale(originals.shape[2])
    panels = [("original", originals)] + [(name, result.images) for name, result in results.items()]
    sheet = side_by_side([(title, image_grid(images[:SHOWN], num_columns=1, scale=scale)) for title, images in panels])
    lines, table = [], ["| " + " | ".join(INVERSION_COLUMNS) + " |", "|" + "---|" * len(INVERSION_COLUMNS)]
    for name, result in results.items():
        values = quality(result.images, originals)
        line = {"space": name, **values, "seconds_an_image": result.seconds, **facts, **result.facts}
        lines.append(json.dumps(line))
        ssim = f"{values['ssim']:.3f}" if "ssim" in values else "(too small)"
        single = "- | -"
        if "seconds_alone" in line:
            single = f"{line['seconds_alone']:.3f} | {line['psnr_difference']:.2g} dB"
        table.append(f"| {name} | {values['psnr']:.2f} | {ssim} | {result.seconds:.3f} | {single} |")
    written = [save_picture(sheet, output, "invert.png"), output / "invert.jsonl", output / "invert.md"]
    written[1].write_text("\n".join(lines) + "\n")
    written[2].write_text("\n".join(table) + "\n")
    return written
