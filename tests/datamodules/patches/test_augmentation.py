"""Patches against turns and mirrors of numpy, and against the windows they come from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from datamodules.patches.augmentation import (
    DRAWS,
    PatchAugmentation,
    distorted,
    jitter,
    middle,
    moved,
    moved_masks,
    window_side,
)
from generative.randomness import Stream
from generative.rendering.images import from_uint8

SIZE = 16
NEUTRAL = 0.5  # no shift, no change of scale, shear, contrast or brightness, nothing hidden


@pytest.fixture
def windows() -> torch.Tensor:
    random = np.random.default_rng(0)
    return torch.from_numpy(random.integers(0, 256, (3, 2, window_side(SIZE), window_side(SIZE)), dtype=np.uint8))


def uniform(**given: float) -> torch.Tensor:
    row = torch.full((1, DRAWS), NEUTRAL)
    row[0, 2] = 0.0  # no quarter turn
    for place, value in given.items():
        row[0, int(place[1:])] = value
    return row


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_basic_patches_are_windows_turned_and_mirrored(windows: torch.Tensor, turns: int, mirrored: bool) -> None:
    found = moved(from_uint8(windows[:1]), uniform(_2=turns / 4, _3=0.2 if mirrored else 0.8), SIZE, strong=False)[0]
    inner = middle(from_uint8(windows[:1]), SIZE)[0]
    candidates = [torch.rot90(inner.flip(2) if mirrored else inner, k, (1, 2)) for k in range(4)]
    hits = [torch.equal(found, candidate) for candidate in candidates]
    assert sum(hits) == 1
    if not mirrored:
        assert hits[(-turns) % 4] or hits[turns]


def test_shifts_are_whole_pixels(windows: torch.Tensor) -> None:
    far = jitter(SIZE)
    found = moved(from_uint8(windows[:1]), uniform(_0=0.0, _1=0.999), SIZE, strong=False)[0]
    first = (window_side(SIZE) - SIZE) // 2
    expected = from_uint8(windows[0])[:, first + far : first + far + SIZE, first - far : first - far + SIZE]
    assert torch.equal(found, expected)


def test_strong_at_rest_is_the_middle(windows: torch.Tensor) -> None:
    values = from_uint8(windows[:1])
    scale = np.log(1 / 0.8) / np.log(1.25 / 0.8)  # of the range of scales, where it is 1
    found = moved(values, uniform(_4=0.0, _5=float(scale), _6=0.5), SIZE, strong=True)
    assert torch.allclose(found, middle(values, SIZE), atol=1e-4)
    assert torch.allclose(distorted(found, uniform()), found, atol=1e-6)


def test_lines_thicken_and_thin_and_borders_hide() -> None:
    line = torch.ones(1, 1, SIZE, SIZE)
    line[..., 7:10] = -1  # a dark line of three pixels
    widths = [int((distorted(line, uniform(_7=draw))[0, 0, 8] < 0).sum()) for draw in (0.0, 0.5, 0.99)]
    assert widths == [5, 3, 1]
    hidden = distorted(line, uniform(_8=0.1, _9=0.999, _10=0.3))[0, 0]
    assert (hidden[-3:] == hidden[-1, 0]).all(), "the lower border shows the mean"
    assert torch.equal(hidden[:-3], line[0, 0, :-3])


@pytest.mark.parametrize("strong", [False, True])
def test_a_patch_is_a_function_of_its_number_and_its_twin_moves_with_it(windows: torch.Tensor, strong: bool) -> None:
    augment = PatchAugmentation(0, SIZE, strong)
    rows = {"image": windows, "template": windows.clone(), "label": torch.arange(3)}
    whole = augment(rows, 40)
    assert whole["image"].shape == (3, 2, SIZE, SIZE)
    assert torch.equal(whole["image"], whole["template"])
    assert torch.equal(whole["label"], rows["label"])
    draws = Stream(0, "augment").uniform(40, 3, DRAWS)
    shown = moved(from_uint8(windows), draws, SIZE, strong=strong)
    assert torch.equal(whole["image"], distorted(shown, draws) if strong else shown)
    last = augment({name: values[2:] for name, values in rows.items()}, 42)
    assert torch.allclose(last["image"], whole["image"][2:], atol=1e-6)
    assert not torch.allclose(augment(rows, 41)["image"], whole["image"])


@pytest.mark.parametrize("strong", [False, True])
def test_masks_move_with_their_pictures(strong: bool) -> None:
    """A picture that is its own mask: every patch shows the two alike, but for what is between pixels."""
    side = window_side(SIZE)
    masks = torch.zeros(24, side, side, dtype=torch.uint8)
    masks[:, side // 2 - 2 : side // 2 + 5, side // 2 - 6 : side // 2 + 1] = 1
    rows = {"image": 255 * masks[:, None], "mask": masks, "label": torch.zeros(24)}
    uniform = Stream(3, "augment").uniform(0, 24, DRAWS)
    found = moved_masks(masks, uniform, SIZE, strong=strong)
    assert found.dtype == torch.uint8
    assert found.shape == (24, SIZE, SIZE)
    pictures = moved(from_uint8(rows["image"]), uniform, SIZE, strong=strong)[:, 0] > 0
    agreed = (pictures == found.bool()).flatten(1).float().mean(dim=1)
    assert agreed.min() > (0.95 if strong else 0.9999)
    assert found.flatten(1).float().mean(dim=1).min() > 0.05
    shown = PatchAugmentation(3, SIZE, strong)(rows, 0)
    assert torch.equal(shown["mask"], found)
    assert torch.equal(PatchAugmentation(3, SIZE, strong)({k: v[8:] for k, v in rows.items()}, 8)["mask"], found[8:])
