"""Restoration: images that are known in part, completed by a generator, beside fills that need none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from torch import Tensor

from generative.inversion.fills import harmonic_fill, mean_fill, without_seam
from generative.inversion.measurements import Masked
from generative.rendering.holes import centre, random_blocks
from generative.rendering.images import image_grid, pixel_scale, save_picture, side_by_side, to_uint8
from lightning_modules.base import ImageData, Invertible
from lightning_modules.tasks.inversion import SHOWN, Inversion, Targets, check_space, images_of, make_objective
from lightning_modules.tasks.originals import open_originals
from metrics.quality import HoleQuality, hole_psnr

SHARE = 0.25  # of the pixels that random blocks hide unless asked for another
MASKS = ("blocks", "centre")
INPAINT_COLUMNS = ("filled by", "hole", "its median", "pooled", "known pixels", "whole image")


@dataclass(frozen=True)
class Holes:
    """``known`` pixels of images, bool [N, 1, H, W], made by a rule whose name with its numbers is ``name``."""

    name: str
    known: Tensor


def make_holes(
    mask: str, count: int, size: tuple[int, int], *, share: float | None, block: int | None, seed: int
) -> Holes:
    """``blocks``: random squares of ``block`` pixels that hide ``share``; ``centre``: one square of ``block`` pixels.

    ``block`` is a quarter of the smaller side unless asked for another, a half in the centre.
    """
    if mask not in MASKS:
        raise ValueError(f"mask must be {' or '.join(MASKS)}, got {mask!r}")
    if mask == "centre":
        if share is not None:
            raise ValueError(f"the share that a square in the centre hides follows from block: leave out share={share}")
        block = max(1, min(size) // 2) if block is None else block
        return Holes(f"centre{block}", centre(count, *size, block=block))
    share = SHARE if share is None else share
    block = max(1, min(size) // 4) if block is None else block
    known = random_blocks(count, *size, share=share, block=block, seed=seed)
    return Holes(f"blocks{block}_{100 * share:g}pct", known)


def inpaint(
    method: Invertible,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    images: list[int] | int | str | None = None,
    count: int = 10,
    classes: list[int] | int | None = None,
    guess_classes: bool = False,
    fit: bool = False,
    mask: str = "blocks",
    share: float | None = None,
    block: int | None = None,
    space: str | None = None,
    steps: int = 200,
    rate: float | None = None,
    pixel: str = "l2",
    perceptual: float | None = None,
    batch_size: int = 16,
    seconds: float | None = None,
) -> list[Path]:
    """Images with holes, filled by a search that sees the known pixels alone: a picture, PSNR of the hole and of the rest.

    ``images``, ``count``, ``classes``, ``fit`` and the settings of the search as in `invert`; ``guess_classes``: look for the
    class as well, instead of taking that of the test image. ``mask``: random ``blocks`` of ``block`` pixels that hide
    ``share`` of an image (a quarter of the side, 0.25), another mask for each, or a square in the ``centre``. ``space``: the
    one searched, by default the method's first. ``seconds``: the most that the search takes, for all images together.
    """
    if guess_classes and classes is not None:
        raise ValueError(f"classes={classes} says what guess_classes is to find: give one of them")
    space = method.space_names[0] if space is None else space
    check_space(method, space)
    chosen, labels = open_originals(method, datamodule, images=images, count=count, classes=classes, fit=fit)
    holes = make_holes(mask, len(chosen), method.image_shape[1:], share=share, block=block, seed=seed)
    objective = make_objective(method, pixel=pixel, perceptual=perceptual)
    inversion = Inversion(method, objective, seed=seed, steps=steps, rate=rate, batch_size=batch_size, seconds=seconds)
    targets = Targets(chosen, None if guess_classes else labels, Masked(holes.known.to(chosen.device)))
    wanted = inversion.with_classes(targets)
    found = inversion.embed(wanted, space=space)
    facts: dict[str, Any] = {"mask": holes.name, "space": space, "pixel": pixel, "perceptual": objective.perceptual}
    facts |= {"steps": min(len(part.trace) for part in found)}  # of the batch that took fewest, where time ran out
    facts |= {"seconds_an_image": sum(part.seconds for part in found) / len(chosen)}
    if method.num_classes > 0:
        facts["classes"] = "found" if targets.labels is None else "given"
    arms = all_fills(chosen.cpu(), holes.known, drawn=images_of(found))
    return write_inpainting(output, arms, chosen.cpu(), holes, facts)


def all_fills(originals: Tensor, known: Tensor, *, drawn: Tensor) -> dict[str, Tensor]:
    """Each way to fill the holes of ``originals`` [N, C, H, W] -> the images, ``drawn`` by a generator or without it.

    ``raw`` is what was drawn; ``pasted`` has the known pixels back; ``seamless`` also lacks the edge between the two, see
    :func:`generative.inversion.fills.without_seam`.
    """
    measure = Masked(known)
    measured = measure(originals)
    return {
        "mean": mean_fill(measured, known),
        "harmonic": harmonic_fill(measured, known),
        "raw": drawn,
        "pasted": measure.put_back(drawn, measured),
        "seamless": without_seam(drawn, measured, known),
    }


def write_inpainting(
    output: Path, arms: dict[str, Tensor], originals: Tensor, holes: Holes, facts: dict[str, Any]
) -> list[Path]:
    """The picture, a line of JSON an arm and image, and the table of means; the rule of the holes in their names."""
    masked = Masked(holes.known)(originals)
    panels = [("original", originals), ("known", masked), *arms.items()]
    scale = pixel_scale(originals.shape[2])
    sheet = side_by_side([(title, image_grid(images[:SHOWN], num_columns=1, scale=scale)) for title, images in panels])
    lines, table = [], ["| " + " | ".join(INPAINT_COLUMNS) + " |", "|" + "---|" * len(INPAINT_COLUMNS)]
    for arm, images in arms.items():
        pairs = to_uint8(images), to_uint8(originals), holes.known
        each = {name: values.tolist() for name, values in hole_psnr(*pairs).items()}
        for number in range(len(images)):
            values = {name: of_images[number] for name, of_images in each.items()}
            lines.append(json.dumps({"filled_by": arm, "image": number, **values, **facts}))
        quality = HoleQuality()
        quality.update(*pairs)
        mean = quality.compute()
        shown = [
            mean["hole_psnr"],
            median(each["hole_psnr"]),
            mean["pooled_hole_psnr"],
            mean["known_psnr"],
            mean["psnr"],
        ]
        table.append(f"| {arm} | " + " | ".join(f"{value:.2f}" for value in shown) + " |")
    name = f"inpaint_{holes.name}"
    written = [save_picture(sheet, output, f"{name}.png"), output / f"{name}.jsonl", output / f"{name}.md"]
    written[1].write_text("\n".join(lines) + "\n")
    written[2].write_text("\n".join(table) + "\n")
    return written
