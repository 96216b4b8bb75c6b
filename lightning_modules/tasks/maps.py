"""What a trained DGM, or the same network without moments, shows of where it looks (Figs. 5.2 to 5.4), run by generate.py."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from generative.rendering.colours import overlay
from generative.rendering.images import from_uint8, image_grid, saved, shown_scale, side_by_side, text_column
from lightning_modules.base import ImageData
from lightning_modules.classification import Classification
from lightning_modules.dgm.maps import (
    BACKGROUND,
    NO_CLASS,
    centre_map,
    correlation,
    covered,
    decisions,
    energy_inside,
    enlarged,
    kind_of_map,
    last_map,
    named_models,
    pointing_game,
    training_of,
)
from lightning_modules.dgm.module import DGMClassifier
from lightning_modules.tasks.held_out import held_out, some_numbers

Panel = tuple[str, Image.Image]
CORRUPTED_BY = "imagecorruptions-imaug"  # the package that datamodules.corruptions computes with
NORMAL_95 = 1.96  # deviations to each side of a mean
BATCH = 64


def column(title: str, images: Tensor) -> Panel:
    return title, image_grid(images, num_columns=1, scale=shown_scale(images.shape[2]))


def labelled_rows(numbers: Tensor, labels: Tensor, named: Mapping[str, Tensor], *, height: int) -> Panel:
    """Number, true class and the class that each model names, beside the rows of images ``height`` pixels high."""
    texts = [
        "\n".join([f"no. {number}", f"class {label}", *(f"{name}: {classes[row]}" for name, classes in named.items())])
        for row, (number, label) in enumerate(zip(numbers.tolist(), labels.tolist(), strict=True))
    ]
    return "", text_column(texts, row_height=height * shown_scale(height))


def write_lines(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@torch.no_grad()
def maps(
    method: DGMClassifier,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    count: int = 8,
    opacity: float = 1.0,
) -> list[Path]:
    """Fig. 5.3: a row a test image: its class and the one named, the image, eq. 5.4 at each level.

    ``opacity`` 1 shows the maps alone, less shows the images through them.
    """
    numbers = some_numbers(datamodule, count, seed=seed)
    images, labels = held_out(datamodule, numbers)
    named = {"named": decisions(method, images)}
    panels = [labelled_rows(numbers, labels, named, height=images.shape[2]), column("image", images)]
    for level, values in enumerate(method.heatmaps(images.to(method.device)), start=1):
        shares = enlarged(values, images.shape[2:]).cpu()
        panels.append(column(f"level {level}", overlay(images, shares, opacity=opacity)))
    return [saved(side_by_side(panels), output, "maps.png")]


def maps_compared(
    method: DGMClassifier,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    baselines: list[Classification],
    count: int = 8,
    opacity: float = 1.0,
) -> list[Path]:
    """Fig. 5.2: the last level's map beside those of other checkpoints; Grad-CAM explains the class that its model names."""
    models = named_models(method, baselines)
    numbers = some_numbers(datamodule, count, seed=seed)
    images, labels = held_out(datamodule, numbers)
    named = {name: decisions(model, images) for name, model in models.items()}
    panels = [labelled_rows(numbers, labels, named, height=images.shape[2]), column("image", images)]
    for name, model in models.items():
        shares = last_map(model, images.to(model.device), named[name].to(model.device)).cpu()
        panels.append(column(f"{name}: {kind_of_map(model)}", overlay(images, shares, opacity=opacity)))
    return [saved(side_by_side(panels), output, "maps_compared.png")]


def maps_corrupted(
    method: DGMClassifier,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    baselines: list[Classification] | None = None,
    corruptions: list[str] | None = None,
    severity: int = 3,
    count: int = 8,
    opacity: float = 1.0,
) -> list[Path]:
    """Fig. 5.4: maps of test images, clean and under ``corruptions`` (defocus_blur and fog), and how alike they stay.

    The table holds the accuracy on these images and the mean correlation of a map with that of the clean image, over
    the images neither of whose maps is flat.
    """
    corruptions = ["defocus_blur", "fog"] if corruptions is None else corruptions
    models = named_models(method, baselines)
    numbers = some_numbers(datamodule, count, seed=seed)
    clean, labels = held_out(datamodule, numbers)
    shown = {"clean": clean}
    for corruption in corruptions:
        made = datamodule.corrupted("test", numbers, corruption=corruption, severity=severity, seed=seed)
        shown[f"{corruption} {severity}, regenerated"] = from_uint8(made)
    sheets, rows = [], []
    maps_of_clean: dict[str, Tensor] = {}
    for title, images in shown.items():
        named = {name: decisions(model, images) for name, model in models.items()}
        panels = [labelled_rows(numbers, labels, named, height=images.shape[2]), column(title, images)]
        for name, model in models.items():
            shares = last_map(model, images.to(model.device), named[name].to(model.device)).cpu()
            panels.append(column(f"{name}: {kind_of_map(model)}", overlay(images, shares, opacity=opacity)))
            alike = correlation(maps_of_clean.setdefault(name, shares), shares)
            alike = alike[alike.isfinite()]
            rows.append(
                {
                    "images": title,
                    "model": name,
                    **training_of(model),
                    "map": kind_of_map(model),
                    "accuracy": float((named[name] == labels).float().mean()),
                    "correlation_with_clean": float(alike.mean()) if len(alike) else None,
                    "correlated_images": len(alike),
                    "num_images": len(numbers),
                    "seed": seed,
                    "corrupted_by": None if title == "clean" else f"{CORRUPTED_BY} {version(CORRUPTED_BY)}",
                }
            )
        sheets.append(("", side_by_side(panels)))
    written = [saved(side_by_side(sheets), output, "maps_corrupted_regenerated.png")]
    written.append(write_lines(rows, output / "maps_corrupted_regenerated.jsonl"))
    return written


def objects_of(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Masks [B, H, W] of classes -> where any object lies, and where a pixel counts: neither border nor beyond the image."""
    counted = masks != NO_CLASS
    return counted & (masks != BACKGROUND), counted


def fitted(images: Tensor, masks: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Photos and their masks at the size that a model takes: means over pixels, and the nearest pixel's class."""
    if masks.shape[1:] == tuple(size):
        return images, masks
    small = F.interpolate(images, size=tuple(size), mode="bilinear", antialias=True).clamp(-1, 1)
    return small, F.interpolate(masks[:, None].float(), size=tuple(size), mode="nearest-exact")[:, 0].to(masks.dtype)


def maps_scored(
    method: DGMClassifier,
    output: Path,
    *,
    seed: int,
    masked: ImageData,
    baselines: list[Classification] | None = None,
    count: int | None = None,
) -> list[Path]:
    """How much of each model's last map lies on objects: over test images of ``masked``, a data module with masks.

    Means over the images that show an object and their normal 95 % half-widths, as JSON lines and a table. An even map
    scores the share that objects cover; a Gaussian about the middle says what their place alone gives away.
    """
    if "mask" not in masked.targets("test") or masked.target_classes[BACKGROUND] != "background":
        raise ValueError(f"{masked.name} has no masks of objects before a background: give masked=voc2012")
    models = named_models(method, baselines)
    if masked.image_shape[0] != method.image_shape[0]:
        raise ValueError(
            f"images of {masked.name} have {masked.image_shape[0]} channels, and the model takes {method.image_shape[0]}: give "
            "masked= and a checkpoint that are both grey or both in colour"
        )
    size = method.image_shape[1:]
    found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in ("even map", "middle", *models)}
    for numbers in some_numbers(masked, count, seed=seed).split(BATCH):
        images, masks = fitted(held_out(masked, numbers)[0], masked.targets("test")["mask"][numbers], size)
        inside, counted = objects_of(masks)
        shows = inside.any(dim=(1, 2))
        images, inside, counted = images[shows], inside[shows], counted[shows]
        if not len(images):
            continue
        of_batch = {"middle": centre_map(*size).expand(len(images), -1, -1)}
        for name, model in models.items():
            classes = decisions(model, images).to(model.device)
            of_batch[name] = last_map(model, images.to(model.device), classes).cpu()
        share = covered(inside, counted)
        found["even map"].append((share, share))
        for name, shares in of_batch.items():
            found[name].append((energy_inside(shares, inside, counted), pointing_game(shares, inside, counted)))
    if sum(len(share) for share, _ in found["even map"]) < 2:
        raise ValueError(f"fewer than two of these test images of {masked.name} show an object: raise count")
    known = {name: {"map": kind_of_map(model)} | training_of(model) for name, model in models.items()}
    rows: list[dict[str, Any]] = [
        {"model": name, "data": masked.name, "resolution": list(size), "seed": seed}
        | known.get(name, {"map": "none"})
        | scored(*(torch.cat(parts) for parts in zip(*values, strict=True)))
        for name, values in found.items()
    ]
    output.mkdir(parents=True, exist_ok=True)
    table = [
        f"| model | map | share of its mass on objects | maximum on an object | images of {masked.name} |",
        "|---|---|---|---|---|",
        *(
            f"| {row['model']} | {row['map']} | {row['energy_inside']:.3f} ± {row['energy_inside_95']:.3f} "
            f"| {row['pointing_game']:.3f} ± {row['pointing_game_95']:.3f} | {row['num_images']} |"
            for row in rows
        ),
    ]
    (output / "maps_scored.md").write_text("\n".join(table) + "\n")
    return [write_lines(rows, output / "maps_scored.jsonl"), output / "maps_scored.md"]


def scored(energy: Tensor, hits: Tensor) -> dict[str, float]:
    """Means of scores [N], N > 1, and the half-widths of their normal 95 % intervals."""
    facts: dict[str, float] = {"num_images": len(energy)}
    for name, values in (("energy_inside", energy), ("pointing_game", hits)):
        half_width = NORMAL_95 * float(values.double().std()) / math.sqrt(len(values))
        facts |= {name: float(values.double().mean()), f"{name}_95": half_width}
    return facts
