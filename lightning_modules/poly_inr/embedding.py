"""What embedded images are good for: how well they are drawn, and how they interpolate and mix with samples (section 6.4.2)."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from generative.rendering.images import image_grid, saved, shown_scale, side_by_side, to_uint8
from lightning_modules.base import ImageData
from lightning_modules.poly_inr.inversion import SPACES, Inversion, make_loss
from lightning_modules.poly_inr.mixing import check_levels, mixing_table, spelt
from lightning_modules.poly_inr.module import PolyINR
from lightning_modules.poly_inr.networks import Generator
from lightning_modules.poly_inr.originals import open_originals
from lightning_modules.poly_inr.tasks import draw_affine, render
from lightning_modules.tasks.samples import check_at_least
from metrics.quality import SSIM_WINDOW, ReconstructionQuality

INVERSION_COLUMNS = ("space", "PSNR", "SSIM", "seconds an image", "in a batch of one", "largest change of PSNR there")
SHOWN = 16  # images of a large set that the picture has rows for


@contextmanager
def drawing_with(method: PolyINR, generator: Generator) -> Iterator[None]:
    """Inside, what is shown is drawn by ``generator``; the method's own weights come back, whatever happens."""
    own = method.averaged_generator
    method.averaged_generator = generator
    try:
        yield
    finally:
        method.averaged_generator = own


def drawn(generator: Generator, inversion: Inversion, affine: Tensor) -> Tensor:
    """At the originals' size, on the CPU."""
    with torch.no_grad():
        parts = [generator.render(part, inversion.positions).cpu() for part in affine.split(inversion.batch_size)]
    return torch.cat(parts)


def quality(images: Tensor, originals: Tensor) -> dict[str, float]:
    """PSNR, and SSIM where the images are large enough for its window."""
    metrics = ["psnr", "ssim"] if min(images.shape[2:]) >= SSIM_WINDOW else ["psnr"]
    measured = ReconstructionQuality(metrics=metrics)
    measured.update(to_uint8(images), to_uint8(originals))
    return measured.compute()


def check_tuning(tuning_steps: int, tuning_rate: float) -> None:
    check_at_least("tuning_steps", tuning_steps, 0)
    if not 0 < tuning_rate < float("inf"):
        raise ValueError(f"tuning_rate must be positive and finite, got {tuning_rate}")


def begin(
    method: PolyINR,
    datamodule: ImageData,
    *,
    seed: int,
    images: list[int] | int | str | None,
    count: int,
    classes: list[int] | int | None,
    fit: bool,
    steps: int,
    rate: float | None,
    pixel: str,
    perceptual: float | None,
    batch_size: int,
) -> tuple[Inversion, Tensor, Tensor | None]:
    """The search, the images to embed [N, C, H, W] and their labels: those given or known, else the best of all classes."""
    originals, labels = open_originals(method, datamodule, images=images, count=count, classes=classes, fit=fit)
    loss = make_loss(method, pixel=pixel, perceptual=perceptual)
    inversion = Inversion(method, loss, seed=seed, steps=steps, rate=rate, batch_size=batch_size)
    if labels is None and method.num_classes > 0:
        labels = inversion.best_classes(originals)
    return inversion, originals, labels


def invert(
    method: PolyINR,
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
    """Images embedded in z, in w, in the affine parameters, and in w with pivotal tuning: a picture, PSNR and SSIM.

    ``images``: numbers in the test split, or a path; by default the first ``count`` test images. ``classes`` says what they
    are; where neither does, the best of all classes is taken. ``fit`` brings images of another shape to the model's.
    ``rate``: of the search, by default each space's own. ``one_by_one``: so many of them are embedded again in batches of
    one, to compare.
    """
    check_tuning(tuning_steps, tuning_rate)
    check_at_least("one_by_one", one_by_one, 0)
    inversion, originals, labels = begin(
        method,
        datamodule,
        seed=seed,
        images=images,
        count=count,
        classes=classes,
        fit=fit,
        steps=steps,
        rate=rate,
        pixel=pixel,
        perceptual=perceptual,
        batch_size=batch_size,
    )
    results = reconstructions(inversion, originals, labels, tuning_steps=tuning_steps, tuning_rate=tuning_rate)
    facts: dict[str, Any] = {"images": len(originals), "steps": steps, "pixel": pixel, "batch_size": batch_size}
    facts |= {"perceptual": inversion.loss.perceptual}
    again = embedded_alone(inversion, originals[:one_by_one], labels, results) if one_by_one else {}
    return write_inversion(output, originals.cpu(), results, facts, inversion.rates, again)


def reconstructions(
    inversion: Inversion, originals: Tensor, labels: Tensor | None, *, tuning_steps: int, tuning_rate: float
) -> dict[str, tuple[Tensor, float]]:
    """Name -> the images drawn, and the seconds that one took."""
    generator, results, affine = inversion.generator, {}, {}
    for space in SPACES:
        start = time.perf_counter()
        affine[space] = inversion.embed(originals, labels, space=space)
        seconds = (time.perf_counter() - start) / len(originals)
        results[space] = (drawn(generator, inversion, affine[space]), seconds)
    if tuning_steps > 0:
        start = time.perf_counter()
        tuned = inversion.tuned(affine["w"], originals, steps=tuning_steps, rate=tuning_rate)
        seconds = results["w"][1] + (time.perf_counter() - start) / len(originals)
        results["pivotal"] = (drawn(tuned, inversion, affine["w"]), seconds)
    return results


def embedded_alone(
    inversion: Inversion, originals: Tensor, labels: Tensor | None, results: dict[str, tuple[Tensor, float]]
) -> dict[str, dict[str, float]]:
    """Space -> the seconds that an image takes in a batch of one, and the largest change of an image's PSNR, in dB."""
    alone, found = copy.copy(inversion), {}
    alone.batch_size = 1
    targets, count = originals.cpu(), len(originals)
    for space in SPACES:
        start = time.perf_counter()
        affine = alone.embed(originals, None if labels is None else labels[:count], space=space)
        seconds = (time.perf_counter() - start) / count
        images = drawn(inversion.generator, inversion, affine)
        pairs = zip(images.split(1), results[space][0][:count].split(1), targets.split(1), strict=True)
        difference = max(abs(quality(one, t)["psnr"] - quality(of_batch, t)["psnr"]) for one, of_batch, t in pairs)
        found[space] = {"images_alone": count, "seconds_alone": seconds, "psnr_difference": difference}
    return found


def write_inversion(
    output: Path,
    originals: Tensor,
    results: dict[str, tuple[Tensor, float]],
    facts: dict[str, Any],
    rates: Mapping[str, float],
    alone: dict[str, dict[str, float]],
) -> list[Path]:
    """``rates`` of the searches; pivotal tuning's pivots are found in w. ``alone``: see `embedded_alone`."""
    scale = shown_scale(originals.shape[2])
    panels = [("original", originals)] + [(name, images) for name, (images, _) in results.items()]
    sheet = side_by_side([(title, image_grid(images[:SHOWN], num_columns=1, scale=scale)) for title, images in panels])
    lines, table = [], ["| " + " | ".join(INVERSION_COLUMNS) + " |", "|" + "---|" * len(INVERSION_COLUMNS)]
    for name, (images, seconds) in results.items():
        values = quality(images, originals)
        searched = {"rate": rates["w" if name == "pivotal" else name]}
        line = {"space": name, **values, "seconds_an_image": seconds, **facts, **searched, **alone.get(name, {})}
        lines.append(json.dumps(line))
        ssim = f"{values['ssim']:.3f}" if "ssim" in values else "(too small)"
        single = "- | -"
        if name in alone:
            single = f"{alone[name]['seconds_alone']:.3f} | {alone[name]['psnr_difference']:.2g} dB"
        table.append(f"| {name} | {values['psnr']:.2f} | {ssim} | {seconds:.3f} | {single} |")
    written = [saved(sheet, output, "invert.png"), output / "invert.jsonl", output / "invert.md"]
    written[1].write_text("\n".join(lines) + "\n")
    written[2].write_text("\n".join(table) + "\n")
    return written


def edit(
    method: PolyINR,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    images: list[int] | int | str | None = None,
    count: int = 4,
    classes: list[int] | int | None = None,
    fit: bool = False,
    levels: list[int] | int | None = None,
    resolution: int = 64,
    frames: int = 8,
    space: str = "affine",
    steps: int = 200,
    rate: float | None = None,
    perceptual: float | None = None,
    tuning_steps: int = 0,
    tuning_rate: float = 0.001,
    batch_size: int = 16,
) -> list[Path]:
    """Embedded images with samples of their class: a strip of ``frames`` from each to its sample, and tables of mixed levels.

    ``images``, ``count``, ``classes`` and ``fit`` as in `invert`: images of another set are out of distribution. They are
    embedded in ``space``; with ``tuning_steps`` the synthesis network is tuned on them first, in a copy.
    """
    check_tuning(tuning_steps, tuning_rate)
    check_at_least("frames", frames, 2)
    if space not in SPACES:
        raise ValueError(f"space must be one of {', '.join(SPACES)}, got {space!r}")
    groups = check_levels(method, levels)
    inversion, originals, labels = begin(
        method,
        datamodule,
        seed=seed,
        images=images,
        count=count,
        classes=classes,
        fit=fit,
        steps=steps,
        rate=rate,
        pixel="l2",
        perceptual=perceptual,
        batch_size=batch_size,
    )
    embedded = inversion.embed(originals, labels, space=space)
    tuned = inversion.tuned(embedded, originals, steps=tuning_steps, rate=tuning_rate)
    samples = draw_affine(method, len(embedded), seed=seed, labels=labels)
    with drawing_with(method, tuned):
        strip = strip_to_samples(method, originals, embedded, samples, resolution=resolution, frames=frames)
        written = [saved(strip, output, "edit_interpolate.png")]
        for group in groups:
            table = mixing_table(method, samples, embedded, group, resolution=resolution)
            written.append(saved(table, output, f"edit_mix_levels_{spelt(group)}.png"))
    return written


def strip_to_samples(
    method: PolyINR, originals: Tensor, embedded: Tensor, samples: Tensor, *, resolution: int, frames: int
) -> Image.Image:
    """A row an image: the original, then ``frames`` on the straight line of affine parameters from it to a sample."""
    weights = torch.linspace(0, 1, frames).to(embedded).view(1, -1, 1, 1, 1)
    lines = torch.lerp(embedded[:, None], samples[:, None], weights)
    images, scale = render(method, lines.flatten(0, 1), resolution), shown_scale(resolution)
    enlarged = max(1, resolution * scale // originals.shape[2])
    return side_by_side(
        [
            ("original", image_grid(originals.cpu(), num_columns=1, scale=enlarged)),
            ("from the embedded image to a sample", image_grid(images, num_columns=frames, scale=scale)),
        ]
    )
