"""The experiments of Tables 5.2 to 5.7: the rows that their headers name build, at the sizes that the tables count."""

from __future__ import annotations

import re

import pytest
import torch

from launch.build import build
from launch.compose import CONFIGS, check_overrides, compose, group_options, plain
from lightning_modules.classification import Classification


def rows_of(experiment: str) -> list[list[str]]:
    """The overrides of each further row in an experiment's header."""
    text = (CONFIGS / "experiment" / f"{experiment}.yaml").read_text()
    return [found.split() for found in re.findall(r"^#   .*: ((?:[\w.]+=\S+ ?)+)$", text, re.MULTILINE)]


EXPERIMENTS = [name for name in group_options("experiment") if name.startswith(("dgm/", "classifier/"))]
ROWS = [(name, overrides) for name in EXPERIMENTS for overrides in rows_of(name)]


def built(experiment: str, overrides: list[str]) -> Classification:
    with torch.device("meta"):
        _, method = build(plain(compose("train", [f"experiment={experiment}", "run_dir=nowhere", *overrides])))
    assert isinstance(method, Classification)
    return method


@pytest.mark.parametrize(("experiment", "overrides"), ROWS, ids=[" ".join((name, *row)) for name, row in ROWS])
def test_rows_of_the_headers_build(experiment: str, overrides: list[str]) -> None:
    check_overrides("train", [f"experiment={experiment}", *overrides])
    assert built(experiment, overrides).num_classes in (10, 100, 1000)


def test_every_table_has_its_rows() -> None:
    assert len(ROWS) == 23


@pytest.mark.parametrize(
    ("experiment", "overrides", "expected"),
    [
        # The tables count 2 x 32 x 32 fixed numbers a level beside the parameters: 8,192 for four levels.
        ("dgm/cifar100_resnet18", [], 11_614_070 - 8_192),
        ("dgm/cifar100_resnet18", ["method.backbone.blocks=[3,4,6,3]"], 21_059_446 - 8_192),
        ("dgm/cifar10_mobilenet", ["datamodule=cifar100"], 4_503_414 - 8_192),
        ("dgm/imagenet_resnet18", [], 11_875_322 - 8_192),
        ("dgm/imagenet_mobilenet", [], 4_764_666 - 8_192),
        ("dgm/imagenet_resnet50", [], 22_709_242 - 8_192),
        ("classifier/cifar10_resnet18", [], 11_173_962),
        ("classifier/imagenet_resnet50", [], 25_557_032),
    ],
)
def test_sizes_of_the_tables(experiment: str, overrides: list[str], expected: int) -> None:
    method = built(experiment, overrides)
    assert sum(parameter.numel() for parameter in method.network.parameters()) == expected


@pytest.mark.parametrize("experiment", ["dgm/finetune_cifar10", "dgm/finetune_cifar100"])
def test_fine_tuning_moves_the_smaller_part(experiment: str) -> None:
    parameters = list(built(experiment, []).network.parameters())
    moving = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    assert 0.1 < moving / sum(parameter.numel() for parameter in parameters) < 0.2
