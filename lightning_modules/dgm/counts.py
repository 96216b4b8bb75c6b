"""Parameters as chapter 5 counts them, and what its tables print."""

from __future__ import annotations

from typing import Any

import torch

from lightning_modules.dgm.networks import DGM, Level

RESNET18, RESNET34 = [2, 2, 2, 2], [3, 4, 6, 3]  # blocks of each level
CIFAR = {"image_channels": 3, "num_classes": 100, "channels": 256}
IMAGENET = CIFAR | {"num_classes": 1000, "patch_size": 8}
# Row of a table, settings of the network, millions that the table prints
PRINTED: list[tuple[str, dict[str, Any], float]] = [
    ("5.1 Level-1", CIFAR | {"blocks": [2], "block": "pointwise"}, 0.44),
    ("5.1 Level-2", CIFAR | {"blocks": [2, 2], "block": "pointwise"}, 1.37),
    ("5.1 Level-3", CIFAR | {"blocks": [2, 2, 2], "block": "pointwise"}, 2.30),
    ("5.1 Level-4", CIFAR | {"blocks": RESNET18, "block": "pointwise"}, 3.23),
    ("5.1 Level-4 (w/o affine)", CIFAR | {"blocks": RESNET18, "block": "pointwise", "affine": False}, 2.03),
    ("5.2 ResNet-18 (w/o pooling)", CIFAR | {"blocks": RESNET18, "moments": False}, 9.62),
    ("5.2 DGM ResNet-18", CIFAR | {"blocks": RESNET18}, 11.61),
    ("5.2 ResNet-34 (w/o pooling)", CIFAR | {"blocks": RESNET34, "moments": False}, 18.94),
    ("5.2 DGM ResNet-34", CIFAR | {"blocks": RESNET34}, 21.06),
    ("5.3 ResNet-18 (w/o pooling)", IMAGENET | {"blocks": RESNET18, "moments": False}, 9.89),
    ("5.3 DGM ResNet-18", IMAGENET | {"blocks": RESNET18}, 11.88),
    ("5.3 ResNet-34 (w/o pooling)", IMAGENET | {"blocks": RESNET34, "moments": False}, 19.20),
    ("5.3 DGM ResNet-34", IMAGENET | {"blocks": RESNET34}, 21.32),
    ("5.4 DGM MobileNet", CIFAR | {"blocks": RESNET34, "block": "separable"}, 4.50),
    ("5.5 DGM MobileNet", IMAGENET | {"blocks": RESNET34, "block": "separable"}, 4.76),
    ("5.5 DGM ResNet-50", IMAGENET | {"blocks": RESNET34, "block": "bottleneck", "channels": 512}, 23.51),
]


def published_count(network: DGM, *, grid_size: int = 32) -> int:
    """Parameters, and the 2 N^2 numbers of the grid that each level which moves one of its own keeps and never changes.

    The released code keeps one grid for all levels.
    """
    grids = 0
    if network.bases is not None:
        movers = [level for level in network.levels if isinstance(level, Level) and level.affine is not None]
        grids = 1 if network.variant == "released" else 1 + len(movers)
    return sum(parameter.numel() for parameter in network.parameters()) + grids * 2 * grid_size**2


def count_row(settings: dict[str, Any]) -> int:
    with torch.device("meta"):
        return published_count(DGM(**settings))


def agrees(count: int, printed: float) -> bool:
    return round(count / 1e6, 2) == printed
