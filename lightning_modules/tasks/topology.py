"""Do generated shapes hang together as real ones do? Pieces and holes of each class: an 8 has two holes, a 1 has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from generative.rendering.images import as_floats, image_grid, pixel_scale, save_picture, side_by_side
from lightning_modules.base import Draws, ImageData
from lightning_modules.tasks.tables import write_lines
from metrics.topology import distance_and_floor, pieces_and_holes, shapes

# Of -0.4 to 0.2 on the training digits (8 x 8 pixels, ink is bright): the most classes have the holes of their name.
THRESHOLD = -0.2
SPLITS = 50  # random halves of the real images
SHOWN = 10  # images of each class
BATCH = 256


def topology(
    method: Draws,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    threshold: float = THRESHOLD,
    enlarge: int = 4,
) -> list[Path]:
    """Pieces and holes of generated and real images of each class, which are shapes brighter than ``threshold``.

    ``distance``: total variation between the shares of (pieces, holes) of as many generated as real images, half of the
    training split's of that class; ``floor``: the same between two halves of the real ones. Images are read between
    their pixels, ``enlarge`` times as large.
    """
    if method.num_classes == 0:
        raise ValueError("pieces and holes are counted class by class, and this model is unconditional")
    if enlarge < 1:
        raise ValueError(f"enlarge must be at least 1, got {enlarge}")
    stored, labels = datamodule.split("train")
    real = shapes(as_floats(stored), threshold=threshold, enlarge=enlarge)
    lines, shown = [], []
    for number in range(method.num_classes):
        real_of_class = real[labels == number]
        images = images_of_class(method, number, len(real_of_class), seed=seed)
        generated = shapes(images, threshold=threshold, enlarge=enlarge)
        lines.append(
            {"class": number} | compare_counts(pieces_and_holes(generated), pieces_and_holes(real_of_class), seed=seed)
        )
        shown.append([some[:SHOWN] for some in (real_of_class, generated)])
    facts = {
        "experiment": method.run_config.get("experiment_name"),
        "train_seed": method.seed,
        "images_seen": method.images_seen,
        "threshold": threshold,
        "enlarge": enlarge,
        "splits": SPLITS,
        "seed": seed,
    }
    mean = {key: sum(line[key] for line in lines) / len(lines) for key in ("distance", "floor")}
    lines.append({"class": "mean", **mean})
    written = write_lines([line | facts for line in lines], output / "topology.jsonl")
    table = output / "topology.md"
    table.write_text(topology_table(lines))
    return [written, table, save_picture(topology_picture(shown), output, "topology.png")]


@torch.no_grad()
def images_of_class(method: Draws, number: int, count: int, *, seed: int) -> Tensor:
    """``count`` images of class ``number`` on the CPU, each of a latent of its own: [count, C, H, W]."""
    found = []
    for start in range(0, count, BATCH):
        labels = torch.full((min(BATCH, count - start),), number)
        found.append(method.sample(number * count + start, len(labels), seed=seed, labels=labels).cpu())
    return torch.cat(found)


def compare_counts(generated: Tensor, real: Tensor, *, seed: int) -> dict[str, Any]:
    """What two counts [N, 2] and [M, 2] of one class say: means, the commonest real pair and its shares, distance, floor."""
    rows, times = real.unique(dim=0, return_counts=True)
    commonest = rows[times.argmax()]
    distance, floor = distance_and_floor(generated, real, splits=SPLITS, seed=seed)
    found: dict[str, Any] = {"commonest": commonest.tolist()}
    for name, counts in (("real", real), ("generated", generated)):
        pieces, holes = counts.double().mean(dim=0).tolist()
        share = float((counts == commonest).all(dim=1).double().mean())
        found |= {
            f"{name}_pieces": pieces,
            f"{name}_holes": holes,
            f"{name}_commonest": share,
            f"{name}_images": len(counts),
        }
    return found | {"distance": distance, "floor": floor}


def topology_table(lines: list[dict[str, Any]]) -> str:
    """In Markdown: a row a class, and the mean, which is the last of ``lines``."""
    *classes, mean = lines
    table = [
        "| class | commonest: pieces, holes | its share, real | generated | mean pieces, real | generated "
        "| mean holes, real | generated | distance | floor |",
        "|" + "---|" * 10,
    ]
    for line in classes:
        numbers = [
            f"{line[f'{name}_{what}']:.2f}"
            for what in ("commonest", "pieces", "holes")
            for name in ("real", "generated")
        ]
        pair = ", ".join(map(str, line["commonest"]))
        table.append(
            f"| {line['class']} | {pair} | {' | '.join(numbers)} | {line['distance']:.3f} | {line['floor']:.3f} |"
        )
    table.append(f"| mean | {'| ' * 6}| {mean['distance']:.3f} | {mean['floor']:.3f} |")
    return "\n".join(table) + "\n"


def topology_picture(shown: list[list[Tensor]]) -> Image.Image:
    """A row a class: real and generated shapes as they are counted, white on black."""
    panels = []
    for title, groups in zip(("real", "generated"), zip(*shown, strict=True), strict=True):
        columns = max(len(group) for group in groups)
        rows = [torch.cat([group, group.new_zeros(columns - len(group), *group.shape[1:])]) for group in groups]
        images = torch.cat(rows)[:, None].float() * 2 - 1
        panels.append((title, image_grid(images, num_columns=columns, scale=pixel_scale(images.shape[2]))))
    return side_by_side(panels)
