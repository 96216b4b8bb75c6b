"""Table 6.3's question: is what the polynomial draws between the pixels better than what an interpolation puts there?"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from generative.checks import check_at_least
from generative.rendering.images import as_floats, to_uint8
from generative.rendering.upsampling import METHODS as CLASSICAL
from generative.rendering.upsampling import upsample
from lightning_modules.base import ImageData
from lightning_modules.labels import check_labels_setting
from lightning_modules.poly_inr.module import PolyINR
from metrics.evaluation import Instruments, Work, evaluate, real_summary
from metrics.features import make_extractor
from metrics.image_sets import ImagesInMemory
from metrics.samples import in_turn

METRICS = ("fd", "precision", "recall")
BATCH = 256


def upsample_scored(
    method: PolyINR,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    resolution: int,
    count: int = 10_000,
    extractors: list[str] | None = None,
    labels: str = "data",
) -> list[Path]:
    """The checkpoint's images at ``resolution``: drawn by the polynomial, and its small ones upsampled classically.

    ``count`` of each against as many real training images at that resolution, under each of ``extractors`` (pixels and
    efficientnet_lite0), the classes in the shares of the training images or, with ``labels=balanced``, every one as
    often. The last row is the real images' own small version, upsampled: what blur alone costs. All put corner pixels on
    corner pixels. Where the small images are means over blocks, all are therefore enlarged alike, by
    3 % from 16 to 32 pixels, and the distance of each contains that.
    """
    check_at_least(2, count=count)
    check_labels_setting(labels)
    native = method.image_shape[1]
    if resolution <= native:
        raise ValueError(f"resolution must be above that of the model, {native}, got {resolution}")
    large = datamodule.at_resolution(resolution).split("train")[0]
    if count > len(large):
        raise ValueError(f"count must be at most {len(large)}, the training images of {datamodule.name}, got {count}")
    chosen = torch.linspace(0, len(large) - 1, count).round().long()  # of each class, whatever their order
    real = ImagesInMemory(f"{datamodule.name}:train at {resolution}", large[chosen])
    all_small, all_labels = datamodule.split("train")
    small = all_small[chosen]
    cycle = method.label_cycle(all_labels if labels == "data" else None, seed=seed)
    work = Work(device=method.device, show_progress=True)
    summaries = {}
    for name in extractors or ["pixels", "efficientnet_lite0"]:
        extractor = make_extractor(name, image_shape=real.shape).to(method.device)
        summaries[name] = (extractor, real_summary(real, extractor, metrics=METRICS, work=work))
    lines = []
    for what, images in candidates(method, small, cycle, resolution=resolution, seed=seed).items():
        fakes = ImagesInMemory(what, draw_all(images, count, what=what))
        for name, (extractor, summary) in summaries.items():
            values = evaluate(fakes, summary, Instruments(extractor=extractor, metrics=METRICS, work=work))
            lines.append({"images": what, "extractor": name, **values})
    facts: dict[str, Any] = {"native": native, "resolution": resolution, "num_images": count, "seed": seed}
    facts |= {"labels": labels, "data": datamodule.name, "train_seed": method.seed, "kimg": method.images_seen / 1000}
    output.mkdir(parents=True, exist_ok=True)
    written = [output / "upsample_scored.jsonl", output / "upsample_scored.md"]
    written[0].write_text("".join(json.dumps(line | facts) + "\n" for line in lines))
    written[1].write_text(table_of_resolutions(lines))
    return written


DrawBatch = Callable[[int, int], Tensor]  # first, count -> images [count, C, resolution, resolution]


def candidates(
    method: PolyINR, small: Tensor, cycle: Tensor | None = None, *, resolution: int, seed: int
) -> dict[str, DrawBatch]:
    """Name -> what makes a batch of it; all but the last of the same codes and classes, those of ``cycle`` in turn or balanced."""

    def samples(first: int, count: int, image_size: int | None = None) -> Tensor:
        return method.sample(first, count, seed=seed, labels=in_turn(cycle, first, count), image_size=image_size)

    def classical(way: str) -> DrawBatch:
        return lambda first, count: upsample(samples(first, count), resolution, method=way)

    def of_real(first: int, count: int) -> Tensor:
        images = small[first : first + count]
        return upsample(as_floats(images), resolution, method="bicubic")

    return {
        "Poly-INR": lambda first, count: samples(first, count, resolution),
        **{f"Poly-INR, {way}": classical(way) for way in CLASSICAL},
        "real, bicubic": of_real,
    }


@torch.no_grad()
def draw_all(batch: DrawBatch, count: int, *, what: str) -> Tensor:
    """The images 0 .. count - 1 that ``batch`` draws, in bytes: uint8 [count, C, H, W] on the CPU."""
    starts = tqdm(range(0, count, BATCH), desc=what, unit=" batches", file=sys.stderr, delay=1, leave=False)
    return torch.cat([to_uint8(batch(first, min(BATCH, count - first))).cpu() for first in starts])


def table_of_resolutions(lines: list[dict[str, Any]]) -> str:
    """In Markdown: a row for each way to the large images, a column for each metric of each extractor."""
    names = list(dict.fromkeys(line["extractor"] for line in lines))
    of = {(line["images"], line["extractor"]): line for line in lines}
    table = [
        "| images | " + " | ".join(f"{metric}, {name}" for name in names for metric in METRICS) + " |",
        "|---|" + "---|" * (len(names) * len(METRICS)),
    ]
    for what in dict.fromkeys(line["images"] for line in lines):
        values = " | ".join(f"{of[what, name][metric]:.3f}" for name in names for metric in METRICS)
        table.append(f"| {what} | {values} |")
    return "\n".join(table) + "\n"
