"""Growth by images seen: which sizes of a PGGAN are in use, and how far the newest has faded in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import torch
from torch import Tensor

from generative.checks import check_at_least
from lightning_modules.pggan.layers import doubled, pooled


@dataclass(frozen=True)
class Stage:
    """``levels`` sizes are in use, the first of 4 x 4 pixels; ``blend`` is the newest one's share of the image, in [0, 1]."""

    levels: int
    blend: float = 1.0

    @property
    def side(self) -> int:
        """Of the newest size, in pixels."""
        return 2 ** (self.levels + 1)


class Growth:
    """4 x 4 pixels for ``first_kimg``; then each doubling fades in over ``fade_kimg`` and stays for ``stable_kimg``.

    Both are in thousands of images, one number for all doublings or one for each; the last size stays until the end of the
    run, so that its ``stable_kimg`` says no more than what is planned. ``levels``: sizes there are, of images of
    2^(levels + 1) pixels a side.
    """

    def __init__(
        self,
        *,
        levels: int,
        first_kimg: float,
        fade_kimg: float | Sequence[float],
        stable_kimg: float | Sequence[float],
    ) -> None:
        check_at_least(0, first_kimg=first_kimg)
        fades, stays = (
            per_doubling(levels - 1, name, given)
            for name, given in (("fade_kimg", fade_kimg), ("stable_kimg", stable_kimg))
        )
        spans = [first_kimg, *chain.from_iterable(zip(fades, stays, strict=True))]
        self.levels = levels
        self.borders = [round(1000 * kimg) for kimg in accumulate(spans)]  # ends of the stages, in images

    def number(self, images_seen: int) -> int:
        """How many borders are behind: even while a size is stable, odd while one fades in."""
        return min(sum(images_seen >= border for border in self.borders), 2 * (self.levels - 1))

    def at(self, images_seen: int) -> Stage:
        """The stage after ``images_seen``."""
        number = self.number(images_seen)
        levels = 1 + math.ceil(number / 2)
        if number % 2 == 0:
            return Stage(levels)
        start, end = self.borders[number - 1], self.borders[number]
        return Stage(levels, (images_seen - start) / (end - start))

    def crosses(self, before: int, after: int) -> bool:
        """Whether a stage begins or ends between two numbers of images seen."""
        return self.number(before) != self.number(after)


def per_doubling(doublings: int, name: str, given: float | Sequence[float]) -> list[float]:
    """One number for each of ``doublings``; ValueError where there are more or fewer."""
    values = [float(given)] * doublings if isinstance(given, int | float) else list(given)
    if len(values) != doublings:
        raise ValueError(
            f"{name} has one number for all doublings or one for each of the {doublings} from 4 x 4 pixels up, got {given}"
        )
    check_at_least(0, **{name: min(values, default=0.0)})
    return values


def images_at(images: Tensor, stage: Stage, *, levels: int) -> Tensor:
    """Images [B, C, S, S] of 2^(levels + 1) pixels a side as those of a ``stage``, at their own size.

    Pooled to the size of the stage; while that fades in, mixed with what the size before shows.
    """
    down = levels - stage.levels
    if stage.blend == 1.0:
        return doubled(pooled(images, times=down), times=down) if down else images
    shown = pooled(images, times=down)
    return doubled(torch.lerp(doubled(pooled(shown)), shown, stage.blend), times=down)
