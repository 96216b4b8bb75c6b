"""Inversion: the point of each of a method's spaces that draws a given image, and pivotal tuning."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generative.checks import check_at_least
from generative.inversion.search import Found
from generative.inversion.tuning import Tuning
from generative.rendering.images import image_grid, pixel_scale, save_picture, side_by_side, to_uint8
from lightning_modules.base import ImageData, Invertible
from lightning_modules.tasks.arms import TUNED
from lightning_modules.tasks.originals import open_originals
from lightning_modules.tasks.search import Inversion, Targets, images_of, make_objective
from metrics.quality import ReconstructionQuality, fitting_metrics

INVERSION_COLUMNS = ("space", "PSNR", "SSIM", "seconds an image", "in a batch of one", "largest change of PSNR there")
SHOWN = 16  # images of a large set that the picture has rows for


def quality(images: Tensor, originals: Tensor) -> dict[str, float]:
    """PSNR, and SSIM where the images are large enough for its window."""
    measured = ReconstructionQuality(metrics=fitting_metrics(["psnr", "ssim"], images.shape))
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
    tuning_rate: float | None = None,
    own_weights: bool = False,
    batch_size: int = 16,
    one_by_one: int = 0,
) -> list[Path]:
    """Images embedded in each space of the method, and in one of them with pivotal tuning: a picture, PSNR and SSIM.

    ``images``: numbers in the test split, or a path; by default the first ``count`` test images. ``classes`` says what they
    are; where neither does, the best of all classes is taken. ``fit`` brings images of another shape to the model's.
    ``rate``: of the search, by default each space's own. Tuning moves one generator for all images (``pivotal``), or with
    ``own_weights`` one for each (``<space>_tuned``, as in `inpaint`): then none hangs on the others. ``one_by_one``: so many of
    them are embedded again in batches of one, to compare.
    """
    tuning = Tuning.asked(tuning_steps, tuning_rate)
    check_at_least(0, one_by_one=one_by_one)
    originals = open_originals(method, datamodule, images=images, count=count, classes=classes, fit=fit)
    objective = make_objective(method, pixel=pixel, perceptual=perceptual)
    inversion = Inversion(method, objective, seed=seed, steps=steps, rate=rate, batch_size=batch_size)
    targets = inversion.with_classes(Targets(*originals))
    results = reconstructions(inversion, targets, tuning, own_weights=own_weights)
    if one_by_one:
        results = with_embedded_alone(inversion, targets.of(torch.arange(min(one_by_one, len(targets)))), results)
    facts: dict[str, Any] = {"images": len(targets), "steps": steps, "pixel": pixel, "batch_size": batch_size}
    return write_inversion(output, targets.images.cpu(), results, facts | {"perceptual": objective.perceptual})


def reconstructions(
    inversion: Inversion, targets: Targets, tuning: Tuning, *, own_weights: bool
) -> dict[str, Embedded]:
    """The name of a space, ``pivotal``, or ``<space>_tuned`` -> what was drawn there."""
    method, results = inversion.method, {}
    pivots: list[Found] = []  # of the other spaces nothing stays on the device
    for space in method.space_names:
        start = time.perf_counter()
        found = inversion.embed(targets, space=space)
        seconds = (time.perf_counter() - start) / len(targets)
        rate = inversion.space(space).rate if inversion.rate is None else inversion.rate
        results[space] = Embedded(images_of(found), seconds, {"rate": rate})
        pivots = found if space == method.pivot_space else pivots
    if tuning.steps > 0:
        space = method.pivot_space
        start = time.perf_counter()
        if own_weights:
            name, images = space + TUNED, images_of(inversion.tuned_apart(targets, pivots, tuning, space=space))
        else:
            name = "pivotal"
            with inversion.tuned(targets, pivots, space=space, steps=tuning.steps, rate=tuning.rate):
                images = inversion.images_at(targets, pivots, space=space)
        seconds = results[space].seconds + (time.perf_counter() - start) / len(targets)
        results[name] = Embedded(images, seconds, {"rate": results[space].facts["rate"]})
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
