"""Generations of generations, Figure 14 of the paper: averages of averages, by latents or by images that are encoded again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generative.checks import check_at_least
from generative.latents.combinations import covariance_factor
from generative.randomness import Stream
from generative.rendering.images import image_grid, pixel_scale, save_picture, side_by_side, to_uint8
from generative.rendering.tables import markdown
from lightning_modules.base import Classifies, ImageData
from lightning_modules.regene.drawing import AT_ONCE
from lightning_modules.regene.judging import chosen_judge, judging_network
from lightning_modules.regene.module import ReGene
from lightning_modules.regene.pictures import decoded
from lightning_modules.regene.samplers import facts_of
from lightning_modules.tasks.samples import asked_classes, progress
from lightning_modules.tasks.tables import write_lines
from metrics.judge import Judge

TRAINING, FIRST, LATENTS, IMAGES = "training", "first", "LS", "Recon"  # how a generation was made
MOST = 500_000  # images of the first generation that one task draws
COLUMNS = {"distance": ".3f", "variance_ratio": ".3f", "expected_ratio": ".3f", "head": ".3f", "judge": ".3f"}
TITLES = ("generation", "distance from the mean", "variance", "by the law", "named by the head", "by the judge")


@dataclass(frozen=True)
class Generation:
    """Images [K, C, H, W] of one class, decoded from ``latents``, float64 [K, D].

    ``level`` 0 are training latents. ``factor``: what multiplies the covariance of the class in theirs, where a law says so.
    """

    level: int
    way: str
    latents: Tensor
    images: Tensor
    factor: float | None

    @property
    def name(self) -> str:
        return f"Gen-{self.level}" + (f", {self.way}" if self.way in (LATENTS, IMAGES) else "")


def generations(
    method: ReGene,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    levels: int = 3,
    num_sources: int = 2,
    count: int = 50,
    shown: int = 3,
    classes: list[int] | int | None = None,
    judge: list[Classifies] | None = None,
) -> list[Path]:
    """Figure 14: Gen-1, then of every further level Gen-k from LS and from Recon, ``count`` images of each of the ``classes``.

    Gen-1 are averages of ``num_sources`` latents. Gen-k from LS averages the latents of as many images of Gen-(k - 1) of
    its way, Gen-k from Recon what the encoder makes of those images. Image k of a level has the images n k .. n k + n - 1 of
    the level before as sources, so it is a function of (weights, seed, k, level, its class) alone. Gen-0 are training
    latents, decoded.

    Of each are stated: the mean distance from the class mean, in latents; the mean squared distance over that of the
    class, beside which stands what the law of sums says of LS, 1 / n^k but for sources being distinct; and the shares that
    the method's head names as asked by the latent, and a ``judge`` by the image, without one a machine on raw pixels.
    """
    check_at_least(1, levels=levels, num_sources=num_sources, count=count, shown=shown)
    named = asked_classes(method, classes)
    asked = list(range(method.num_classes)) if named is None else named
    first = count * num_sources ** (levels - 1) * len(asked)
    if first > MOST:
        raise ValueError(f"levels={levels} take {first} images of the first generation: at most {MOST}, take fewer")
    naming = chosen_judge(datamodule, judging_network(method, judge))
    facts = facts_of(method, seed=seed) | {"num_sources": num_sources, "count": count, "judge_name": naming.name}
    lines, pictures = [], []
    with progress(len(asked), "generations") as bar:
        for label in asked:
            made = list(generations_of(method, label, levels=levels, num_sources=num_sources, count=count, seed=seed))
            lines.append([measured(method, its, label, naming) for its in made])
            pictures.append([its.images[:shown] for its in made])
            bar.update()
    names = [its.name for its in made]
    rows = [
        facts | {"generation": name} | mean_of(list(its))
        for name, its in zip(names, zip(*lines, strict=True), strict=True)
    ]
    table = output / "generations.md"
    written = write_lines(rows, output / "generations.jsonl")
    table.write_text(markdown(TITLES, [[row["generation"], *cells(row)] for row in rows]))
    panels = [(name, torch.cat(its)) for name, its in zip(names, zip(*pictures, strict=True), strict=True)]
    return [picture(panels, output, columns=min(shown, count)), written, table]


def generations_of(
    method: ReGene, label: int, *, levels: int, num_sources: int, count: int, seed: int
) -> Iterator[Generation]:
    """Those of one class, level by level; of levels before the last the first ``count`` images are handed out."""
    stream, size = Stream(seed, "regene").branch("try 0"), count * num_sources ** (levels - 1)

    def draw(sampler: str, size: int) -> Tensor:
        return method.sampler(sampler).draw(range(size), torch.full((size,), label), stream).latents

    def made(level: int, way: str, latents: Tensor, images: Tensor, factor: float | None) -> Generation:
        return Generation(level, way, latents[:count], images[:count], factor)

    training = draw("training", count)
    yield made(0, TRAINING, training, decoded_in_parts(method, training), 1.0)
    by_latents = draw(f"convex_{num_sources}", size)
    images = decoded_in_parts(method, by_latents)
    factor = covariance_factor(
        torch.full((num_sources,), 1.0 / num_sources, dtype=torch.float64), len(method.bank.members(label))
    )
    yield made(1, FIRST, by_latents, images, factor)
    for level in range(2, levels + 1):
        factor /= num_sources
        by_latents = averaged(by_latents, num_sources)
        yield made(level, LATENTS, by_latents, decoded_in_parts(method, by_latents[:count]), factor)
        by_images = averaged(method.latents_of(images).double(), num_sources)
        images = decoded_in_parts(method, by_images)
        yield made(level, IMAGES, by_images, images, None)


def averaged(latents: Tensor, num_sources: int) -> Tensor:
    """The means of ``num_sources`` neighbours each: [K n, D] -> [K, D]."""
    return latents.unflatten(0, (-1, num_sources)).mean(dim=1)


def decoded_in_parts(method: ReGene, latents: Tensor) -> Tensor:
    return torch.cat([decoded(method, part) for part in latents.split(AT_ONCE)])


@torch.no_grad()
def measured(method: ReGene, made: Generation, label: int, judge: Judge) -> dict[str, Any]:
    """How far a generation lies from the mean of its class, and who names its class."""
    squares = (made.latents - method.bank.mean(label)).square().sum(dim=1)
    own = method.classify(method.placed(made.latents)).argmax(dim=1).cpu()
    images = [part.to(method.device) for part in to_uint8(made.images).split(AT_ONCE)]
    return {
        "level": made.level,
        "way": made.way,
        "distance": float(squares.sqrt().mean()),
        "variance_ratio": float(squares.mean() / method.bank.centred(label).square().sum(dim=1).mean()),
        "expected_ratio": made.factor,
        "head": float((own == label).double().mean()),
        "judge": float((torch.cat([judge.predict(part) for part in images]) == label).double().mean()),
    }


def mean_of(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean over classes of what was measured of one generation in each."""
    numbers = {name: [line[name] for line in lines] for name in COLUMNS}
    means = {name: None if None in its else sum(its) / len(its) for name, its in numbers.items()}
    return {"level": lines[0]["level"], "way": lines[0]["way"], "num_classes": len(lines)} | means


def cells(row: dict[str, Any]) -> list[str]:
    return ["-" if row[name] is None else f"{row[name]:{form}}" for name, form in COLUMNS.items()]


def picture(panels: Sequence[tuple[str, Tensor]], output: Path, *, columns: int) -> Path:
    """A block of columns a generation, a row a class."""
    scale = pixel_scale(panels[0][1].shape[2])
    sheets = [(name, image_grid(images, num_columns=columns, scale=scale)) for name, images in panels]
    return save_picture(side_by_side(sheets), output, "generations.png")
