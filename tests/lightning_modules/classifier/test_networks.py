"""Backbones: the published counts, the stems' shapes, what normalisation and dropout promise."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from lightning_modules.classifier.networks import MOBILENETS, RESNETS, Backbone

ARCHITECTURES = [*RESNETS, *MOBILENETS]


def small(architecture: str = "resnet10", **changes: object) -> Backbone:
    torch.manual_seed(0)
    settings = {"image_channels": 1, "num_classes": 4, "stem": "small"}
    return Backbone(architecture=architecture, **(settings | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("architecture", "count"),
    [
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("mobilenet_v2", 3_504_872),
        ("mobilenet_v3_small", 2_542_856),
    ],
)
def test_published_parameter_counts(architecture: str, count: int) -> None:
    with torch.device("meta"):
        backbone = Backbone(architecture=architecture, image_channels=3, num_classes=1000)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == count


@pytest.mark.parametrize("architecture", ["resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small"])
def test_published_networks_give_the_same_logits(architecture: str) -> None:
    """The weights of torchvision's own network, in order: trunk, hidden layer and classifier compute what it does."""
    torch.manual_seed(0)
    published = getattr(torchvision.models, architecture)(weights=None, num_classes=7).eval()
    ours = small(architecture, image_channels=3, num_classes=7, stem="imagenet").eval()
    states = zip(ours.state_dict().items(), published.state_dict().items(), strict=True)
    ours.load_state_dict({name: value for (name, _), (_, value) in states})
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(ours(images), published(images))


@pytest.mark.parametrize("normalization", ["batch", "group"])
@pytest.mark.parametrize("image_channels", [1, 3])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_shapes(architecture: str, image_channels: int, normalization: str) -> None:
    with torch.device("meta"):
        for stem, size in (("imagenet", 64), ("small", 8)):
            backbone = small(architecture, image_channels=image_channels, stem=stem, normalization=normalization)
            images = torch.empty(2, image_channels, size, size)
            assert backbone.features(images).shape == (2, backbone.num_features)
            assert backbone(images).shape == (2, 4)
    has_batch_norm = any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in backbone.modules())
    assert has_batch_norm == (normalization == "batch")


@pytest.mark.parametrize(("stem", "sizes"), [("imagenet", (16, 8, 4, 2)), ("small", (64, 32, 16, 8))])
def test_the_small_stem_keeps_every_pixel(stem: str, sizes: tuple[int, ...]) -> None:
    """Sides of the four stages' outputs for images of 64 pixels."""
    with torch.device("meta"):
        trunk = small("resnet18", stem=stem).trunk
        x = trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1(torch.empty(1, 1, 64, 64)))))
        seen = []
        for stage in (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4):
            x = stage(x)
            seen.append(x.shape[-1])
    assert tuple(seen) == sizes


@pytest.mark.parametrize("architecture", ["mobilenet_v2", "mobilenet_v3_small"])
def test_the_small_stem_of_mobilenets_has_stride_one(architecture: str) -> None:
    with torch.device("meta"):
        for stem, size in (("imagenet", 16), ("small", 32)):
            first = small(architecture, stem=stem).trunk.features[0]
            assert first(torch.empty(1, 1, 32, 32)).shape[-1] == size


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_group_normalisation_treats_each_image_alone(architecture: str) -> None:
    backbone = small(architecture, normalization="group")
    images = torch.randn(6, 1, 8, 8)
    logits = backbone(images)
    torch.testing.assert_close(logits[:2], backbone(images[:2]), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(logits[0], logits[1]), "features of one pixel must not vanish"


def test_dropout_takes_its_noise_from_outside() -> None:
    backbone = small(dropout=0.25)
    uniform = torch.rand(4000, backbone.classifier.in_features)
    factors = backbone.dropout_factors(uniform)
    assert factors.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert factors.mean() == pytest.approx(1.0, abs=1e-2)
    images = torch.randn(3, 1, 8, 8)
    backbone.eval()
    hidden = backbone.features(images) * factors[:3]
    assert torch.equal(backbone(images, factors[:3]), backbone.classifier(hidden))
    assert torch.equal(backbone(images), backbone(images)), "none without factors, and no state of a generator"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "resnet19"}, "unknown architecture 'resnet19': choose one of resnet10, resnet18, resnet34"),
        ({"stem": "tiny"}, "unknown stem 'tiny': choose one of imagenet, small"),
        ({"normalization": "layer"}, "unknown normalization 'layer': choose one of batch, group"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
    ],
)
def test_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**changes)  # type: ignore[arg-type]
