"""Augmentation against torchvision's own, image by image."""

from __future__ import annotations

import pytest
import torch
import torchvision.transforms.functional as TF
from torch import Tensor
from torchvision.transforms import v2
from torchvision.tv_tensors import BoundingBoxes

from generative.augmentation import DRAWS, flip_and_crop, flip_and_crop_boxes
from generative.randomness import Stream


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
