"""The part of the training images that is trained on, and the rest."""

from __future__ import annotations

import pytest
import torch

from datamodules.digits import DigitMasks, Digits
from datamodules.splits import lies_in_part


def digits(train_part: list[float] | None = None) -> Digits:
    return Digits(batch_size=8, seed=0, train_part=train_part)


def test_parts_that_meet_share_no_image_and_leave_none_out() -> None:
    halves = [lies_in_part(1001, part) for part in ((0.0, 0.5), (0.5, 1.0))]
    assert torch.equal(halves[0], ~halves[1])
    assert abs(int(halves[0].sum()) - 500) <= 2
    assert lies_in_part(1001, (0.0, 1.0)).all()


def test_a_part_has_an_even_share_of_a_set_in_order() -> None:
    inside = lies_in_part(10_000, (0.3, 0.4))
    shares = inside.view(10, 1000).float().mean(dim=1)
    assert ((shares - 0.1).abs() < 0.005).all()


def test_digits_of_some_classes_keep_their_labels() -> None:
    labels = digits().split("train")[1]
    some = Digits(batch_size=8, seed=0, classes=[2, 7])
    assert some.name == "digits_2_7"
    for split in ("train", "test"):
        whole, chosen = digits().split(split), some.split(split)
        kept = (whole[1] == 2) | (whole[1] == 7)
        assert torch.equal(chosen[0], whole[0][kept])
        assert torch.equal(chosen[1], whole[1][kept])
    assert len(DigitMasks(batch_size=8, seed=0, classes=[2]).targets("train")["mask"]) == int((labels == 2).sum())
    with pytest.raises(
        ValueError, match="the train split of the digits has no image of class 10: it has classes 0 to 9"
    ):
        Digits(batch_size=8, seed=0, classes=[10]).split("train")
    with pytest.raises(ValueError, match="names at least one class, each once, got"):
        Digits(batch_size=8, seed=0, classes=[2, 2])


def test_train_and_rest_are_the_training_images() -> None:
    whole, some = digits(), digits([0.0, 0.9])
    images, labels = whole.split("train")
    inside = lies_in_part(len(images), (0.0, 0.9))
    assert torch.equal(some.split("train")[0], images[inside])
    assert torch.equal(some.split("train")[1], labels[inside])
    assert torch.equal(some.split("rest")[0], images[~inside])
    assert torch.equal(some.split("test")[0], whole.split("test")[0])
    assert torch.equal(some.split("all")[0], whole.split("all")[0]), "all images of the set, trained on or not"
    assert len(some.rows("train")["label"]) == int(inside.sum())


@pytest.mark.parametrize("part", [[0.5, 0.5], [-0.1, 1.0], [0.0, 1.1], [0.3]])
def test_a_part_that_cannot_be(part: list[float]) -> None:
    with pytest.raises(ValueError, match=r"train_part is \[from, to\] with 0 <= from < to <= 1, got"):
        digits(part)


def test_without_a_part_there_is_no_rest() -> None:
    with pytest.raises(
        ValueError, match=r"all training images of digits are trained on: \+datamodule\.train_part=\[0,0\.9\]"
    ):
        digits().split("rest")
    with pytest.raises(ValueError, match=r"cuts sets with classes of images alone: leave it out here"):
        DigitMasks(batch_size=8, seed=0, train_part=[0.0, 0.9])
