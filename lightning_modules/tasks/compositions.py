"""The same images drawn by several numbers of codes, composed at several layers (Figures 6.1, 6.2 and 6.4 to 6.6)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import Tensor

from generative.rendering.images import image_grid, pixel_scale, save_picture, side_by_side
from generative.rendering.tables import markdown
from lightning_modules.base import ImageData, Invertible
from lightning_modules.tasks.completion import SHOWN, searching
from lightning_modules.tasks.originals import open_source
from lightning_modules.tasks.search import Inversion, images_of
from lightning_modules.tasks.shared_images import SharedImages, named_settings, shared_images, shared_space_of
from lightning_modules.tasks.tables import write_lines

WORDS = {"psnr": "whole", "psnr_known": "known", "psnr_hole": "hole"}


def compositions(
    method: Invertible,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    images: list[int] | int | str | None = None,
    count: int = 4,
    classes: list[int] | int | None = None,
    fit: bool = False,
    masks: str | None = None,
    white: str = "missing",
    layers: list[int] | int | None = None,
    num_codes: list[int] | int = 10,
    importance: bool | None = None,
    attention: str | None = None,
    start: str = "nearest",
    steps: int = 200,
    rate: float | None = None,
    perceptual: float | None = None,
    batch_size: int = 16,
) -> list[Path]:
    """Images drawn with every one of ``num_codes`` at every one of ``layers``, a column each: a picture, lines, a table.

    ``layers`` is by default [2, 4, 6, 8]. Under the name of a column stands the mean PSNR of all its images, whole or, with
    ``masks``, of the known and of the hidden pixels. A line of JSON is that of an image and a column, a row of the table that
    of a column. Everything else as in `code_shares`.
    """
    layers = [2, 4, 6, 8] if layers is None else layers
    space = shared_space_of(method)
    own = {"importance": importance, "attention": attention}
    search = {"steps": steps, "rate": rate, "start": start, "batch_size": batch_size}
    arms = [
        searching(method, search | {"settings": named_settings(own) | column}, seed=seed, perceptual=perceptual)
        for column in columns_of(layers, num_codes)
    ]
    for arm in arms:
        arm.space(space)  # which refuses settings that it cannot have, before anything is read
    source, number = open_source(datamodule, images=images, count=count, fit=fit)
    wanted = shared_images(method, source, number, classes=classes, masks=masks, white=white, seed=seed)
    columns = [composed(wanted, arm, space=space) for arm in arms]
    facts = {"mask": wanted.mask, **search, **named_settings(own), "perceptual": arms[0].objective.perceptual}
    return write_compositions(output, wanted, columns, facts)


def columns_of(layers: list[int] | int, num_codes: list[int] | int) -> list[dict[str, int]]:
    """The settings of each column; ValueError where there is none, or one twice."""
    both = {"layers": layers, "num_codes": num_codes}
    named = {name: [given] if isinstance(given, int) else given for name, given in both.items()}
    for name, values in named.items():
        if not values or len({*values}) < len(values):
            raise ValueError(f"{name} is a list of at least one number, each once, got {values}")
    return [{"layer": layer, "num_codes": count} for layer in named["layers"] for count in named["num_codes"]]


@dataclass(frozen=True)
class Column:
    """What so many codes drew at a layer: ``images`` [N, C, H, W] on the CPU, their ``scores`` and the seconds of an image."""

    layer: int
    num_codes: int
    images: Tensor
    scores: dict[str, list[float]]
    seconds: float

    @property
    def means(self) -> dict[str, float]:
        return {name: fmean(values) for name, values in self.scores.items()}

    @property
    def title(self) -> str:
        codes = "1 code" if self.num_codes == 1 else f"{self.num_codes} codes"
        means = [f"{WORDS[name]} {value:.2f} dB" for name, value in self.means.items()]
        return "\n".join([f"layer {self.layer}, {codes}", *means])


def composed(wanted: SharedImages, inversion: Inversion, *, space: str) -> Column:
    """Where the search for images ended."""
    found = inversion.embed(inversion.with_classes(wanted.targets), space=space)
    images, seconds = images_of(found), sum(part.seconds for part in found) / len(wanted.names)
    return Column(inversion.settings["layer"], inversion.settings["num_codes"], images, wanted.scores(images), seconds)


def write_compositions(output: Path, wanted: SharedImages, columns: list[Column], facts: dict[str, Any]) -> list[Path]:
    scale = pixel_scale(wanted.originals.shape[2])
    shown = [*wanted.panels().items(), *((column.title, column.images) for column in columns)]
    sheet = side_by_side([(title, image_grid(part[:SHOWN], num_columns=1, scale=scale)) for title, part in shown])
    lines, rows = [], []
    for column in columns:
        of_column = {"layer": column.layer, "num_codes": column.num_codes}
        for row, name in enumerate(wanted.names):
            scores = {score: values[row] for score, values in column.scores.items()}
            lines.append({"image": name, **of_column, **scores, "seconds": column.seconds, **facts})
        means = [f"{value:.2f}" for value in column.means.values()]
        rows.append([str(column.layer), str(column.num_codes), *means, f"{column.seconds:.3f}"])
    scores_in_words = [f"{WORDS[name]}, dB" for name in columns[0].scores]
    table = output / "compositions.md"
    written = [
        save_picture(sheet, output, "compositions.png"),
        write_lines(lines, output / "compositions.jsonl"),
        table,
    ]
    table.write_text(markdown(("layer", "codes", *scores_in_words, "seconds an image"), rows))
    return written
