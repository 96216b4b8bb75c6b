"""Does a critic see shape? Its scores of held-out images, and of the same ones cut in four and put together otherwise."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc

from generative.precision import full_precision
from generative.rendering.images import image_grid, pixel_scale, save_picture, side_by_side
from generative.rendering.patches import other_orders, shuffle_patches
from lightning_modules.base import HasCritic, ImageData
from lightning_modules.tasks.held_out import held_out, some_numbers
from lightning_modules.tasks.tables import write_lines
from metrics.intervals import half_width

SIDE = 2  # patches a side: their 23 other orders are all measured
BATCH = 128
SHOWN = 8


@torch.no_grad()
def scores(method: HasCritic, images: Tensor, labels: Tensor) -> Tensor:
    """The critic's logits [N] on the CPU, of several an image their mean.

    What is needed to fill its last group of images is taken from the first ones.
    """
    group = max(1, int(getattr(method.critic, "group_size", 1)))
    filled = torch.arange(math.ceil(len(images) / group) * group) % len(images)
    found = []
    for some in filled.split(BATCH // group * group or group):
        asked = labels[some].to(method.device) if method.num_classes > 0 else None
        logits = method.critic(images[some].to(method.device), asked).float().cpu()
        found.append(logits.view(len(some), -1).mean(dim=1))
    return torch.cat(found)[: len(images)]


def auroc(whole: Tensor, moved: Tensor) -> float:
    """The chance that a whole image [N] scores above a moved one [M], ties counted half."""
    values = torch.cat([whole, moved])
    # Ranks, since torchmetrics takes what lies outside [0, 1] for logits, whose sigmoid may tie.
    ranks = values.unique(return_inverse=True)[1].double() / len(values)
    truth = torch.cat([torch.ones(len(whole), dtype=torch.long), torch.zeros(len(moved), dtype=torch.long)])
    return float(binary_auroc(ranks, truth))


def separated(whole: Tensor, moved: Tensor) -> dict[str, float | None]:
    """How far scores of images [N] lie above those of their moved versions [K, N]."""
    below = ((moved < whole).double() + 0.5 * (moved == whole).double()).mean(dim=0)
    return {
        "auroc": auroc(whole, moved.flatten()),
        "pairs": float(below.mean()),
        "pairs_95": half_width(below) if len(below) > 1 else None,
    }


def check_same_data(model: HasCritic, method: HasCritic) -> None:
    """ValueError where the critic of ``model`` does not take the images and classes of ``method``."""
    if model.image_shape != method.image_shape or model.num_classes not in (0, method.num_classes):
        raise ValueError(
            f"a baseline takes images {model.image_shape} of {model.num_classes} classes, and the checkpoint "
            f"{method.image_shape} of {method.num_classes}: compare models of the same data"
        )


def identity_of(model: HasCritic) -> dict[str, Any]:
    """What tells the critic of a run from that of another."""
    return {
        "experiment": model.run_config.get("experiment_name"),
        "critic": type(model.critic).__name__,
        "train_seed": model.seed,
        "images_seen": model.images_seen,
    }


def separation(
    method: HasCritic,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    baselines: list[HasCritic] | None = None,
    count: int | None = None,
) -> list[Path]:
    """How well critics tell ``count`` test images (null: all) from the same with their four parts in the 23 other orders.

    ``auroc``: over all of both, 0.5 for a critic that does not see it. ``pairs``: the share of an image's moved versions
    that score below the image itself, its mean over images with a normal 95 % interval. Seams betray moved parts too, so
    compare critics with each other.
    """
    numbers = some_numbers(datamodule, count, seed=seed)
    images, labels = held_out(datamodule, numbers)
    versions = [shuffle_patches(images, order.expand(len(images), -1)) for order in other_orders(SIDE)]
    facts = {"num_images": len(images), "orders": len(versions), "data": datamodule.name, "seed": seed}
    lines = []
    for model in [method, *(baselines or [])]:
        check_same_data(model, method)
        with full_precision(model.device.type):
            whole = scores(model, images, labels)
            moved = torch.stack([scores(model, version, labels) for version in versions])
        lines.append(identity_of(model) | separated(whole, moved) | facts)
    path = write_lines(lines, output / "separation.jsonl")
    scale = pixel_scale(images.shape[2])
    panels = [("whole", images[:SHOWN]), *((f"order {i + 1}", versions[i][:SHOWN]) for i in (0, 7, 15, 22))]
    sheet = side_by_side([(title, image_grid(some, num_columns=1, scale=scale)) for title, some in panels])
    return [path, save_picture(sheet, output, "separation.png")]
