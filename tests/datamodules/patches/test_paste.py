"""A pasted defect on a ground that is else left as it is, and the ground that fits."""

from __future__ import annotations

import pytest
import torch

from datamodules.patches.paste import COPIED, RIM, box_of, grown, pasted
from datamodules.patches.windows import Windows

SIDE = 24


def windows(images: torch.Tensor, label: int, masks: torch.Tensor | None = None) -> Windows:
    count = len(images)
    boxes = torch.zeros(count, 4) if masks is None else box_of(masks)
    labels, origins = torch.full((count,), label), torch.arange(count)
    return Windows(images, labels, origins, boxes, torch.ones(count, dtype=torch.int64), None, masks)


@pytest.fixture
def defects() -> Windows:
    """Two dark crosses on levels 100 and 200."""
    images = torch.full((2, 1, SIDE, SIDE), 100, dtype=torch.uint8)
    images[1] = 200
    masks = torch.zeros(2, SIDE, SIDE, dtype=torch.uint8)
    masks[:, 10:14, 11:13] = 1
    images[masks[:, None] > 0] = 7
    return windows(images, 0, masks)


@pytest.fixture
def clean() -> Windows:
    """Plain grounds of all levels."""
    return windows(torch.arange(0, 250, 5, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, SIDE, SIDE), 1)


@pytest.mark.parametrize("how", ["anywhere", "matched"])
def test_the_ground_is_left_alone(defects: Windows, clean: Windows, how: str) -> None:
    made = pasted(defects, clean, 40, how=how, seed=0)
    assert made.twins is not None
    assert made.masks is not None
    copied = grown(made.masks > 0, COPIED)[:, None]
    outside = ~copied.expand_as(made.images)
    assert torch.equal(made.images[outside], made.twins[outside])
    assert (made.images[(made.masks > 0)[:, None]] == 7).all()
    assert not made.real.any()
    assert torch.equal(made.boxes, box_of(made.masks))
    again = pasted(defects, clean, 60, how=how, seed=0)
    assert torch.equal(again.images[:40], made.images), "window number k is a function of (seed, k)"


def test_matched_takes_the_ground_that_fits_the_rim(defects: Windows, clean: Windows) -> None:
    made = pasted(defects, clean, 40, how="matched", seed=0)
    rim = grown(made.masks > 0, COPIED + RIM) & ~grown(made.masks > 0, COPIED)  # type: ignore[operator]
    inside = grown(made.masks > 0, COPIED) & (made.masks == 0)  # type: ignore[operator]
    misfits = [
        abs(float(image[0][own].float().mean()) - float(image[0][around].float().mean()))
        for image, own, around in zip(made.images, inside, rim, strict=True)
    ]
    assert max(misfits) <= 10
    anywhere = pasted(defects, clean, 40, how="anywhere", seed=0)
    assert anywhere.twins is not None
    assert anywhere.twins.float().std() > 40


def test_bad_input(defects: Windows, clean: Windows) -> None:
    with pytest.raises(ValueError, match="paste"):
        pasted(defects, clean, 4, how="somewhere", seed=0)
