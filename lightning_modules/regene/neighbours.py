"""What lies nearest to a generation, and whether real images lie as near: Figures 12, 13 and E.28 to E.45 of the paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from generative.checks import check_at_least, check_choice
from generative.randomness import permutation
from generative.rendering.images import as_floats, image_grid, pixel_scale, save_picture, side_by_side, to_uint8
from generative.rendering.tables import markdown
from lightning_modules.base import Classifies, ImageData
from lightning_modules.regene.drawing import AT_ONCE, Sampled
from lightning_modules.regene.judging import judging_network
from lightning_modules.regene.module import ReGene
from lightning_modules.regene.objective import Moments, check_window, dissimilarity, windowed
from lightning_modules.regene.pictures import decoded, source_images
from lightning_modules.regene.samplers import facts_of
from lightning_modules.tasks.held_out import held_out, some_numbers
from lightning_modules.tasks.samples import progress
from lightning_modules.tasks.tables import write_lines
from metrics.features import FromClassifier

AMONG = {"training": 3, "generations": 5}  # and how many neighbours the paper's figures show
AGAINST = ("originals", "reconstructions")
PIXELS, SSIM, LATENTS = "pixels", "ssim", "latents"
TITLES = {PIXELS: "pixels: MSE", SSIM: "pixels: 1 - SSIM", LATENTS: "latents: MSE"}
HEADER = ("measure", "median", "median of real", "nearer than that", "nearest is a parent")
NO_JUDGE = "\nNo features of a network: give judge=[<checkpoint of a classifier>] for them.\n"
CHUNK = 4096  # images whose moments are made at once


@dataclass(frozen=True)
class Compared:
    """``images`` [N, C, H, W] in [-1, 1], and ``views``: of each measure what it compares, a row an image; on the CPU."""

    images: Tensor
    views: dict[str, Tensor]


@dataclass(frozen=True)
class Eye:
    """How images are looked at: as they are or ``remade``, by the method's latents and by a ``network``, if there is one."""

    method: ReGene
    network: FromClassifier | None
    remade: bool

    def real(self, images: Tensor) -> Compared:
        """Real images [N, C, H, W], with the latents that the encoder has of what is shown."""
        latents = self.method.latents_of(images)
        if not self.remade:
            return self.compared(as_floats(images), latents)
        again = torch.cat([decoded(self.method, part) for part in latents.split(AT_ONCE)])
        return self.compared(again, self.method.latents_of(again))

    def generated(self, drawn: Sampled) -> Compared:
        """Generations, by the latents that they were drawn from; beside reconstructions, encoded again as these are."""
        images = drawn.images.cpu()
        return self.compared(images, self.method.latents_of(images) if self.remade else drawn.latents.float())

    @torch.no_grad()
    def compared(self, images: Tensor, latents: Tensor) -> Compared:
        pixels = 0.5 * (images.float() + 1.0)
        views = {PIXELS: pixels.flatten(1), SSIM: pixels, LATENTS: latents}
        if self.network is not None:
            parts = (to_uint8(part).to(self.method.device) for part in images.split(AT_ONCE))
            network = self.network.to(self.method.device)
            views[network.name] = torch.cat([network(part)["features"].cpu() for part in parts])
        return Compared(images, views)


@dataclass(frozen=True)
class Found:
    """By one measure the ``numbers`` [Q, top] of the nearest in a gallery, nearest first, with their ``distances`` [Q, top].

    ``real`` is the median distance of a real image to its nearest.
    """

    numbers: Tensor
    distances: Tensor
    real: float

    @property
    def nearer(self) -> Tensor:
        """Whether each is nearer to its nearest than the median real image is: bool [Q]."""
        return self.distances[:, 0] < self.real


def nearest(
    method: ReGene,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    sampler: str | None = None,
    count: int = 100,
    rows: int = 10,
    top: int | None = None,
    among: str = "training",
    against: str = "originals",
    judge: list[Classifies] | None = None,
    num_real: int = 100,
) -> list[Path]:
    """The ``top`` nearest training images of ``count`` generations: by pixels, SSIM, latents and the features of ``judge``.

    The first ``rows`` of them are a picture, all are lines of JSON. ``sampler`` draws them (by default the method's
    ``sampling``), classes in turn. MSE and SSIM are of images in [0, 1], SSIM as 1 - SSIM. Latents are those that a generation
    was drawn from and those of the images. ``against=reconstructions`` compares with what the method makes of the
    training images, and encodes both sides again. ``among=generations``: the nearest other ones of the ``count``. Three
    neighbours of training images, and five of generations, where ``top`` is left out.

    Beside it stands the same of real images: the median distance of ``num_real`` test images to their nearest training image,
    shown alike; among generations, of as many training images to their nearest other one. Half of real images are nearer
    than that; more generations that are say that they are copies, or that they are alike. Numbers are places in the split
    ``train``, or of generations; each line names the generation's own sources. ValueError where the judge is the
    method's own classifier.
    """
    check_choice("among", among, tuple(AMONG))
    check_choice("against", against, AGAINST)
    if among == "generations" and against == "reconstructions":
        raise ValueError("against=reconstructions is of training images: leave it out with among=generations")
    top = AMONG[among] if top is None else top
    check_at_least(1, count=count, rows=rows, top=top, num_real=num_real)
    check_window(method.ssim_window, method.image_shape)
    eye = Eye(method, judging_network(method, judge), remade=against == "reconstructions")
    if sampler is not None:
        method.use_sampling(sampler)
    labels = method.balanced_labels(0, count)
    assert labels is not None
    drawn = method.sampled(range(count), labels.cpu(), seed=seed)
    gallery, found = searched(eye, drawn, datamodule, among=among, top=top, num_real=num_real, seed=seed)
    parents = method.bank.origins[drawn.sources] if drawn.sources.shape[1] else None
    facts = facts_of(method, seed=seed) | {"sampler": method.sampling, "among": among, "against": against}
    facts |= {"count": count, "gallery": len(gallery.images)}
    lines = [facts | line for name, its in found.items() for line in lines_of(name, its, labels, parents, among=among)]
    table = output / "nearest.md"
    written = write_lines(lines, output / "nearest.jsonl")
    table.write_text(markdown(HEADER, summary(lines)) + ("" if eye.network else NO_JUDGE))
    sources = source_images(method, datamodule, drawn.sources[:rows].flatten()) if parents is not None else None
    return [picture(drawn.images[:rows].cpu(), sources, gallery, found, output), written, table]


def searched(
    eye: Eye, drawn: Sampled, datamodule: ImageData, *, among: str, top: int, num_real: int, seed: int
) -> tuple[Compared, dict[str, Found]]:
    """What was searched, and by each measure what was found there."""
    generations, apart = eye.generated(drawn), among == "generations"
    if apart:
        gallery = generations
        real = real_gallery = eye.real(some_training_images(datamodule, len(generations.images), seed=seed))
    else:
        gallery = real_gallery = eye.real(datamodule.split("train")[0][:])
        numbers = some_numbers(datamodule, min(num_real, len(datamodule.split("test")[1])), seed=seed)
        real = eye.real(held_out(datamodule, numbers)[0])
    most = len(gallery.images) - apart
    if top > most:
        raise ValueError(f"there are no {top} neighbours: top is at most {most} here")
    found = {}
    with progress(len(gallery.views) * (len(generations.images) + len(real.images)), "nearest") as bar:
        look = partial(nearest_by, window=eye.method.ssim_window, apart=apart, bar=bar)
        for name in gallery.views:
            of_real = look(name, real, real_gallery, top=1)[1]
            found[name] = Found(*look(name, generations, gallery, top=top), float(of_real.quantile(0.5)))
    return gallery, found


def some_training_images(datamodule: ImageData, count: int, *, seed: int) -> Tensor:
    """``count`` training images in the order of ``seed``; ValueError where there are fewer."""
    images = datamodule.split("train")[0]
    if count > len(images):
        raise ValueError(f"count={count} generations are compared with as many training images: {len(images)} at most")
    return images[torch.from_numpy(permutation(seed, 0, len(images), name="real neighbours")[:count])]


def nearest_by(
    name: str, queries: Compared, gallery: Compared, *, top: int, window: int, apart: bool, bar: tqdm
) -> tuple[Tensor, Tensor]:
    """By a measure the numbers [Q, top] of the nearest in a gallery, and their distances: see :func:`nearest_of`."""
    sides = queries.views[name], gallery.views[name]
    distances = dissimilarities(*sides, window=window) if name == SSIM else mean_squares(*sides)
    return nearest_of(distances, top, apart=apart, bar=bar)


def mean_squares(queries: Tensor, gallery: Tensor) -> Iterator[Tensor]:
    """MSE of each row of [Q, D] to the rows [N, D], by differences, so that of a copy it is 0."""
    for query in queries:
        yield torch.cat([(part - query).square().mean(dim=1) for part in gallery.split(CHUNK)])


def dissimilarities(queries: Tensor, gallery: Tensor, *, window: int) -> Iterator[Tensor]:
    """1 - SSIM of each image of [Q, C, H, W] in [0, 1] and the images [N, C, H, W], whose moments are made once."""
    parts = [(part, Moments(windowed(part, window), windowed(part * part, window))) for part in gallery.split(CHUNK)]
    for query in queries[:, None]:
        own = Moments(windowed(query, window), windowed(query * query, window))
        yield torch.cat([dissimilarity(own, its, windowed(query * part, window)) for part, its in parts])


def nearest_of(distances: Iterator[Tensor], top: int, *, apart: bool, bar: tqdm) -> tuple[Tensor, Tensor]:
    """The numbers [Q, top] of the nearest, nearest first and of equals the first in the gallery, and their distances.

    ``apart``: query i is image i of the gallery, and no neighbour of its own.
    """
    numbers, values = [], []
    for own, row in enumerate(distances):
        if apart:
            row[own] = torch.inf
        order = row.argsort(stable=True)[:top]
        numbers.append(order)
        values.append(row[order].double())
        bar.update()
    return torch.stack(numbers), torch.stack(values)


def lines_of(
    name: str, found: Found, labels: Tensor, parents: Tensor | None, *, among: str
) -> Iterator[dict[str, Any]]:
    """A line a generation: what lies nearest by a measure, and whether that is what it was made of."""
    for number, neighbours in enumerate(found.numbers.tolist()):
        own = None if parents is None else parents[number].tolist()
        are_parents = [its in own for its in neighbours] if own is not None and among == "training" else None
        yield {
            "measure": name,
            "generation": number,
            "class": int(labels[number]),
            "nearest": neighbours,
            "distances": found.distances[number].tolist(),
            "parents": own,
            "are_parents": are_parents,
            "real_distance": found.real,
            "nearer_than_real": bool(found.nearer[number]),
        }


def summary(lines: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    """A row a measure: medians, and shares of the generations."""
    for name in dict.fromkeys(line["measure"] for line in lines):
        its = [line for line in lines if line["measure"] == name]
        median = float(torch.tensor([line["distances"][0] for line in its], dtype=torch.float64).quantile(0.5))
        nearer = sum(line["nearer_than_real"] for line in its) / len(its)
        known = [line["are_parents"][0] for line in its if line["are_parents"] is not None]
        parents = f"{sum(known) / len(known):.3f}" if known else "-"
        yield [
            TITLES.get(name, f"{name}: MSE"),
            f"{median:.4g}",
            f"{its[0]['real_distance']:.4g}",
            f"{nearer:.3f}",
            parents,
        ]


def picture(images: Tensor, sources: Tensor | None, gallery: Compared, found: dict[str, Found], output: Path) -> Path:
    """A row a generation [R, C, H, W]: itself, what it was made of, and its neighbours by each measure."""
    rows, scale = len(images), pixel_scale(images.shape[2])
    panels = [("generation", images, 1)]
    if sources is not None:
        panels.append(("its sources", sources, len(sources) // rows))
    for name, its in found.items():
        near = gallery.images[its.numbers[:rows].flatten()]
        panels.append((TITLES.get(name, f"{name}: MSE"), near, its.numbers.shape[1]))
    sheets = [(title, image_grid(shown, num_columns=columns, scale=scale)) for title, shown, columns in panels]
    return save_picture(side_by_side(sheets), output, "nearest.png")
