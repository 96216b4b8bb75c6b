"""How much of a classifier's map lies on objects, over images with masks of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from generative.rendering.masks import NO_CLASS
from lightning_modules.base import HasMaps, ImageData
from lightning_modules.tasks.compared_models import decisions, last_shares, named_models, training_of
from lightning_modules.tasks.held_out import held_out, some_numbers
from lightning_modules.tasks.tables import write_lines
from metrics.intervals import half_width
from metrics.localization import centre_map, covered, energy_inside, pointing_game

BACKGROUND = 0  # the class of a mask's pixel where no object is
BATCH = 64

Scores = tuple[Tensor, Tensor]  # of a model's maps: energy inside and pointing game, [N] each


def objects_of(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Masks [B, H, W] of classes -> where any object lies, and where a pixel counts: neither border nor beyond the image."""
    counted = masks != NO_CLASS
    return counted & (masks != BACKGROUND), counted


def at_size(images: Tensor, masks: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Photos and their masks at the size that a model takes: means over pixels, and the nearest pixel's class."""
    if masks.shape[1:] == tuple(size):
        return images, masks
    small = F.interpolate(images, size=tuple(size), mode="bilinear", antialias=True).clamp(-1, 1)
    return small, F.interpolate(masks[:, None].float(), size=tuple(size), mode="nearest-exact")[:, 0].to(masks.dtype)


def maps_scored(
    method: HasMaps,
    output: Path,
    *,
    seed: int,
    masked: ImageData,
    baselines: list[HasMaps] | None = None,
    count: int | None = None,
) -> list[Path]:
    """How much of each model's last map lies on objects: over test images of ``masked``, a data module with masks.

    Means over the images that show an object and their normal 95 % half-widths, as JSON lines and a table. An even map
    scores the share that objects cover; a Gaussian about the middle says what their place alone gives away.
    """
    check_masked(masked, channels=method.image_shape[0])
    models = named_models(method, baselines)
    found = scores_of(models, masked, some_numbers(masked, count, seed=seed), size=method.image_shape[1:])
    if len(found["even map"][0]) < 2:
        raise ValueError(f"fewer than two of these test images of {masked.name} show an object: raise count")
    facts = {"data": masked.name, "resolution": list(method.image_shape[1:]), "seed": seed}
    known = {name: {"map": model.kind_of_map} | training_of(model) for name, model in models.items()}
    rows: list[dict[str, Any]] = [
        {"model": name} | facts | known.get(name, {"map": "none"}) | in_means(*values) for name, values in found.items()
    ]
    lines, table = write_lines(rows, output / "maps_scored.jsonl"), output / "maps_scored.md"
    table.write_text(table_of_scores(rows, data=masked.name))
    return [lines, table]


def check_masked(masked: ImageData, *, channels: int) -> None:
    """ValueError unless the data have masks of objects, and images of as many channels as a model takes."""
    if "mask" not in masked.targets("test") or masked.target_classes[BACKGROUND] != "background":
        raise ValueError(f"{masked.name} has no masks of objects before a background: give masked=voc2012")
    if masked.image_shape[0] != channels:
        raise ValueError(
            f"images of {masked.name} have {masked.image_shape[0]} channels, and the model takes {channels}: give "
            "masked= and a checkpoint that are both grey or both in colour"
        )


def scores_of(
    models: Mapping[str, HasMaps], masked: ImageData, numbers: Tensor, *, size: Sequence[int]
) -> dict[str, Scores]:
    """The scores of an even map, of one that knows only the middle, and of each model, at ``size`` (height, width).

    Only those of the images ``numbers`` that show an object are scored.
    """
    found: dict[str, list[Scores]] = {name: [] for name in ("even map", "middle", *models)}
    for some in numbers.split(BATCH):
        images, masks = at_size(held_out(masked, some)[0], masked.targets("test")["mask"][some], size)
        inside, counted = objects_of(masks)
        shows = inside.any(dim=(1, 2))
        images, inside, counted = images[shows], inside[shows], counted[shows]
        share = covered(inside, counted)
        found["even map"].append((share, share))
        if not len(images):
            continue
        of_batch = {"middle": centre_map(*size).expand(len(images), -1, -1)}
        of_batch |= {name: last_shares(model, images, decisions(model, images)) for name, model in models.items()}
        for name, shares in of_batch.items():
            found[name].append((energy_inside(shares, inside, counted), pointing_game(shares, inside, counted)))
    return {name: concatenated(parts) for name, parts in found.items() if parts}


def concatenated(parts: Sequence[Scores]) -> Scores:
    """The scores of all batches together."""
    energy, hits = zip(*parts, strict=True)
    return torch.cat(energy), torch.cat(hits)


def in_means(energy: Tensor, hits: Tensor) -> dict[str, float]:
    """Means of scores [N], N > 1, and the half-widths of their normal 95 % intervals."""
    facts: dict[str, float] = {"num_images": len(energy)}
    for name, values in (("energy_inside", energy), ("pointing_game", hits)):
        facts |= {name: float(values.double().mean()), f"{name}_95": half_width(values)}
    return facts


def table_of_scores(rows: Sequence[Mapping[str, Any]], *, data: str) -> str:
    """The rows in Markdown."""
    table = [
        f"| model | map | share of its mass on objects | maximum on an object | images of {data} |",
        "|---|---|---|---|---|",
        *(
            f"| {row['model']} | {row['map']} | {row['energy_inside']:.3f} ± {row['energy_inside_95']:.3f} "
            f"| {row['pointing_game']:.3f} ± {row['pointing_game_95']:.3f} | {row['num_images']} |"
            for row in rows
        ),
    ]
    return "\n".join(table) + "\n"
