"""Drawing from a bank: numbers, checks and tries, by a method whose images are its latents, so that what must come out is known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from generative.latents.confidence import log_odds
from lightning_modules.regene.drawing import SAMPLERS, Checked, thresholds
from tests.support.banks import Data, Identity
from tests.support.banks import identity as method

SLOW = pytest.param("flow", marks=pytest.mark.soak)  # it is fitted first


@pytest.mark.parametrize("name", [*(SLOW if name == "flow" else name for name in SAMPLERS), "convex_2_filtered"])
def test_an_image_is_a_function_of_its_number_seed_and_class(name: str) -> None:
    drawing = method(sampling=name)
    whole = drawing.sample(0, 12, seed=3)
    apart = torch.cat([drawing.sample(first, 4, seed=3) for first in (0, 4, 8)])
    assert torch.equal(whole, apart)
    one = drawing.sample(5, 1, seed=3, labels=[1])
    assert torch.equal(one[0], whole[5])
    if name != "class_mean":
        assert not torch.equal(whole, drawing.sample(0, 12, seed=4))


def test_what_the_filter_lets_through_passes_both_checks_and_is_the_first_that_does() -> None:
    drawing = method(sampling="variance_2_filtered")
    labels = torch.arange(60) % 2
    seen: list[Checked] = []
    found = drawing.sampled(range(60), labels, seed=0, watch=seen.append)
    scores = drawing.classify(found.latents.float())
    assert torch.equal(scores.argmax(dim=1), labels)
    assert (log_odds(scores, labels) >= drawing.thresholds[labels]).all()
    assert int(found.tries.max()) > 0, "some were refused"
    drawing.use_sampling("variance_2")
    unfiltered = drawing.sampled(range(60), labels, seed=0)
    first = found.tries == 0
    assert torch.equal(found.images[first], unfiltered.images[first])
    tried = sum(len(checked.labels) for checked in seen)
    assert tried == int((found.tries + 1).sum())
    for checked in seen:
        assert (
            not checked.images_pass[~checked.latents_pass]
            .logical_and(checked.latents_pass[~checked.latents_pass])
            .any()
        )
    combined = (found.weights[:, :, None] * drawing.bank.rows(found.sources.flatten()).unflatten(0, (60, 2))).sum(dim=1)
    centre = torch.stack([drawing.bank.mean(int(label)) for label in labels])
    cosine = torch.cosine_similarity(found.latents - centre, combined - centre, dim=1)
    torch.testing.assert_close(cosine, torch.ones_like(cosine))  # they are made of the sources that are named


def test_an_image_that_fails_its_latents_check_is_not_drawn() -> None:
    drawing = method(sampling="training_filtered")
    drawing.sampled(range(4), torch.zeros(4, dtype=torch.long), seed=0)  # the bank and the thresholds are there
    seen: list[Checked] = []
    before = drawing.classified
    drawing.sampled(range(40), torch.arange(40) % 2, seed=1, watch=seen.append)
    latents = sum(len(checked.labels) for checked in seen)
    images = sum(int(checked.latents_pass.sum()) for checked in seen)
    assert images < latents
    assert drawing.classified - before == latents + images


def test_thresholds_are_the_odds_of_the_mean_confidence() -> None:
    scores = torch.tensor([[0.0, 2.0], [0.0, 1.0], [3.0, 0.0], [50.0, -50.0]], dtype=torch.float64)
    labels = torch.tensor([1, 1, 0, 0])
    found = thresholds(scores, labels, num_classes=2)
    means = [0.5 * (1 / (1 + math.exp(-3)) + 1.0), 0.5 * (1 / (1 + math.exp(-2)) + 1 / (1 + math.exp(-1)))]
    expected = torch.tensor([math.log(mean / (1 - mean)) for mean in means], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    sure = torch.full((2, 2), 0.0, dtype=torch.float64)
    sure[:, 0], sure[:, 1] = 60.0, -60.0  # a softmax of 1 in floating point
    odds = thresholds(torch.cat([sure, -sure]), torch.tensor([0, 0, 1, 1]), num_classes=2)
    torch.testing.assert_close(odds, torch.tensor([120.0, 120.0], dtype=torch.float64), rtol=1e-12, atol=0)
    with pytest.raises(ValueError, match=r"no image of class 1 is held out, .* \+datamodule\.train_part=\[0,0\.9\]"):
        thresholds(scores[2:], labels[2:], num_classes=2)


def test_a_class_that_nothing_passes_gives_up_in_a_sentence() -> None:
    class Sure(Data):
        def split(self, name: str) -> tuple[Tensor, Tensor]:
            images, labels = super().split(name)
            return (images * 100 if name == "rest" else images), labels

    drawing = method(Sure(), sampling="convex_2_filtered", max_tries=3)
    with pytest.raises(
        ValueError,
        match=r"class [01]: 3 tries of an image were not enough\. Of [0-9]+ latents of the class the classifier named [0-9]+ so",
    ):
        drawing.sample(0, 4, seed=0)


def test_without_held_out_images_there_is_no_filter() -> None:
    class Whole(Data):
        holds_out = False

    drawing = method(Whole(), sampling="convex_2")
    drawing.sample(0, 2, seed=0)
    drawing.use_sampling("convex_2_filtered")
    with pytest.raises(ValueError, match=r"there are none: train with \+datamodule\.train_part=\[0,0\.9\]"):
        drawing.sample(0, 2, seed=0)


def test_the_bank_is_of_the_weights_of_now_and_travels_with_them() -> None:
    drawing = method(sampling="convex_2_filtered", bank_size=5)
    first = drawing.sample(0, 6, seed=0)
    assert len(drawing.bank) == 10
    old = drawing.bank
    assert drawing.bank is old
    drawing.state = 1
    assert drawing.bank is not old, "the encoder has moved"
    checkpoint: dict[str, Any] = {}
    drawing.on_save_checkpoint(checkpoint)
    without = Identity()
    without.on_load_checkpoint({"images_seen": 0})
    with pytest.raises(ValueError, match="there is no bank of latents: give a checkpoint that a run of method=regene"):
        without.sample(0, 1, seed=0)
    alone = Identity(sampling="convex_2_filtered", bank_size=5)
    with pytest.raises(ValueError, match="there is no bank of latents: give a checkpoint that a run of method=regene"):
        alone.sample(0, 1, seed=0)
    alone.on_load_checkpoint(checkpoint | {"images_seen": 0})
    alone.state = 1
    assert torch.equal(alone.sample(0, 6, seed=0), first)


def test_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="images are drawn at 2 pixels, not at 4"):
        method().sample(0, 1, seed=0, image_size=4)
    with pytest.raises(ValueError, match=r"there is no sampler of latents .convex.: choose one like"):
        method(sampling="convex")
