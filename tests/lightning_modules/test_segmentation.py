"""Segmentation as a recipe: mean IoU, what a mask may hold, what is trained and tested."""

from __future__ import annotations

import functools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.classification import MulticlassJaccardIndex

from generative.averaging import averaged_copy
from generative.rendering.masks import NO_CLASS
from lightning_modules.segmentation import PixelClassification, checked_masks, intersection_over_union, mean_iou


class Pixelwise(PixelClassification):
    """A network of one weight a class."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.network = OnePixel(self.num_classes)
        self.averaged_network = averaged_copy(self.network)


class OnePixel(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, num_classes, 1)

    def forward(self, images: Tensor, factors: Tensor | None = None) -> Tensor:
        return self.convolution(images)


def pixelwise(num_classes: int) -> Pixelwise:
    return Pixelwise(
        image_shape=(1, 2, 2),
        num_classes=0,
        seed=0,
        target_classes=tuple("abcdefghijk"[:num_classes]),
        optimizer=functools.partial(torch.optim.SGD, lr=0.1),
        budget_kimg=1.0,
    )


def test_mean_iou_against_a_count_by_hand() -> None:
    """Class 3 is predicted only where nothing counts, so it is absent."""
    built = pixelwise(num_classes=4)
    truth = torch.tensor([[[0, 0, 0, 0], [1, 1, 1, 2], [2, NO_CLASS, 1, 0]]], dtype=torch.uint8)
    predicted = torch.tensor([[[0, 0, 0, 1], [1, 2, 0, 2], [2, 3, 1, 0]]])
    # 0: hits 4, of 5 true and 5 predicted; 1: hits 2, of 4 and 3; 2: hits 2, of 2 and 3.
    by_hand = [4 / 6, 2 / 5, 2 / 3]
    built.on_test_start()
    for i in (0, 1, 2):  # a row at a time: counts add up over batches, the mean of batches is another number
        logits = F.one_hot(predicted[:, i : i + 1], 4).permute(0, 3, 1, 2).float()
        built.averaged_network.forward = lambda images, logits=logits: logits  # type: ignore[method-assign]
        built.test_step({"image": logits, "mask": truth[:, i : i + 1]}, i)
    results = built.test_results()["segmentation"]
    assert results["mean_iou"] == pytest.approx(sum(by_hand) / 3)
    assert results["pixel_accuracy"] == pytest.approx(8 / 11)
    theirs = MulticlassJaccardIndex(4, ignore_index=NO_CLASS)(predicted, truth.long())
    assert results["mean_iou"] == pytest.approx(float(theirs), abs=1e-6)
    confusion = built.test_metrics[0].compute()
    classes = intersection_over_union(confusion)
    assert classes[:3].tolist() == pytest.approx(by_hand)
    assert math.isnan(classes[3])


def test_a_class_that_is_only_predicted_counts_as_missed() -> None:
    confusion = torch.tensor([[3, 1, 0], [0, 0, 0], [0, 0, 0]])
    assert mean_iou(confusion) == pytest.approx((3 / 4 + 0) / 2)


@pytest.mark.parametrize("value", [11, 254])
def test_a_value_that_is_no_class_names_itself(value: int) -> None:
    masks = torch.zeros(2, 4, 4, dtype=torch.uint8)
    masks[0, 0, 0], masks[1, 2, 3] = NO_CLASS, 10
    assert checked_masks({"mask": masks}, 11).dtype == torch.int64
    masks[1, 1, 1] = value
    with pytest.raises(ValueError, match=f"a mask holds the value {value}: .* classes 0 to 10, or 255"):
        checked_masks({"mask": masks}, 11)


def test_data_without_masks_are_refused() -> None:
    with pytest.raises(ValueError, match="the data have no masks to segment by"):
        checked_masks({"image": torch.zeros(1)}, 3)
    with pytest.raises(ValueError, match="needs masks of at least 2 classes, and the data have 1: choose a datamodule"):
        pixelwise(num_classes=1)


def test_its_classes_are_those_of_the_masks_and_it_answers_by_its_average() -> None:
    """Of data of no labels; the weights that train have no part in what it says."""
    method = pixelwise(num_classes=3)
    images = torch.zeros(2, 1, 2, 2)
    before = method.segment(images)
    assert method.num_classes == 3
    assert before.shape == (2, 3, 2, 2)
    with torch.no_grad():
        method.network.convolution.bias.fill_(torch.nan)  # type: ignore[operator, union-attr]
        assert torch.equal(method.segment(images), before)
        method.averaged_network.convolution.bias.add_(1.0)  # type: ignore[operator, union-attr]
    torch.testing.assert_close(method.segment(images), before + 1.0)
