"""Patches of a set with boxes: known, pasted and drawn ones, and what is refused."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from datamodules.deeppcb import DeepPCB
from datamodules.defect_patches import DefectPatches
from datamodules.digits import Digits
from datamodules.synthesis.drawing import Drawing, Plan
from datamodules.synthesis.fitting import fit
from datamodules.synthesis.reading import choose, clean_images, read_examples
from datamodules.synthesis.recipe import read_recipe
from generative.rendering.images import from_uint8
from tests.support.defects import KINDS, SIDE

CLEAN = len(KINDS)


@pytest.fixture(scope="module")
def drawn(boards_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures that the synthesiser draws from three of each class."""
    root = tmp_path_factory.mktemp("drawn")
    examples = read_examples(boards_folder)
    fit(examples, choose(examples, num_real=3, seed=0), num_real=3, seed=0, families={}).write(root / "recipe.yaml")
    plan = Plan(6, 0, (4, 8))
    drawing = Drawing(
        root / "recipe.yaml", read_recipe(root / "recipe.yaml"), clean_images(boards_folder), plan, root / "set"
    )
    drawing.start()
    for number in drawing.missing():
        drawing.draw(number)
    counts = drawing.finish()
    assert set(counts) == set(KINDS)
    return root / "set"


def patches(boards_folder: Path, **given: Any) -> DefectPatches:
    source = partial(DeepPCB, data_dir=str(boards_folder), resolution=SIDE)
    return DefectPatches(source=source, **{"size": 32, "batch_size": 24, "seed": 0, "num_real": 3, **given})


def batch_of(data: DefectPatches) -> dict[str, torch.Tensor]:
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        global_rank=0, world_size=1, lightning_module=SimpleNamespace(images_seen=0)
    )
    return next(iter(data.train_dataloader()))


def test_known_defects_and_faultless_ones(boards_folder: Path) -> None:
    data = patches(boards_folder)
    assert data.name == "deeppcb_patches"
    assert data.num_classes == CLEAN + 1
    labels = data.split("train")[1]
    assert labels.bincount().tolist() == [3] * CLEAN + [1400]
    tested = data.split("test")
    assert tested[1].bincount().tolist() == [2] * CLEAN + [8]
    assert tested[0].shape == (20, 1, 32, 32)
    batch = batch_of(data)
    assert batch["image"].shape == batch["template"].shape == (24, 1, 32, 32)
    assert batch["real"].all()
    defective = batch["label"] < CLEAN
    differs = (batch["image"] - batch["template"]).abs().amax(dim=(1, 2, 3)) > 1
    assert differs[defective].all(), "the defect is what the twin has not"


def test_pasted_ones_are_half(boards_folder: Path) -> None:
    batch = batch_of(patches(boards_folder, paste="matched"))
    defective = batch["label"] < CLEAN
    assert 0.3 < (batch["real"][defective] == 0).float().mean() < 0.6
    assert batch["real"][~defective].all()


def test_drawn_ones_bring_their_names_and_twins(boards_folder: Path, drawn: Path) -> None:
    data = patches(boards_folder, synthetic=str(drawn), synthetic_share=1.0)
    windows = data.training
    made = windows.real == 0
    assert made.sum() == len(json.loads((drawn / "train.json").read_text())["annotations"]) > 20, "none is held out"
    assert set(windows.labels[made].tolist()) == set(range(CLEAN))
    assert windows.twins is not None
    middle = slice(12, -12)
    images, twins = (from_uint8(part[made])[:, :, middle, middle] for part in (windows.images, windows.twins))
    dark = (images - twins).flatten(1).amin(dim=1) < -1
    bright = (images - twins).flatten(1).amax(dim=1) > 1
    adds_dark = torch.tensor([KINDS[label] in ("short", "spur", "copper") for label in windows.labels[made].tolist()])
    assert dark[adds_dark].float().mean() > 0.9
    assert bright[~adds_dark].float().mean() > 0.9
    batch = batch_of(data)
    assert not batch["real"][batch["label"] < CLEAN].any()


def test_the_seed_of_the_subset_is_not_that_of_the_run(boards_folder: Path) -> None:
    first, same, other = (
        patches(boards_folder, seed=seed, subset_seed=subset).training.images[: 3 * CLEAN]
        for seed, subset in ((0, 1), (5, 1), (0, 2))
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_real": 9}, "num_real=9 is more than the 8 training defects of 'open': give num_real=8 or fewer"),
        ({"num_real": 0}, "num_real must be at least 1, got 0"),
        ({"size": 30}, "size must be a multiple of 8, got 30"),
        ({"clean_share": 1.0}, "clean_share must lie between 0 and 1, got 1.0"),
        ({"synthetic_share": 0.0}, "synthetic_share must be above 0 and at most 1, got 0.0"),
        ({"subset_seed": -1}, "subset_seed must be at least 0, got -1"),
        ({"augmentation": "mild"}, "augmentation is one of basic, strong, got 'mild'"),
        ({"paste": "inside"}, "paste is one of none, anywhere, matched, got 'inside'"),
        ({"paste": "matched", "synthetic": "x"}, "synthetic=x and paste=matched are two ways of making patches"),
        (
            {"synthetic": "nowhere"},
            "nowhere/train has no pictures: draw some by `python -m datamodules.synthesize draw`",
        ),
        ({"batch_size": 5}, "batch_size=5 has no room for a patch of each of 7 classes"),
    ],
)
def test_bad_input(boards_folder: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        batch_of(patches(boards_folder, **given))


def test_a_set_without_boxes_is_refused() -> None:
    with pytest.raises(ValueError, match="digits has no boxes: give a source with some, such as deeppcb or inspection"):
        DefectPatches(source=Digits, size=32, batch_size=24, seed=0)


def test_order_is_that_of_the_composition(boards_folder: Path) -> None:
    data = patches(boards_folder)
    order = data.order()
    assert order is not None
    assert np.array_equal(batch_of(data)["index"], order(np.arange(24)))
