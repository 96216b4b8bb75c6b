"""The projected critic: its mixing by hand, what learns, that images of other groups do not matter, and the published sizes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy import ndimage
from torch import Tensor

from generative.adversarial.projected import (
    Branch,
    ClassEmbedding,
    GroupBatchNorm,
    Head,
    ProjectedCritic,
    RandomMixing,
    blurred,
    fading_sigma,
)

CHANNELS = (3, 5, 7, 9)


class Pyramid:
    """Four maps of means of blocks, each half of the last."""

    channels = CHANNELS

    def __call__(self, images: Tensor) -> list[Tensor]:
        return pyramid(images)


def pyramid(images: Tensor) -> list[Tensor]:
    grey = images.mean(dim=1, keepdim=True)
    pools = [torch.nn.functional.avg_pool2d(grey, 4 * 2**k) for k in range(4)]
    return [pool * torch.linspace(-1, 1, n).to(pool).view(1, -1, 1, 1) for pool, n in zip(pools, CHANNELS, strict=True)]


def critic(**given: Any) -> ProjectedCritic:
    torch.manual_seed(0)
    settings = {
        "backbones": {"a": Pyramid()},
        "side": 64,
        "width": 4,
        "class_dim": 6,
        "group_size": 2,
    }
    return ProjectedCritic(**{**settings, **given})


def images(count: int = 4, side: int = 32) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(3)) * 2 - 1


def test_blur_is_a_gaussian_that_fades() -> None:
    x = images(1).double()
    found = blurred(x, sigma=1.5)
    expected = ndimage.gaussian_filter(x[0].numpy(), (0, 1.5, 1.5), mode="nearest", radius=(0, 4, 4))
    assert torch.allclose(found[0], torch.from_numpy(expected), atol=1e-12)
    assert torch.equal(blurred(x, sigma=0.3), x)
    assert [fading_sigma(kimg, start=2.0, fade_kimg=300.0) for kimg in (0, 150, 300, 900)] == [2.0, 1.0, 0.0, 0.0]
    assert fading_sigma(0, start=2.0, fade_kimg=0.0) == 0.0


def test_group_batch_norm_is_batch_norm_of_each_group() -> None:
    x = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours = GroupBatchNorm(3, group_size=2).double()
    torch.nn.init.uniform_(ours.weight)
    torch.nn.init.uniform_(ours.bias)
    for part, found in zip(x.split(2), ours(x).split(2), strict=True):
        expected = torch.nn.functional.batch_norm(part, None, None, ours.weight, ours.bias, training=True)
        assert torch.allclose(found, expected, atol=1e-12)
    with pytest.raises(ValueError, match="a batch of 3 cannot be cut into groups of 2"):
        ours(x[:3])


def test_mixing_by_hand() -> None:
    torch.manual_seed(1)
    mixing = RandomMixing(CHANNELS, width=4).double()
    assert mixing.out_channels == [4, 4, 8, 16]
    maps = pyramid(images(2, 64).double())
    found = mixing(maps)
    assert [tuple(one.shape[1:]) for one in found] == [(4, 32, 32), (4, 16, 16), (8, 8, 8), (16, 4, 4)]

    def across(layer: Any, x: Tensor) -> Tensor:
        return torch.einsum("oc,bchw->bohw", layer.weight[:, :, 0, 0], x) + layer.bias.view(1, -1, 1, 1)

    def twice(x: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)

    deepest = across(mixing.across_scales[3], twice(across(mixing.across_channels[3], maps[3])))
    third = across(mixing.across_scales[2], twice(across(mixing.across_channels[2], maps[2]) + deepest))
    assert torch.allclose(found[3], deepest, atol=1e-12)
    assert torch.allclose(found[2], third, atol=1e-12)


def test_only_the_heads_learn_and_gradients_reach_the_image() -> None:
    network = critic(num_classes=3)
    names = {".".join(name.split(".")[:3]) for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert names == {"branches.a.heads"}
    x = images().requires_grad_()
    network(x, torch.tensor([0, 1, 2, 0])).sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().flatten(1).sum(dim=1) > 0).all()


def test_every_head_counts_alike() -> None:
    network = critic()
    logits = network(images())
    branch = network.branches["a"]
    assert isinstance(branch, Branch)
    assert branch.num_logits == [25, 25, 25, 1]
    assert logits.shape == (4, 100)
    maps = pyramid(torch.nn.functional.interpolate(images(), scale_factor=2, mode="bilinear"))
    means = torch.stack([own.relu().mean() for own in branch(maps, None)])
    assert torch.allclose(logits.relu().mean(), means.mean(), atol=1e-6), (
        "a mean over logits is the mean of the heads' means"
    )


def test_a_group_does_not_see_another() -> None:
    network = critic(num_classes=3)
    labels, x = torch.tensor([0, 1, 2, 0]), images()
    uniform = torch.rand(4, network.num_draws, generator=torch.Generator().manual_seed(5))
    whole = network(x, labels, uniform=uniform, kimg=10.0)
    parts = [network(x[k : k + 2], labels[k : k + 2], uniform=uniform[k : k + 2], kimg=10.0) for k in (0, 2)]
    assert torch.allclose(whole, torch.cat(parts), atol=1e-5)
    assert not torch.allclose(whole, network(x, labels), atol=1e-2), "changed at random, and blurred"


def test_conditional_logits_by_hand() -> None:
    torch.manual_seed(2)
    head = Head(4, 8, num_classes=3, class_dim=6, group_size=2, feature_dim=0).double()
    maps = torch.randn(2, 4, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values = head.last(maps).flatten(2)
    rows = head.embedding.rows.weight[torch.tensor([2, 0])]  # type: ignore[union-attr]
    expected = torch.einsum("bdl,bd->bl", values, rows) / math.sqrt(6)
    assert torch.allclose(head(maps, torch.tensor([2, 0])), expected, atol=1e-12)
    with pytest.raises(ValueError, match="give a label for each image"):
        head(maps, None)


def test_classes_are_known_by_features() -> None:
    network = critic(num_classes=3, feature_dim=5)
    features = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    network.know_classes(features)
    known = [module for module in network.modules() if isinstance(module, ClassEmbedding)]
    assert len(known) == 4
    assert all(torch.equal(module.given, features) for module in known)
    found = known[0](torch.tensor([2]))
    assert torch.allclose(found, known[0].rows(features[2:]), atol=1e-7)
    with pytest.raises(ValueError, match="knows its classes by 3 x 5 numbers, got 4 x 5"):
        network.know_classes(torch.zeros(4, 5))


def test_what_it_cannot_do_without_is_named() -> None:
    with pytest.raises(ValueError, match="needs a feature network"):
        critic(backbones={})
    with pytest.raises(ValueError, match=r"critic.side must be a multiple of 32 pixels, got 48"):
        critic(side=48)
    with pytest.raises(ValueError, match="unknown policy"):
        critic(policies=["mirror"])
    with pytest.raises(ValueError, match="width must be at least 1"):
        critic(width=0)
