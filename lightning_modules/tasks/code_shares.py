"""Which of several codes drew what of an image: maps of their shares, and whether they have regions of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from generative.checks import check_at_least
from generative.inversion.search import SharedSpace
from generative.randomness import Stream
from generative.rendering.colours import hot
from generative.rendering.images import image_grid, pixel_scale, save_picture, side_by_side
from generative.rendering.masks import above, coloured, legend, palette
from lightning_modules.base import ImageData, Invertible
from lightning_modules.tasks.completion import SHOWN, searching
from lightning_modules.tasks.originals import open_source
from lightning_modules.tasks.search import Inversion, images_of
from lightning_modules.tasks.shared_images import SharedImages, named_settings, shared_images, shared_space_of
from lightning_modules.tasks.tables import write_lines
from metrics.specialisation import control, specialisation


def code_shares(
    method: Invertible,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    images: list[int] | int | str | None = None,
    count: int = 10,
    classes: list[int] | int | None = None,
    fit: bool = False,
    masks: str | None = None,
    white: str = "missing",
    num_codes: int | None = None,
    layer: int | None = None,
    importance: bool | None = None,
    attention: str | None = None,
    start: str = "nearest",
    steps: int = 200,
    rate: float | None = None,
    perceptual: float | None = None,
    batch_size: int = 16,
    shuffles: int = 100,
) -> list[Path]:
    """What each of several codes draws of an image: a picture, and a line of JSON an image on whether codes have regions.

    A row an image: the original, with ``masks`` what is known of it, what the codes draw together, and at each place the code
    with the largest share; then of each code its share at each place, white where it is the largest of this image, and what
    it draws alone, with its own importance. Places are those of the ``layer``.

    A line holds, in nats, the mean over places of the entropy of the shares at a place, the entropy of the mean shares, and
    their difference, the mutual ``information`` of code and place: 0 where no code specialises, at most the log of their
    number. ``shuffled_information`` is the mean of the same where each code's map has its places in another order, over
    ``shuffles`` such draws, with their deviation. Shares that sum to 1 always tell more than that: codes divide the image
    among them where they tell more than ``unrelated_information``, see `Control`.

    ``images``, ``count``, ``classes``, ``fit``, ``masks``, ``white`` and the settings of the search and of its codes as in
    `inpaint`; without ``masks`` the images are known whole.
    """
    check_at_least(1, shuffles=shuffles)
    space = shared_space_of(method)
    own = {"num_codes": num_codes, "layer": layer, "importance": importance, "attention": attention}
    search = {"steps": steps, "rate": rate, "start": start, "batch_size": batch_size, "settings": named_settings(own)}
    inversion = searching(method, search, seed=seed, perceptual=perceptual)
    inversion.space(space)  # which refuses settings that it cannot have, before anything is read
    source, number = open_source(datamodule, images=images, count=count, fit=fit)
    wanted = shared_images(method, source, number, classes=classes, masks=masks, white=white, seed=seed)
    drawing = drawn_together(wanted, inversion, space=space)
    facts = {"mask": wanted.mask, "codes": drawing.shares.shape[1], "places": list(drawing.shares.shape[2:]), **search}
    facts["perceptual"] = inversion.objective.perceptual
    lines = lines_of(wanted, drawing, seed=seed, shuffles=shuffles)
    picture = save_picture(picture_of(wanted, drawing), output, "code_shares.png")
    return [picture, write_lines([line | facts for line in lines], output / "code_shares.jsonl")]


@dataclass(frozen=True)
class Drawing:
    """What codes drew ``together`` [B, C, H, W] and each ``alone`` [B, N, C, H, W], and ``shares`` [B, N, h, w], on the CPU."""

    together: Tensor
    alone: Tensor
    shares: Tensor


def drawn_together(wanted: SharedImages, inversion: Inversion, *, space: str) -> Drawing:
    """Where the search for images ended."""
    targets = inversion.with_classes(wanted.targets)
    found = inversion.embed(targets, space=space)
    alone, shares = [], []
    for batch, part in targets.beside(found):
        chosen = inversion.space(space, batch.labels)
        assert isinstance(chosen, SharedSpace)
        alone.append(chosen.alone(part.point).cpu())
        shares.append(chosen.shares(part.point).cpu())
    return Drawing(images_of(found), torch.cat(alone), torch.cat(shares))


def lines_of(wanted: SharedImages, drawing: Drawing, *, seed: int, shuffles: int) -> list[dict[str, Any]]:
    """Of each image how near it came, and how much its places tell about its codes."""
    scores, stream, lines = wanted.scores(drawing.together), Stream(seed, "shuffled shares"), []
    for row, (number, _) in enumerate(wanted.targets.addresses):
        shares = drawing.shares[row].flatten(1)
        orders = stream.uniform(number, 1, 2, shuffles, *shares.shape)[0].argsort(dim=3)
        found, compared = specialisation(shares), control(shares, orders)
        of_image = {name: values[row] for name, values in scores.items()}
        measured = {
            "entropy_at_places": float(found.at_places),
            "entropy_of_mean": float(found.of_mean),
            "information": float(found.information),
            "shuffled_information": float(compared.shuffled.mean()),
            "shuffled_deviation": float(compared.shuffled.std(correction=0)),
            "unrelated_information": compared.unrelated,
            "shuffles": shuffles,
            "mean_shares": shares.double().mean(dim=1).tolist(),
        }
        lines.append({"image": wanted.names[row], **of_image, **measured})
    return lines


def picture_of(wanted: SharedImages, drawing: Drawing) -> Image.Image:
    """A row an image of the first ones; below them which colour is whose."""
    num_codes = drawing.shares.shape[1]
    size = wanted.originals.shape[2:]
    shares = F.interpolate(drawing.shares[:SHOWN], size=size, mode="nearest")
    largest = coloured(shares.argmax(dim=1), num_codes)
    shown: Mapping[str, Tensor] = {**wanted.panels(), "together": drawing.together, "largest share": largest}
    panels = [(title, columns([images[:SHOWN]])) for title, images in shown.items()]
    bright = shares / shares.amax(dim=(1, 2, 3), keepdim=True)
    for code in range(num_codes):
        alone = drawing.alone[:SHOWN, code].expand(-1, 3, -1, -1)
        panels.append((f"code {code + 1}: share, alone", columns([hot(bright[:, code]), alone])))
    sheet = side_by_side(panels)
    colours = [(f"code {code + 1}", (r, g, b)) for code, (r, g, b) in enumerate(palette(num_codes).tolist())]
    return above(sheet, legend(colours, width=sheet.width))


def columns(images: list[Tensor]) -> Image.Image:
    """Some columns of images, [B, C, H, W] each, beside each other."""
    rows = torch.stack(images, dim=1).flatten(0, 1)
    return image_grid(rows, num_columns=len(images), scale=pixel_scale(rows.shape[2]))
