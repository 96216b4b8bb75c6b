"""Attention on the features of the codes before they are composed (chapter 5), with weights of each image's own.

Features are [B, N, C, H, W], of N codes of B images; one module serves all codes of an image. Its weights are no parameters of
a network but a part of the point that is searched for, each [B, ...], so that a batch is its images one by one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from generative.checks import check_choice
from generative.randomness import Stream

REDUCTION_OF_KEYS = 8  # C / 8 channels of keys and queries
REDUCTION_OF_MLP = 16  # C / 16 numbers between both layers of CBAM's channel attention
KERNEL = 7  # pixels a side of CBAM's spatial attention
ATTENTIONS = ("none", "dot", "scaled", "cbam")

Weights = Mapping[str, Tensor]  # each [B, ...]


def pointwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A 1 x 1 convolution of each image's own: [B, N, C, P] by [B, d, C] and [B, d] -> [B, N, d, P]."""
    return torch.einsum("bdc,bncp->bndp", weight, x) + bias[:, None, :, None]


def self_attention(features: Tensor, weights: Weights, *, scaled: bool) -> Tensor:
    """F + gamma * softmax(g(F)^T f(F)) h(F): a place gets the values h of all places, by its query g and their keys f.

    ``scaled``: products over the root of the number of channels of a key (eq. 5.1), otherwise as they are. Weights:
    ``key_weight`` and ``query_weight`` [B, C / 8, C], ``value_weight`` [B, C, C], a ``_bias`` of each, ``gamma`` [B].
    """
    places = features.flatten(3)  # [B, N, C, HW]
    query, key, value = (
        pointwise(places, weights[f"{name}_weight"], weights[f"{name}_bias"]).transpose(2, 3)
        for name in ("query", "key", "value")
    )
    scale = 1.0 / math.sqrt(key.shape[-1]) if scaled else 1.0
    attended = F.scaled_dot_product_attention(query, key, value, scale=scale).transpose(2, 3)
    return features + weights["gamma"][:, None, None, None, None] * attended.reshape(features.shape)


def cbam(features: Tensor, weights: Weights) -> Tensor:
    """Channel attention, then spatial attention (eqs. 5.2 to 5.4), without a norm: it would see one image.

    M_c = s(W1 relu(W0 mean F) + W1 relu(W0 max F)) by channel, F' = M_c F; M_s = s(7 x 7 convolution of [mean_c F', max_c F'])
    by place, F'' = M_s F', s the logistic function. Weights: ``mlp_0`` [B, C / 16, C], ``mlp_1`` [B, C, C / 16],
    ``spatial_weight`` [B, 2, 7, 7].
    """

    def of_channels(pooled: Tensor) -> Tensor:
        hidden = torch.einsum("bdc,bnc->bnd", weights["mlp_0"], pooled).relu()
        return torch.einsum("bcd,bnd->bnc", weights["mlp_1"], hidden)

    by_channel = (of_channels(features.mean(dim=(3, 4))) + of_channels(features.amax(dim=(3, 4)))).sigmoid()
    weighed = features * by_channel[..., None, None]
    summary = torch.stack([weighed.mean(dim=2), weighed.amax(dim=2)], dim=2)  # [B, N, 2, H, W]
    # One group of channels an image, so that each is convolved by its own kernel.
    grouped = summary.transpose(0, 1).flatten(1, 2)  # [N, 2B, H, W]
    by_place = F.conv2d(grouped, weights["spatial_weight"], padding=KERNEL // 2, groups=len(features)).sigmoid()
    return weighed * by_place.transpose(0, 1)[:, :, None]


def attended(features: Tensor, weights: Weights, *, attention: str) -> Tensor:
    """Features [B, N, C, H, W] after the ``attention`` of that name, one of ``ATTENTIONS``."""
    match attention:
        case "none":
            return features
        case "cbam":
            return cbam(features, weights)
        case _:
            return self_attention(features, weights, scaled=attention == "scaled")


def shapes_of(attention: str, channels: int) -> dict[str, tuple[int, ...]]:
    """The shapes of an image's weights; ValueError where ``channels`` are too few."""
    check_choice("attention", attention, ATTENTIONS)
    reduction = {"none": 1, "cbam": REDUCTION_OF_MLP}.get(attention, REDUCTION_OF_KEYS)
    if channels < reduction:
        raise ValueError(f"attention={attention} needs at least {reduction} channels, and this layer has {channels}")
    inner = channels // reduction
    match attention:
        case "none":
            return {}
        case "cbam":
            return {
                "mlp_0": (inner, channels),
                "mlp_1": (channels, inner),
                "spatial_weight": (2, KERNEL, KERNEL),
            }
    sizes = {"key": inner, "query": inner, "value": channels}
    weights = {f"{name}_weight": (size, channels) for name, size in sizes.items()}
    return weights | {f"{name}_bias": (size,) for name, size in sizes.items()} | {"gamma": ()}


def first_weights(attention: str, channels: int) -> dict[str, Tensor]:
    """Where the weights of every image start, the same for all: random and of variance 1 / fan-in, biases and gamma at 0."""
    found = {}
    for name, shape in shapes_of(attention, channels).items():
        starts_at_0 = name.endswith("_bias") or name == "gamma"
        weight = torch.zeros(shape) if starts_at_0 else Stream(0, f"attention/{name}").normal(0, 1, *shape)[0]
        found[name] = weight / math.sqrt(fan_in(name, shape))
    return found


def fan_in(name: str, shape: Sequence[int]) -> int:
    """How many numbers one of an output is a sum of; of the spatial filter, which has one output, all of its own."""
    return math.prod(shape if name == "spatial_weight" else shape[1:])
