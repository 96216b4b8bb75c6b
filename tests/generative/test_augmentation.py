"""Augmentation against torchvision's own, image by image."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2
from torchvision.tv_tensors import BoundingBoxes

from generative.augmentation import (
    DRAWS,
    SCALE_DRAWS,
    Cut,
    flip_and_crop,
    flip_and_crop_boxes,
    scale_flip_and_crop,
    turn_and_shift,
)
from generative.randomness import Stream
from generative.rendering.masks import NO_CLASS


def one_by_one(images: Tensor, uniform: Tensor, *, flip: bool, padding: int) -> Tensor:
    """torchvision's pad, crop and hflip with the same random numbers."""
    height, width = images.shape[2:]
    done = []
    for image, (row, column, mirrored) in zip(images, uniform.tolist(), strict=True):
        padded = TF.pad(image, [padding], fill=-1.0)
        cut = TF.crop(padded, int(row * (2 * padding + 1)), int(column * (2 * padding + 1)), height, width)
        done.append(TF.hflip(cut) if flip and mirrored < 0.5 else cut)
    return torch.stack(done)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("padding", [0, 1, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_torchvision(flip: bool, padding: int, channels: int) -> None:
    images = torch.rand(200, channels, 7, 9) * 2 - 1
    uniform = Stream(0, "augment").uniform(10, 200, DRAWS)
    ours = flip_and_crop(images, uniform, flip=flip, padding=padding)
    assert torch.equal(ours, one_by_one(images, uniform, flip=flip, padding=padding))


def test_the_corners_of_the_random_numbers() -> None:
    """The largest number below 1 is the last place, not one beyond it; 1/2 does not mirror."""
    image = torch.arange(9.0).view(1, 1, 3, 3)
    last = torch.tensor([[1 - 2.0**-24, 1 - 2.0**-24, 0.5]])
    for padding in (1, 4, 7, 100):
        cut = flip_and_crop(image, last, flip=True, padding=padding)
        assert torch.equal(cut, one_by_one(image, last, flip=True, padding=padding))
    middle = torch.tensor([[0.5, 0.5, 0.9]])
    assert torch.equal(flip_and_crop(image, middle, flip=True, padding=1), image)


def test_every_place_is_as_likely() -> None:
    uniform = Stream(1, "augment").uniform(0, 9000, DRAWS)
    image = torch.zeros(9000, 1, 3, 3)
    image[:, :, 1, 1] = 1
    where = flip_and_crop(image, uniform, flip=True, padding=1).flatten(1).argmax(dim=1)
    counts = torch.bincount(where, minlength=9)
    assert ((counts - 1000).abs() < 150).all(), counts


def test_parts_of_a_batch_are_the_batch() -> None:
    """Two ranks with half of the batch each show what one rank shows."""
    images = torch.randn(8, 1, 8, 8)
    whole = flip_and_crop(images, Stream(3, "augment").uniform(40, 8, DRAWS), flip=True, padding=2)
    parts = [
        flip_and_crop(images[i : i + 4], Stream(3, "augment").uniform(40 + i, 4, DRAWS), flip=True, padding=2)
        for i in (0, 4)
    ]
    assert torch.equal(whole, torch.cat(parts))


def test_refused() -> None:
    with pytest.raises(ValueError, match="padding must be at least 0, got -1"):
        flip_and_crop(torch.zeros(2, 1, 4, 4), torch.zeros(2, 3), flip=True, padding=-1)
    with pytest.raises(ValueError, match=r"2 images need random numbers \[2, 3\], got \[3, 3\]"):
        flip_and_crop(torch.zeros(2, 1, 4, 4), torch.zeros(3, 3), flip=True, padding=1)


@pytest.mark.parametrize("flip", [False, True])
def test_boxes_move_with_their_image(flip: bool) -> None:
    """torchvision's own, with the same random numbers."""
    height, width, padding = 9, 12, 3
    uniform = Stream(0, "augment").uniform(5, 50, DRAWS)
    corners = torch.randint(0, 9, (50, 4, 2), generator=torch.Generator().manual_seed(0)).float()
    boxes = torch.cat([corners, corners + torch.tensor([3.0, 1.0])], dim=2).clamp(max=9)
    labels = torch.arange(4).repeat(50, 1)
    labels[:, 3] = -1
    ours, ours_labels = flip_and_crop_boxes(boxes, labels, uniform, size=(height, width), flip=flip, padding=padding)
    for i, (row, column, mirrored) in enumerate(uniform.double().tolist()):
        theirs = BoundingBoxes(boxes[i], format="XYXY", canvas_size=(height, width))  # type: ignore[call-overload]
        theirs = v2.functional.pad(theirs, [padding])
        places = [int(place * (2 * padding + 1)) for place in (row, column)]
        theirs = v2.functional.crop(theirs, *places, height, width)
        theirs = v2.functional.horizontal_flip(theirs) if flip and mirrored < 0.5 else theirs
        is_left = (theirs[:, 2] > theirs[:, 0]) & (theirs[:, 3] > theirs[:, 1]) & (labels[i] >= 0)
        assert torch.equal(ours[i][is_left], theirs[is_left])
        assert torch.equal(ours_labels[i], torch.where(is_left, labels[i], -1))
    assert (ours_labels[:, :3] == -1).any(), "some leave the image"
    assert not ours[ours_labels == -1].any()


def pictures(count: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 3, height, width), dtype=np.uint8)
    return torch.from_numpy(images), torch.from_numpy(images[:, 0] // 16)


def whole_then_cut(image: Tensor, mask: Tensor, draws: list[float], *, scales: list[float], side: int, flip: bool):  # type: ignore[no-untyped-def]
    """Pillow scales the whole image and its mask; torchvision pads, cuts and mirrors them."""
    height, width = (max(1, int(size * (scales[0] + draws[0] * (scales[1] - scales[0])) + 0.5)) for size in mask.shape)
    image = TF.pil_to_tensor(TF.to_pil_image(image).resize((width, height), Image.Resampling.BILINEAR))
    mask = torch.from_numpy(np.array(Image.fromarray(mask.numpy()).resize((width, height), Image.Resampling.NEAREST)))
    padding = [0, 0, max(0, side - width), max(0, side - height)]
    row, column = (
        int(draw * (max(0, size - side) + 1)) for draw, size in zip(draws[1:3], (height, width), strict=True)
    )
    image = TF.crop(TF.pad(image, padding), row, column, side, side)
    mask = TF.crop(TF.pad(mask[None], padding, fill=NO_CLASS), row, column, side, side)
    return tuple(TF.hflip(part) if flip and draws[3] < 0.5 else part for part in (image, mask))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("side", [9, 30, 70])
def test_scaled_cuts_equal_pillow_and_torchvision(side: int, flip: bool) -> None:
    """A cut that is scaled alone is the cut of the whole scaled image; images of several sizes in one batch."""
    images, masks = pictures(40, 37, 51)
    uniform = Stream(0, "augment").uniform(7, 40, SCALE_DRAWS)
    sizes = torch.tensor([[37, 51], [25, 51], [37, 29], [11, 13]]).repeat(10, 1)
    ours = scale_flip_and_crop(
        images, masks, uniform, sizes=sizes, scales=[0.4, 2.1], side=side, flip=flip, no_class=NO_CLASS
    )
    assert ours[0].shape == (40, 3, side, side)
    assert ours[0].dtype == ours[1].dtype == torch.uint8
    for i, ((height, width), draws) in enumerate(zip(sizes.tolist(), uniform.double().tolist(), strict=True)):
        theirs = whole_then_cut(
            images[i, :, :height, :width], masks[i, :height, :width], draws, scales=[0.4, 2.1], side=side, flip=flip
        )
        assert torch.equal(ours[1][i], theirs[1][0])
        # Pillow keeps the place of a cut in single precision, which decides ties of rounding.
        assert (ours[0][i].int() - theirs[0].int()).abs().max() <= 1


@pytest.mark.parametrize("mirrored", [False, True])
def test_scale_one_is_exact(mirrored: bool) -> None:
    images, masks = pictures(3, 20, 30)
    sizes = torch.tensor([[20, 30]]).repeat(3, 1)
    draws = torch.tensor([[0.7, 0.0, 0.0, 0.4 if mirrored else 0.5]]).repeat(3, 1)
    whole = scale_flip_and_crop(
        images, masks, draws, sizes=sizes, scales=[1.0, 1.0], side=30, flip=True, no_class=NO_CLASS
    )
    shown = [part.flip(-1) if mirrored else part for part in whole]
    assert torch.equal(shown[0][:, :, :20], images)
    assert torch.equal(shown[1][:, :20], masks)
    assert not shown[0][:, :, 20:].any()
    assert (shown[1][:, 20:] == NO_CLASS).all()
    last = torch.tensor([[0.0, 1 - 2.0**-24, 1 - 2.0**-24, 0.9]]).repeat(3, 1)
    corner, _ = scale_flip_and_crop(
        images, masks, last, sizes=sizes, scales=[1.0, 1.0], side=8, flip=True, no_class=NO_CLASS
    )
    assert torch.equal(corner, images[:, :, -8:, -8:]), "the largest number below 1 is the last place"


def test_the_nearest_pixel_is_that_of_torch() -> None:
    """Also in ties, which torch's single precision decides the same way at these sizes."""
    for size, scaled in itertools.product((1, 4, 8, 33), (1, 2, 8, 16, 31)):
        axis = torch.arange(float(size))[None, None]
        theirs = torch.nn.functional.interpolate(axis, size=scaled, mode="nearest-exact")[0, 0]
        assert Cut(size, scaled, 0, scaled).nearest().tolist() == theirs.tolist()


def test_parts_of_a_batch_are_scaled_as_the_batch() -> None:
    images, masks = pictures(8, 20, 20)
    settings = {"scales": [0.5, 2.0], "side": 16, "flip": True, "no_class": NO_CLASS}
    stream, sizes = Stream(3, "augment"), torch.full((8, 2), 20)
    whole = scale_flip_and_crop(images, masks, stream.uniform(40, 8, SCALE_DRAWS), sizes=sizes, **settings)
    for first in (0, 4):
        part = slice(first, first + 4)
        uniform = stream.uniform(40 + first, 4, SCALE_DRAWS)
        alone = scale_flip_and_crop(images[part], masks[part], uniform, sizes=sizes[part], **settings)
        assert all(torch.equal(a, b[part]) for a, b in zip(alone, whole, strict=True))
    with pytest.raises(ValueError, match=r"8 images need random numbers \[8, 4\], got \[8, 3\]"):
        scale_flip_and_crop(images, masks, torch.zeros(8, 3), sizes=sizes, **settings)


def test_a_turn_and_a_move_are_where_they_are_asked_for() -> None:
    """Against turns by 90 degrees and moves by whole pixels, which nothing interpolates."""
    images = torch.rand(1, 2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    middle, end = 0.5, 1.0
    still = turn_and_shift(images, torch.tensor([[middle] * 3]), degrees=90, pixels=2)
    torch.testing.assert_close(still, images, atol=1e-12, rtol=0)
    turned = turn_and_shift(images, torch.tensor([[end, middle, middle]]), degrees=90, pixels=2)
    torch.testing.assert_close(turned, images.rot90(1, (2, 3)), atol=1e-9, rtol=0)
    moved = turn_and_shift(images, torch.tensor([[middle, end, middle]]), degrees=90, pixels=2)
    torch.testing.assert_close(moved[:, :, 2:], images[:, :, :-2], atol=1e-9, rtol=0)
    torch.testing.assert_close(moved[:, :, :2], images[:, :, :1].expand(-1, -1, 2, -1), atol=1e-9, rtol=0)
    both = turn_and_shift(images, torch.tensor([[end, middle, 0.75]]), degrees=90, pixels=2)
    torch.testing.assert_close(both[..., 1:], turned[..., :-1], atol=1e-9, rtol=0)
    with pytest.raises(ValueError, match=r"1 images need random numbers \[1, 3\], got \[1, 2\]"):
        turn_and_shift(images, torch.zeros(1, 2), degrees=1, pixels=1)


def test_a_turn_keeps_the_shape_of_what_is_not_square() -> None:
    """A quarter of a turn of a wide image shows the middle of it, turned."""
    images = torch.rand(1, 1, 4, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    turned = turn_and_shift(images, torch.tensor([[1.0, 0.5, 0.5]]), degrees=90, pixels=0)
    torch.testing.assert_close(turned[..., 2:6], images[..., 2:6].rot90(1, (2, 3)), atol=1e-9, rtol=0)
