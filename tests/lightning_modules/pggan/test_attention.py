"""Attention and composition of codes: golden outputs, plain formulations, and the laws of inversion with many codes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.pggan.attention import ATTENTIONS, attended, cbam, first_weights, self_attention, shapes_of
from lightning_modules.pggan.composition import composed, shares_of_codes
from tests.support.released import released_outputs


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def weights_of(attention: str, images: int, channels: int = 16) -> dict[str, Tensor]:
    """Of each image its own, none of them 0."""
    shapes = shapes_of(attention, channels).items()
    return {
        name: random(images, *shape, seed=k) / math.sqrt(shape[-1] if shape else 1)
        for k, (name, shape) in enumerate(shapes)
    }


@released_outputs("attention_*.npz")
def test_released_outputs(path: Path) -> None:
    golden = {name: torch.from_numpy(value)[None] for name, value in np.load(path).items()}
    features = golden["features"]
    found = {
        "dot": self_attention(features, golden, scaled=False),
        "scaled": self_attention(features, golden, scaled=True),
        "cbam": cbam(features, golden),
        "composed": composed(features, golden["alpha"]),
    }
    for name, value in found.items():
        torch.testing.assert_close(value, golden[name], rtol=0, atol=1e-9)


def test_self_attention_place_by_place() -> None:
    """By loops over images, codes and places: the softmax is over the keys of each query."""
    features, weights = random(2, 3, 16, 2, 2), weights_of("dot", 2)
    for scaled in (False, True):
        found = self_attention(features, weights, scaled=scaled)
        for image, code in ((0, 0), (0, 2), (1, 1)):
            f = features[image, code].flatten(1)
            query, key, value = (
                weights[f"{name}_weight"][image] @ f + weights[f"{name}_bias"][image][:, None]
                for name in ("query", "key", "value")
            )
            for place in range(4):
                scores = key.T @ query[:, place] / (math.sqrt(2) if scaled else 1.0)
                expected = f[:, place] + weights["gamma"][image] * (value @ scores.softmax(dim=0))
                torch.testing.assert_close(found[image, code].flatten(1)[:, place], expected, rtol=0, atol=1e-12)


def test_cbam_by_a_module_of_each_image() -> None:
    features, weights = random(2, 3, 16, 5, 5), weights_of("cbam", 2)
    found = cbam(features, weights)
    for image in range(2):
        x = features[image]
        first, second = weights["mlp_0"][image], weights["mlp_1"][image]
        of_channels = sum((pooled @ first.T).relu() @ second.T for pooled in (x.mean(dim=(2, 3)), x.amax(dim=(2, 3))))
        assert isinstance(of_channels, Tensor)
        x = x * of_channels.sigmoid()[:, :, None, None]
        pair = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        x = x * F.conv2d(pair, weights["spatial_weight"][image][None], padding=3).sigmoid()
        torch.testing.assert_close(found[image], x, rtol=0, atol=1e-12)


def test_numbers_that_are_searched_for_in_addition() -> None:
    counts = {name: sum(math.prod(shape) for shape in shapes_of(name, 512).values()) for name in ATTENTIONS}
    assert counts == {"none": 0, "dot": 328_321, "scaled": 328_321, "cbam": 32_866}
    for name, least in (("dot", 8), ("cbam", 16)):
        with pytest.raises(ValueError, match=f"attention={name} needs at least {least} channels, and this layer has 4"):
            shapes_of(name, 4)
    with pytest.raises(ValueError, match="unknown attention 'heads'"):
        shapes_of("heads", 16)


@pytest.mark.parametrize("attention", ["dot", "scaled"])
def test_self_attention_starts_as_nothing(attention: str) -> None:
    features = random(2, 3, 16, 4, 4)
    weights = {name: value.double().expand(2, *value.shape) for name, value in first_weights(attention, 16).items()}
    torch.testing.assert_close(attended(features, weights, attention=attention), features, rtol=0, atol=0)
    assert weights["key_weight"].std() > 0.1
    spatial = first_weights("cbam", 16)["spatial_weight"]
    assert spatial.std().item() == pytest.approx(98**-0.5, rel=0.3)  # its one output is a sum of 98


def test_shares_of_codes_say_which_code_drew_a_place() -> None:
    features = torch.zeros(1, 2, 1, 1, 3)
    features[0, :, 0, 0] = torch.tensor([[3.0, 0.0, -1.0], [1.0, 2.0, 1.0]])
    shares = shares_of_codes(features, torch.tensor([[[1.0], [-1.0]]]))
    torch.testing.assert_close(shares[0, :, 0], torch.tensor([[0.75, 0.0, 0.5], [0.25, 1.0, 0.5]]))
    assert shares_of_codes(torch.zeros(1, 2, 1, 1, 1), torch.ones(1, 2, 1)).isfinite().all()
