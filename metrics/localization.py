"""How much of a classifier's map lies on the object, where a mask says where that is, and how alike two maps are."""

from __future__ import annotations

import math

import torch
from torch import Tensor

CENTRE_WIDTH = 0.25  # of an image's side: the deviation of the map that looks at nothing but the middle


def energy_inside(maps: Tensor, inside: Tensor, counted: Tensor | None = None) -> Tensor:
    """Share of each map's mass that lies inside: maps [B, H, W] in [0, 1], masks of bools -> [B] (Wang et al. 2020).

    Pixels that are not ``counted`` enter neither sum. A map without mass has the share of an even one.
    """
    counted = torch.ones_like(inside) if counted is None else counted
    mass = maps * counted
    total = mass.sum(dim=(1, 2))
    even = covered(inside, counted)
    return torch.where(total > 0, (mass * inside).sum(dim=(1, 2)) / total.where(total > 0, 1.0), even.to(maps.dtype))


def pointing_game(maps: Tensor, inside: Tensor, counted: Tensor | None = None) -> Tensor:
    """Share of each map's maxima among the counted pixels that lie inside, 0 or 1 where there is one: [B] (Zhang et al. 2018)."""
    counted = torch.ones_like(inside) if counted is None else counted
    values = maps.masked_fill(~counted, -math.inf)
    highest = (values == values.amax(dim=(1, 2), keepdim=True)) & counted
    return (highest & inside).sum(dim=(1, 2)) / highest.sum(dim=(1, 2)).clamp(min=1)


def covered(inside: Tensor, counted: Tensor) -> Tensor:
    """Share of the counted pixels that lie inside, [B]: what an even map, or a random place, scores in both."""
    return (inside & counted).sum(dim=(1, 2)) / counted.sum(dim=(1, 2)).clamp(min=1)


def centre_map(height: int, width: int) -> Tensor:
    """A Gaussian about the middle, [H, W]: what can be said of an object without looking at the image."""
    rows, columns = (((torch.arange(n) + 0.5) / n - 0.5) / CENTRE_WIDTH for n in (height, width))
    return torch.exp(-0.5 * (rows[:, None].square() + columns.square()))


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's, of each pair of maps [B, H, W] over their pixels: [B]; NaN beside a flat map."""
    a, b = (maps.flatten(1) - maps.mean(dim=(1, 2))[:, None] for maps in (a, b))
    return (a * b).sum(dim=1) / (a.norm(dim=1) * b.norm(dim=1))
