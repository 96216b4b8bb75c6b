"""Pairs for a refiner: the rendering lies where the real defect lies, on the twin, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from datamodules.refinement_pairs import RefinementPairs
from generative.rendering.images import from_uint8
from tests.support.defects import KINDS, write_boards, write_parts

BOARDS = list(KINDS)
PARTS = ["excess epoxy", "fibre"]


def pairs(folder: Path, **given: Any) -> RefinementPairs:
    return RefinementPairs(
        **{"data_dir": str(folder), "size": 64, "num_real": 3, "num_test": 2, "batch_size": 12, "seed": 0, **given}
    )


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    write_parts(folder, twins=True)
    return folder


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boards")
    write_boards(folder)
    return folder


def off(data: RefinementPairs) -> tuple[float, float, float]:
    """Mean levels between real and blended in the masks and beside them, and between the real one and its ground in the masks."""
    images, targets = data.split("train")[0].float(), data.targets("train")
    blended, mask = targets["template"][:].float(), targets["mask"][:].bool()
    apart = (images - blended).abs().mean(dim=1)
    rim = torch.nn.functional.max_pool2d(mask[:, None].float(), 9, 1, 4)[:, 0] > 0
    ground = torch.stack([image[:, ~near].median(dim=1).values for image, near in zip(images, rim, strict=True)])
    contrast = (images - ground[:, :, None, None]).abs().mean(dim=1)
    return float(apart[mask].mean()), float(apart[~rim].mean()), float(contrast[mask].mean())


def test_fibres_and_blots_are_drawn_again_in_colour(parts: Path) -> None:
    data = pairs(parts, classes=PARTS, channels=3)
    assert data.num_classes == 2
    assert data.split("train")[1].bincount().tolist() == [3, 3]
    assert data.split("test")[1].bincount().tolist() == [2, 2]
    within, beside, contrast = off(data)
    assert within < 0.35 * contrast, "a rendering at the place of the real one, in its colour"
    assert beside < 4, "noise and shadow, and nothing else"


def test_boards_of_two_levels(boards: Path) -> None:
    data = pairs(boards, classes=BOARDS)
    assert data.image_shape == (1, 64, 64)
    images, targets = data.split("train")[0].float(), data.targets("train")
    mask = targets["mask"][:].bool()
    apart = (images - targets["template"][:].float()).abs()[:, 0]
    inner = ~torch.nn.functional.max_pool2d((~mask)[:, None].float(), 3, 1, 1)[:, 0].bool()
    assert apart[inner].mean() < 60
    assert apart[~mask].mean() < 6
    template = targets["template"][:]
    for (
        level
    ) in template.unique().tolist():  # as `draw` has it: no grey rims, which a refiner would only learn to sharpen
        assert min(abs(level - flat) for flat in images.unique().tolist()) <= 1, level
    assert mask.flatten(1).any(dim=1).all()


def test_batches_turn_all_three_alike(parts: Path) -> None:
    data = pairs(parts, classes=PARTS, channels=3, light=0.0)
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        global_rank=0, world_size=1, lightning_module=SimpleNamespace(images_seen=0)
    )
    batch = next(iter(data.train_dataloader()))
    rows = {"image": data.split("train")[0], **data.targets("train")}
    for place, number in enumerate(batch["index"].tolist()):
        stacked, shown = (
            torch.cat([from_uint8(image), from_uint8(template), mask[None].float()])
            if image.dtype == torch.uint8
            else torch.cat([image, template, mask[None].float()])
            for image, template, mask in (
                (rows["image"][number], rows["template"][number], rows["mask"][number]),
                (batch["image"][place], batch["template"][place], batch["mask"][place]),
            )
        )
        turns = [torch.rot90(part, k, (1, 2)) for part in (stacked, stacked.flip(2)) for k in range(4)]
        assert sum(torch.equal(shown, turn) for turn in turns) == 1
    lit = pairs(parts, classes=PARTS, channels=3)
    lit.trainer = data.trainer
    other = next(iter(lit.train_dataloader()))
    assert torch.equal(other["mask"], batch["mask"])
    assert not torch.equal(other["image"], batch["image"])


def test_fewer_are_among_more(parts: Path) -> None:
    few, more = (pairs(parts, classes=PARTS, channels=3, num_real=n).split("train")[0] for n in (2, 4))
    rows = {image.numpy().tobytes() for image in more}
    assert all(image.numpy().tobytes() in rows for image in few)


def test_sets_without_twins_have_their_holes_filled(tmp_path: Path) -> None:
    write_parts(tmp_path)
    within, beside, contrast = off(pairs(tmp_path, classes=PARTS, channels=3))
    assert within < 0.35 * contrast
    assert beside < 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"classes": ["fibre"]},
            r"has other classes than datamodule.classes: give 'datamodule.classes=\[\"excess epoxy\",fibre\]'",
        ),
        ({"channels": 1}, "have 3 channels: give datamodule.channels=3"),
        ({"num_real": 6}, "num_real=6 leaves no 'excess epoxy' to test on: give fewer"),
        ({"size": 20}, "size must be a multiple of 8, got 20"),
        ({"num_test": 0}, "num_real and num_test must be at least 1, got 3 and 0"),
        ({"alpha": 0.0}, "alpha must be above 0 and at most 1, got 0.0"),
        ({"light": 1.0}, "light must be at least 0 and below 1, got 1.0"),
    ],
)
def test_bad_input(parts: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pairs(parts, **{"classes": PARTS, "channels": 3, **given}).split("train")


def test_grounds_are_the_twins(parts: Path) -> None:
    """Beside the defect the blended picture is the faultless twin to the bit."""
    data = pairs(parts, classes=PARTS, channels=3)
    pair = next(pair for pair in data.pairs["train"] if pair.name == "excess epoxy")
    assert (pair.blended != pair.real).any()
    far = ~torch.nn.functional.max_pool2d(torch.from_numpy(pair.mask)[None].float(), 25, 1, 12)[0].bool().numpy()
    assert np.abs(pair.blended[far].astype(int) - pair.real[far]).max() < 30
