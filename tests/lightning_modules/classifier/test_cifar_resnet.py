"""The residual networks for small images: Keras' counts, the paper's depth, one block by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from generative.attribution import grad_cam
from lightning_modules.classifier.cifar_resnet import Block, CifarResNet


def small(**changes: object) -> CifarResNet:
    torch.manual_seed(0)
    settings = {"image_channels": 1, "num_classes": 4, "depth": 8, "normalization": "group"}
    return CifarResNet(**(settings | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(("image_channels", "trained"), [(3, 857_706), (1, 857_418)])
def test_published_counts_of_resnet56(image_channels: int, trained: int) -> None:
    with torch.device("meta"):
        network = CifarResNet(image_channels=image_channels, num_classes=10)
    assert sum(parameter.numel() for parameter in network.parameters()) == trained
    statistics = [buffer.numel() for name, buffer in network.named_buffers() if name.endswith(("_mean", "_var"))]
    assert sum(statistics) == 4_064


@pytest.mark.parametrize("depth", [8, 20, 56])
def test_depth_counts_layers_beside_shortcuts(depth: int) -> None:
    with torch.device("meta"):
        network = small(depth=depth)
    on_the_way = [
        layer
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear) and "shortcut" not in name
    ]
    assert len(on_the_way) == depth


def test_stages_halve_the_map() -> None:
    with torch.device("meta"):
        network = small()
        x = torch.empty(2, 1, 28, 28)
        shapes = [(x := layer(x)).shape[1:] for layer in network.trunk if not isinstance(layer, nn.ReLU)]
        assert network(torch.empty(2, 1, 28, 28)).shape == (2, 4)
    assert shapes[-3:] == [(16, 28, 28), (32, 14, 14), (network.num_features, 7, 7)]


def test_a_block_by_hand() -> None:
    torch.manual_seed(0)
    block = Block(2, 3, norms=(nn.Identity(), nn.BatchNorm2d(3, eps=1e-3))).double().eval()
    x = torch.randn(2, 2, 6, 6, dtype=torch.float64)
    assert isinstance(block.shortcut, nn.Conv2d)
    h = F.conv2d(x, block.first.weight, block.first.bias, stride=2, padding=1).clamp(min=0)
    h = F.conv2d(h, block.second.weight, block.second.bias, padding=1) / (1 + 1e-3) ** 0.5
    expected = (h + F.conv2d(x[:, :, ::2, ::2], block.shortcut.weight, block.shortcut.bias)).clamp(min=0)
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-12)


def test_features_are_the_mean_over_pixels_and_each_image_stands_alone() -> None:
    network = small()
    images = torch.randn(5, 1, 8, 8)
    features = network.features(images)
    torch.testing.assert_close(features, network.last_maps()(images).flatten(2).mean(dim=2))
    torch.testing.assert_close(features[:2], network.features(images[:2]), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(features[0], features[1])
    assert grad_cam(network, images, torch.arange(5) % 4).shape == (5, 2, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 10}, "depth must be 6 n \\+ 2 layers, as 8, 20 or 56, got 10"),
        ({"depth": 2}, "depth must be 6 n \\+ 2 layers, as 8, 20 or 56, got 2"),
        ({"normalization": "layer"}, "unknown normalization 'layer': choose one of batch, group"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
    ],
)
def test_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**changes)
