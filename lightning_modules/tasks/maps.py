"""Where a classifier looks: its maps over test images, beside those of others, and under corruptions."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from generative.rendering.colours import overlay
from generative.rendering.images import from_uint8, image_grid, pixel_scale, save_picture, side_by_side, text_column
from lightning_modules.base import HasMaps, ImageData
from lightning_modules.tasks.compared_models import (
    decisions,
    last_shares,
    named_models,
    shares_of_levels,
    training_of,
)
from lightning_modules.tasks.held_out import held_out, some_numbers
from lightning_modules.tasks.tables import write_lines
from metrics.localization import correlation

Panel = tuple[str, Image.Image]
CORRUPTED_BY = "imagecorruptions-imaug"  # the package that datamodules.corruptions computes with


def column(title: str, images: Tensor) -> Panel:
    """Images [B, C, H, W] below each other."""
    return title, image_grid(images, num_columns=1, scale=pixel_scale(images.shape[2]))


def labelled_rows(numbers: Tensor, labels: Tensor, named: Mapping[str, Tensor], *, height: int) -> Panel:
    """Number, true class and the class that each model names, beside the rows of images ``height`` pixels high."""
    texts = [
        "\n".join([f"no. {number}", f"class {label}", *(f"{name}: {classes[row]}" for name, classes in named.items())])
        for row, (number, label) in enumerate(zip(numbers.tolist(), labels.tolist(), strict=True))
    ]
    return "", text_column(texts, row_height=height * pixel_scale(height))


def maps(
    method: HasMaps,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    count: int = 8,
    opacity: float = 1.0,
) -> list[Path]:
    """A row a test image: its class and the one named, the image, the map of each level (Fig. 5.3 of the dissertation).

    ``opacity`` 1 shows the maps alone, less shows the images through them.
    """
    numbers = some_numbers(datamodule, count, seed=seed)
    images, labels = held_out(datamodule, numbers)
    named = decisions(method, images)
    panels = [labelled_rows(numbers, labels, {"named": named}, height=images.shape[2]), column("image", images)]
    for level, shares in enumerate(shares_of_levels(method, images, named), start=1):
        panels.append(column(f"level {level}", overlay(images, shares, opacity=opacity)))
    return [save_picture(side_by_side(panels), output, "maps.png")]


def maps_compared(
    method: HasMaps,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    baselines: list[HasMaps],
    count: int = 8,
    opacity: float = 1.0,
) -> list[Path]:
    """The last level's map beside those of other checkpoints, each of the class that its model names (Fig. 5.2)."""
    models = named_models(method, baselines)
    numbers = some_numbers(datamodule, count, seed=seed)
    images, labels = held_out(datamodule, numbers)
    named = {name: decisions(model, images) for name, model in models.items()}
    shares = {name: last_shares(model, images, named[name]) for name, model in models.items()}
    panels = [labelled_rows(numbers, labels, named, height=images.shape[2]), column("image", images)]
    panels += columns_of_maps(models, images, shares, opacity=opacity)
    return [save_picture(side_by_side(panels), output, "maps_compared.png")]


def columns_of_maps(
    models: Mapping[str, HasMaps], images: Tensor, shares: Mapping[str, Tensor], *, opacity: float
) -> list[Panel]:
    """Each model's maps [B, H, W] over the images."""
    return [
        column(f"{name}: {model.kind_of_map}", overlay(images, shares[name], opacity=opacity))
        for name, model in models.items()
    ]


def maps_corrupted(
    method: HasMaps,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    baselines: list[HasMaps] | None = None,
    corruptions: list[str] | None = None,
    severity: int = 3,
    count: int = 8,
    opacity: float = 1.0,
) -> list[Path]:
    """Maps of test images, clean and under ``corruptions`` (defocus_blur and fog), and how alike they stay (Fig. 5.4).

    The table holds the accuracy on these images and the mean correlation of a map with that of the clean image, over
    the images neither of whose maps is flat.
    """
    models = named_models(method, baselines)
    numbers = some_numbers(datamodule, count, seed=seed)
    clean, labels = held_out(datamodule, numbers)
    shown = {"clean": clean}
    for corruption in ["defocus_blur", "fog"] if corruptions is None else corruptions:
        made = datamodule.corrupted("test", numbers, corruption=corruption, severity=severity, seed=seed)
        shown[f"{corruption} {severity}, regenerated"] = from_uint8(made)
    sheets: list[Panel] = []
    rows: list[dict[str, Any]] = []
    maps_of_clean: dict[str, Tensor] = {}
    for title, images in shown.items():
        named = {name: decisions(model, images) for name, model in models.items()}
        shares = {name: last_shares(model, images, named[name]) for name, model in models.items()}
        maps_of_clean = maps_of_clean or shares
        panels = [labelled_rows(numbers, labels, named, height=images.shape[2]), column(title, images)]
        panels += columns_of_maps(models, images, shares, opacity=opacity)
        sheets.append(("", side_by_side(panels)))
        facts: dict[str, Any] = {"num_images": len(numbers), "seed": seed}
        facts["corrupted_by"] = None if title == "clean" else f"{CORRUPTED_BY} {version(CORRUPTED_BY)}"
        for name, model in models.items():
            of_model = {"images": title, "model": name, **training_of(model), "map": model.kind_of_map}
            right = (named[name] == labels).float()
            rows.append(of_model | steadiness(right, maps_of_clean[name], shares[name]) | facts)
    written = [save_picture(side_by_side(sheets), output, "maps_corrupted_regenerated.png")]
    return [*written, write_lines(rows, output / "maps_corrupted_regenerated.jsonl")]


def steadiness(right: Tensor, of_clean: Tensor, shares: Tensor) -> dict[str, Any]:
    """The accuracy of decisions [B], 1 where right, and the correlation of maps [B, H, W] with those of the clean images."""
    alike = correlation(of_clean, shares)
    alike = alike[alike.isfinite()]
    return {
        "accuracy": float(right.mean()),
        "correlation_with_clean": float(alike.mean()) if len(alike) else None,
        "correlated_images": len(alike),
    }
