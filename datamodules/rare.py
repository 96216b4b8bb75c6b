"""A class of which only a few images are known: the training images that are left, the same few for every method and run."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from generative.randomness import Stream


def check_rare(rare: Mapping[str, int], num_classes: int) -> dict[int, int]:
    """Class -> images of it that are left; ValueError for a class that there is not, and for fewer than one image.

    Keys are the numbers of classes, as text where they come from a configuration.
    """
    counts = {}
    for key, count in rare.items():
        if not str(key).isdecimal() or int(key) >= num_classes:
            known = f"classes 0 to {num_classes - 1}" if num_classes else "no classes"
            raise ValueError(f"datamodule.rare names class {key!r}, and the set has {known}: give {{<class>: <count>}}")
        if count < 1:
            raise ValueError(f"datamodule.rare leaves at least 1 image of a class, got {count} of class {key}")
        counts[int(key)] = count
    return counts


def known_rows(labels: Tensor, inside: Tensor, rare: Mapping[int, int], *, seed: int) -> Tensor:
    """Which of the training images with ``labels`` [N] are left, those ``inside`` of the part that is trained on and others.

    Of a class that ``rare`` names, the part keeps so many, and what is held out, ``~inside``, as large a share of its own:
    rounded, and at least one where there is one. bool [N]. The images of a class have an order that ``seed`` and their places
    alone decide, and the first of it are kept: ten are among the thirty that a larger count keeps. ValueError where the part
    has fewer.
    """
    known = torch.ones(len(labels), dtype=torch.bool)
    order = Stream(seed, "rare class").open_uniform(0, len(labels))
    for label, count in rare.items():
        own = labels == label
        trained, held_out = own & inside, own & ~inside
        there, others = int(trained.sum()), int(held_out.sum())
        if count > there:
            raise ValueError(
                f"datamodule.rare keeps {count} images of class {label}, and {there} are trained on: keep fewer, or train on "
                "a larger part"
            )
        known &= ~own
        known[first_of(trained, order, count)] = True
        known[first_of(held_out, order, min(others, max(1, round(count * others / there))))] = True
    return known


def first_of(mask: Tensor, order: Tensor, count: int) -> Tensor:
    """The numbers of the ``count`` rows of a ``mask`` [N] that come first in an ``order`` [N]."""
    rows = mask.nonzero()[:, 0]
    return rows[order[rows].argsort()[:count]]
