"""Patches of a set with boxes: known, pasted and drawn ones, and what is refused."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from datamodules.deeppcb import DeepPCB
from datamodules.defect_patches import DefectPatches, boxed_set
from datamodules.digits import Digits
from datamodules.inspection import Inspection
from datamodules.patches.twins import registered
from datamodules.patches.windows import BoxedSet
from datamodules.synthesis.drawing import Drawing, Plan
from datamodules.synthesis.fitting import fit
from datamodules.synthesis.reading import choose, clean_images, read_examples
from datamodules.synthesis.recipe import read_recipe
from generative.rendering.images import from_uint8
from tests.support.defects import KINDS, SIDE, write_parts

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
        ({"masks": "drawn"}, "masks is one of given, changed, got 'drawn'"),
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


def test_masks_of_what_changed_cover_it(boards_folder: Path) -> None:
    """Turned and shifted with the picture: beside the mask picture and twin are alike, but for noise of the JPEG files."""
    assert "mask" not in batch_of(patches(boards_folder)), "this set has none of its own"
    data = patches(boards_folder, masks="changed")
    assert data.target_classes == ("faultless", "defect")
    batch = batch_of(data)
    mask, differs = batch["mask"].bool(), (batch["image"] - batch["template"]).abs()[:, 0] > 1
    defective = batch["label"] < CLEAN
    assert batch["mask"].dtype == torch.uint8
    assert mask.shape == (24, 32, 32)
    assert mask[defective].flatten(1).any(dim=1).all()
    assert not mask[~defective].any()
    assert (differs & ~mask)[defective].float().mean() < 0.01
    assert (differs & mask)[defective].sum() > 0.8 * mask[defective].sum()


def test_masks_of_a_set_are_shown(tmp_path: Path) -> None:
    write_parts(tmp_path, twins=True)
    source = partial(Inspection, data_dir=str(tmp_path), classes=["fibre", "excess epoxy"], resolution=SIDE)
    batch = batch_of(DefectPatches(source=source, size=64, batch_size=12, seed=0))
    mask, differs = batch["mask"].bool(), (batch["image"] - batch["template"]).abs().amax(dim=1) > 0.3
    defective = batch["label"] < 2
    assert not mask[~defective].any()
    assert (differs & mask)[defective].sum() > 0.9 * mask[defective].sum()
    assert mask[defective].float().mean() > 0.02


def test_twins_are_registered_and_those_that_do_not_fit_leave_with_their_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_parts(tmp_path, twins=True)
    for number, file in enumerate(sorted((tmp_path / "clean").glob("*.png"))):
        pixels = cv2.imread(str(file))
        shift = np.float32([[1, 0, 20 if number == 0 else 2.5], [0, 1, -1.5]])
        cv2.imwrite(str(file), cv2.warpAffine(pixels, shift, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE))
    source = partial(Inspection, data_dir=str(tmp_path), classes=["fibre", "excess epoxy"], resolution=SIDE)
    given = boxed_set(source(batch_size=1, seed=0), "train")
    moved = registered(given)
    assert given.twins is not None
    assert moved.twins is not None
    assert (len(given.images), len(moved.images), len(moved.boxes)) == (12, 11, 11)
    assert "1 of 12 images are left out, the first since the twin" in capsys.readouterr().err

    def away(boxed: BoxedSet) -> float:
        assert boxed.twins is not None
        assert boxed.masks is not None
        differences = (
            (boxed.images[torch.arange(1, 11)].float() - boxed.twins[torch.arange(1, 11)].float()).abs().mean(dim=1)
        )
        return float(differences[boxed.masks[torch.arange(1, 11)] == 0].mean())

    assert away(moved) < 0.7 * away(given)
