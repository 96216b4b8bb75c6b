"""Faster R-CNN against torchvision's own with the same weights, and what differs from it on purpose."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.faster_rcnn import FasterRCNN as TheirFasterRCNN

from lightning_modules.detector.backbones import TRUNKS, Backbone
from lightning_modules.detector.networks import FasterRCNN, SeededSampler, image_weights

SIDE = 64
SETTINGS: dict[str, Any] = {
    "num_classes": 3,
    "anchor_sizes": [[12], [24]],
    "anchor_ratios": [0.5, 1.0, 2.0],
    "proposals": [60, 40],
    "test_proposals": [50, 30],
    "head_width": 16,
    "sampled_anchors": 32,
    "sampled_proposals": 16,
    "least_score": 0.05,
}


def network(**changes: Any) -> FasterRCNN:
    torch.manual_seed(0)
    backbone = partial(Backbone, architecture="small", width=8, normalization="group")
    return FasterRCNN(**(SETTINGS | {"backbone": backbone} | changes))


def images(count: int) -> Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 2 - 1


def targets() -> list[dict[str, Tensor]]:
    """Two objects, one, none."""
    boxes = [[[4, 4, 20, 16], [30, 30, 58, 60]], [[10, 20, 40, 50]], []]
    labels = [[0, 2], [1], []]
    return [
        {"boxes": torch.tensor(edges).float().reshape(-1, 4), "labels": torch.tensor(names, dtype=torch.int64)}
        for edges, names in zip(boxes, labels, strict=True)
    ]


def seeds(count: int) -> Tensor:
    return torch.arange(2 * count).view(count, 2) + 7


class TheirBackbone(torch.nn.Module):
    def __init__(self, ours: Backbone) -> None:
        super().__init__()
        self.ours, self.out_channels = ours, ours.width

    def forward(self, shown: Tensor) -> dict[str, Tensor]:
        return self.ours(shown)


def theirs_of(ours: FasterRCNN) -> TheirFasterRCNN:
    """torchvision's whole detector, its transform too, around our weights; images in [0, 1], classes from 1."""
    return TheirFasterRCNN(
        TheirBackbone(ours.backbone),
        min_size=SIDE,
        max_size=SIDE,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
        rpn_anchor_generator=ours.proposals.anchor_generator,
        rpn_head=ours.proposals.head,
        rpn_pre_nms_top_n_train=60,
        rpn_post_nms_top_n_train=40,
        rpn_pre_nms_top_n_test=50,
        rpn_post_nms_top_n_test=30,
        rpn_batch_size_per_image=32,
        box_roi_pool=ours.heads.box_roi_pool,
        box_head=ours.heads.box_head,
        box_predictor=ours.heads.box_predictor,
        box_batch_size_per_image=16,
    )


@pytest.fixture
def pair() -> tuple[FasterRCNN, TheirFasterRCNN]:
    ours = network()
    return ours, theirs_of(ours)


def test_it_finds_what_torchvisions_finds(pair: tuple[FasterRCNN, TheirFasterRCNN]) -> None:
    """Images in [-1, 1] are theirs in [0, 1] after mean and deviation of 0.5; nothing is rescaled."""
    ours, theirs = (one.eval() for one in pair)
    with torch.no_grad():
        found = ours.detect(images(3))
        expected = theirs(list((images(3) + 1) / 2))
    assert sum(len(one["boxes"]) for one in found) > 10
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one["boxes"], other["boxes"], rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(one["scores"], other["scores"])
        assert torch.equal(one["labels"] + 1, other["labels"])


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_losses_of_one_image_are_torchvisions(pair: tuple[FasterRCNN, TheirFasterRCNN], number: int) -> None:
    ours, theirs = pair
    shown, wanted = images(3)[number : number + 1], targets()[number : number + 1]
    losses = ours(shown, wanted, seeds(3)[number : number + 1])
    for sampler, seed in zip(ours.samplers, seeds(3)[number].tolist(), strict=True):
        sampler.seeds = [seed]
    theirs.rpn.fg_bg_sampler, theirs.roi_heads.fg_bg_sampler = ours.samplers
    expected = theirs.train()(list((shown + 1) / 2), [{**wanted[0], "labels": wanted[0]["labels"] + 1}])
    names = {
        "object": "loss_objectness", "proposal": "loss_rpn_box_reg", "class": "loss_classifier", "box": "loss_box_reg"
    }  # fmt: skip
    for name, their_name in names.items():
        torch.testing.assert_close(losses[name], expected[their_name], rtol=1e-5, atol=1e-6)
        assert (float(losses[name]) > 0) == (name in ("object", "class") or number < 2), (
            "without boxes no offsets are wanted"
        )


def test_the_losses_of_a_batch_are_means_over_its_images() -> None:
    """However many anchors and proposals of each were drawn: here all that there are, of some images more."""
    made = network(sampled_anchors=2000, sampled_proposals=200)
    whole = made(images(3), targets(), seeds(3))
    each = [made(images(3)[i : i + 1], targets()[i : i + 1], seeds(3)[i : i + 1]) for i in range(3)]
    for name, value in whole.items():
        torch.testing.assert_close(value, torch.stack([one[name] for one in each]).mean(), rtol=1e-5, atol=1e-6)


def test_images_without_boxes_teach_what_is_no_object() -> None:
    made = network()
    losses = made(images(1), targets()[2:], seeds(1))
    torch.stack(list(losses.values())).sum().backward()
    assert all(bool(value.isfinite()) for value in losses.values())
    gradients = {name: part.grad for name, part in made.named_parameters()}
    assert all(gradient is not None and bool(gradient.isfinite().all()) for gradient in gradients.values())
    assert bool(gradients["heads.box_predictor.cls_score.weight"].abs().sum() > 0)  # type: ignore[union-attr]


def test_samples_are_functions_of_their_seed_and_leave_the_global_generator_alone() -> None:
    labels = torch.tensor([1.0] * 30 + [0.0] * 100 + [-1.0] * 20)
    sampler, state = SeededSampler(40, 0.5), torch.get_rng_state()
    sampler.seeds = [3, 4, 3]
    positive, background = sampler([labels] * 3)
    assert torch.equal(torch.get_rng_state(), state)
    assert [int(one.sum()) for one in positive] == [20] * 3
    assert [int(one.sum()) for one in background] == [20] * 3
    assert not positive[0][30:].any()
    assert not background[0][:30].any()
    assert not background[0][130:].any(), "of no class, and in no loss"
    assert torch.equal(positive[0], positive[2])
    assert not torch.equal(positive[0], positive[1])
    sampler.seeds = [3]
    few = torch.tensor([1.0] * 5 + [0.0] * 100)
    assert [int(one[0].sum()) for one in sampler([few])] == [5, 35], "background stands in for what is missing"
    assert [int(one[0].sum()) for one in sampler([labels[:35]])] == [20, 5]


def test_every_sample_of_an_image_weighs_as_much() -> None:
    torch.testing.assert_close(image_weights([2, 4], torch.zeros(1)), torch.tensor([1 / 4] * 2 + [1 / 8] * 4))


@pytest.mark.parametrize("architecture", list(TRUNKS))
def test_maps_have_the_strides_of_their_levels(architecture: str) -> None:
    normalization = "frozen" if architecture == "efficientnet_lite0" else "group"
    backbone = Backbone(
        levels=5, architecture=architecture, width=4, normalization=normalization, frozen_stages=2
    ).eval()
    with torch.no_grad():
        maps = backbone(torch.zeros(1, 1, 64, 128))
    assert [tuple(one.shape) for one in maps.values()] == [(1, 4, 64 // s, 128 // s) for s in (4, 8, 16, 32, 64)]
    trained = {name for name, part in backbone.named_parameters() if part.requires_grad}
    assert 0 < sum(name.startswith("body") for name in trained) < sum(1 for _ in backbone.body.parameters())


def test_images_of_any_size_and_their_boxes_within() -> None:
    made = network(least_score=0.0).eval()
    with torch.no_grad():
        (found,) = made.detect(torch.zeros(1, 1, 50, 70))
    assert len(found["boxes"])
    assert (found["boxes"].amax(dim=0)[2:] <= torch.tensor([70, 50])).all()
    assert found["labels"].min() >= 0
    assert found["labels"].max() < 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"anchor_sizes": []}, "anchor_sizes are given for 1 to 5 levels, from the stride 4 on, got 0 levels"),
        ({"anchor_sizes": [[8], [8, 16]]}, "every level of anchor_sizes has as many sizes"),
        ({"anchor_ratios": [0.0]}, "anchor_sizes and anchor_ratios must be positive"),
        ({"proposals": [10]}, r"proposals are two numbers of at least 1, .* got \[10\]"),
        ({"head_width": 0}, "head_width must be at least 1, got 0"),
    ],
)
def test_settings_that_make_no_network_name_themselves(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "vgg"}, "unknown architecture 'vgg': choose one of resnet50_fpn, mobilenet_v3_small"),
        (
            {"architecture": "resnet50_fpn", "pretrained": True},
            "resnet50_fpn has no weights in a package: .* method.weights",
        ),
        ({"architecture": "efficientnet_lite0", "normalization": "group"}, "give normalization=frozen"),
        ({"architecture": "small", "frozen_stages": 6}, "frozen_stages must be between 0 and 5, got 6"),
    ],
)
def test_backbones_that_cannot_be_had_say_so(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Backbone(levels=2, **settings)
