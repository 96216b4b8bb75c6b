"""Images completed from less than they are: from grey levels, from few pixels, from pixels without the noisy ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from generative.inversion.measurements import Grey, Masked, Measurement, Reduced
from generative.randomness import Stream
from generative.rendering.holes import holes
from generative.rendering.images import image_grid, pixel_scale, save_picture, side_by_side, to_uint8
from generative.rendering.tables import markdown
from lightning_modules.base import ImageData, Invertible
from lightning_modules.tasks.originals import Originals, open_originals
from lightning_modules.tasks.search import Inversion, Targets, check_space, images_of, make_objective
from lightning_modules.tasks.tables import write_lines
from metrics.quality import ReconstructionQuality, fitting_metrics

SHOWN = 16  # images of a large set that the picture has rows for
GENERATOR = ("raw", "completed")  # what was drawn, and the same in agreement with what is known
Simple = Callable[[Tensor], Tensor]  # images without a generator, of what is known of them


@dataclass(frozen=True)
class Completion:
    """A task: what is known of images, by what name, and what it is shown and answered by without a generator."""

    name: str
    measurement: Measurement
    shown: Tensor  # [N, C, H, W]: what is known, as an image
    simple: Mapping[str, Tensor]  # answers without a generator, by their names

    def run(self, output: Path, originals: Originals, inversion: Inversion, *, space: str | None) -> list[Path]:
        """The search for ``originals`` by what is known: a picture, a line of JSON an image and arm, a table of means."""
        space = inversion.method.space_names[0] if space is None else space
        check_space(inversion.method, space)
        targets = inversion.with_classes(Targets(originals.images, originals.labels, self.measurement))
        found = inversion.embed(targets, space=space)
        drawn = images_of(found)
        known = self.measurement(originals.images)
        put_back = self.measurement.put_back(drawn.to(originals.images), known).cpu()
        arms = {**self.simple, **dict(zip(GENERATOR, (drawn, put_back), strict=True))}
        facts = {
            "task": self.name,
            "space": space,
            "steps": min(len(part.trace) for part in found),
            **inversion.settings,
        }
        return write_completion(output, self, originals.images.cpu(), arms, facts)


def colourise(
    method: Invertible,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    images: list[int] | int | str | None = None,
    count: int = 10,
    classes: list[int] | int | None = None,
    fit: bool = False,
    space: str | None = None,
    settings: dict[str, Any] | None = None,
    steps: int = 200,
    rate: float | None = None,
    perceptual: float | None = None,
    batch_size: int = 16,
) -> list[Path]:
    """Colours for grey images: the search sees the luma, 0.299 R + 0.587 G + 0.114 B, and keeps it; beside it the grey image.

    ``images``, ``count``, ``classes``, ``fit`` and the settings of the search as in `invert`; ``space``: the one searched, by
    default the method's first, with its ``settings``, such as {num_codes: 20, layer: 4}.
    """
    if method.image_shape[0] != 3:
        raise ValueError(f"colours are those of images with 3 channels, and this model draws {method.image_shape[0]}")
    originals = open_originals(method, datamodule, images=images, count=count, classes=classes, fit=fit)
    grey = Grey()(originals.images).expand(-1, 3, -1, -1).cpu()
    task = Completion("colourise", Grey(), grey, {"grey": grey})
    search = {"steps": steps, "rate": rate, "batch_size": batch_size, "settings": settings or {}}
    return task.run(output, originals, searching(method, search, seed=seed, perceptual=perceptual), space=space)


def enlarge(
    method: Invertible,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    factor: int = 4,
    images: list[int] | int | str | None = None,
    count: int = 10,
    classes: list[int] | int | None = None,
    fit: bool = False,
    space: str | None = None,
    settings: dict[str, Any] | None = None,
    steps: int = 200,
    rate: float | None = None,
    batch_size: int = 16,
) -> list[Path]:
    """Images of the model's size from ones ``factor`` times smaller, reduced bilinearly without a filter; beside it bicubic.

    The thesis takes a factor of 16 at 256 pixels. Everything else as in `colourise`.
    """
    measurement = Reduced(factor)
    originals = open_originals(method, datamodule, images=images, count=count, classes=classes, fit=fit)
    small = measurement(originals.images).cpu()
    size = originals.images.shape[2:]
    bicubic = F.interpolate(small, size=size, mode="bicubic", align_corners=False).clamp(-1, 1)
    task = Completion("enlarge", measurement, F.interpolate(small, size=size, mode="nearest"), {"bicubic": bicubic})
    search = {"steps": steps, "rate": rate, "batch_size": batch_size, "settings": settings or {}}
    # The small image has nothing for a network to see.
    return task.run(output, originals, searching(method, search, seed=seed, perceptual=0.0), space=space)


def denoise(
    method: Invertible,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    share: float = 0.25,
    images: list[int] | int | str | None = None,
    count: int = 10,
    classes: list[int] | int | None = None,
    fit: bool = False,
    space: str | None = None,
    settings: dict[str, Any] | None = None,
    steps: int = 200,
    rate: float | None = None,
    batch_size: int = 16,
) -> list[Path]:
    """Images of which a ``share`` of the pixels is salt and pepper at known places; beside it a median of 3 x 3 pixels.

    The search does not see those pixels, as the authors of multi-code inversion advise. Everything else as in `colourise`.
    """
    originals = open_originals(method, datamodule, images=images, count=count, classes=classes, fit=fit)
    clean = originals.images.cpu()
    known = holes(f"blocks1_{100 * share:g}pct", len(clean), *clean.shape[2:], seed=seed)
    salt = Stream(seed, "salt").uniform(0, len(clean), 1, *clean.shape[2:]) < 0.5
    noisy = torch.where(known, clean, torch.where(salt, 1.0, -1.0).to(clean))
    simple = {"median": torch.where(known, clean, median_3x3(noisy))}
    task = Completion("denoise", Masked(known.to(originals.images.device)), noisy, simple)
    search = {"steps": steps, "rate": rate, "batch_size": batch_size, "settings": settings or {}}
    return task.run(output, originals, searching(method, search, seed=seed, perceptual=0.0), space=space)


def searching(method: Invertible, search: dict[str, Any], *, seed: int, perceptual: float | None) -> Inversion:
    """The search that a task asked for, by squared errors and ``perceptual`` times the distance of features."""
    return Inversion(method, make_objective(method, pixel="l2", perceptual=perceptual), seed=seed, **search)


def median_3x3(images: Tensor) -> Tensor:
    """The median of each pixel's 3 x 3 neighbours of its channel, the border repeated: [B, C, H, W]."""
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    windows = padded.unfold(2, 3, 1).unfold(3, 3, 1).flatten(4)
    return windows.median(dim=4).values


def write_completion(
    output: Path, task: Completion, originals: Tensor, arms: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> list[Path]:
    scale = pixel_scale(originals.shape[2])
    panels = [("original", originals), ("known", task.shown), *arms.items()]
    sheet = side_by_side([(title, image_grid(shown[:SHOWN], num_columns=1, scale=scale)) for title, shown in panels])
    metrics = fitting_metrics(["psnr", "ssim", "mae"], originals.shape)
    lines = []
    for arm, images in arms.items():
        for number, (one, original) in enumerate(zip(images.split(1), originals.split(1), strict=True)):
            quality = ReconstructionQuality(metrics=metrics)
            quality.update(to_uint8(one), to_uint8(original))
            lines.append({"arm": arm, "image": number, **quality.compute(), **facts})
    rows = []
    for arm in arms:
        own = [line for line in lines if line["arm"] == arm]
        rows.append([arm, *(f"{fmean(line[metric] for line in own):.3f}" for metric in metrics)])
    table = output / f"{task.name}.md"
    written = [
        save_picture(sheet, output, f"{task.name}.png"),
        write_lines(lines, output / f"{task.name}.jsonl"),
        table,
    ]
    table.write_text(markdown(("arm", *metrics), rows))
    return written
