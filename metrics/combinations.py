"""Images of combined latents, such as midpoints, as sets of images by number, and how far they lie from their ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from generative.priors.base import Prior
from generative.priors.paths import combine
from generative.rendering.images import to_uint8
from metrics.samples import Grouped, among_groups, check_finite, in_turn


class Decoder(Grouped, Protocol):
    """What makes images of latents, and draws latents by number."""

    image_shape: tuple[int, int, int]  # channels, height, width
    prior: Prior

    def latents(self, first: int, count: int, *, seed: int, stream: str = "evaluation") -> Tensor:
        """Latents [count, dim] of the images ``first .. first + count - 1``."""

    def decode_groups(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents [B, dim] and classes [B] of whole groups -> images [B, C, H, W], nominally in [-1, 1]."""


@dataclass(frozen=True)
class Combination:
    """The sum of ``weights[i]`` times code i; ``what`` names it in tables."""

    what: str
    weights: tuple[float, ...]


def code(model: Decoder, first: int, count: int, *, place: int, seed: int) -> Tensor:
    """Code number ``place`` of the images ``first ..``: [count, dim]. The codes of place 0 are the evaluation's samples."""
    stream = "evaluation" if place == 0 else f"evaluation/code {place}"
    return model.latents(first, count, seed=seed, stream=stream)


def combined_code(model: Decoder, first: int, count: int, *, weights: Sequence[float], path: str, seed: int) -> Tensor:
    """The codes of places 0, 1 .. of each image, combined along ``path``: [count, dim]. Every path takes the same codes."""
    codes = [code(model, first, count, place=place, seed=seed) for place in range(len(weights))]
    return combine(torch.stack(codes), weights, path=path, prior=model.prior)


class DecodedImages:
    """The images 0 .. count - 1 that ``model`` makes of ``codes(first, count)``, decoded when asked for.

    ``cycle`` [N]: their classes over and over, None without. Where images hang on each other, as under statistics of the
    batch, image k is drawn among those of its group: groups begin at the multiples of their size, and the last one is
    filled up with the numbers that follow. So image k is one image, whatever the batches that it is asked for in.
    """

    def __init__(
        self, model: Decoder, codes: Callable[[int, int], Tensor], count: int, *, cycle: Tensor | None, name: str
    ) -> None:
        self.model, self.codes, self.count, self.cycle, self.name = model, codes, count, cycle, name
        self.shape = model.image_shape

    def __len__(self) -> int:
        return self.count

    @torch.no_grad()
    def images(self, first: int, count: int) -> Tensor:
        drawn = among_groups(self.model, first, count, cycle=self.cycle, draw=self.draw)
        check_finite(drawn, first=first)
        return to_uint8(drawn)

    def draw(self, first: int, count: int, *, labels: Tensor | None) -> Tensor:
        return self.model.decode_groups(self.codes(first, count), labels)

    def labels(self) -> Tensor | None:
        labels = in_turn(self.cycle, 0, self.count)
        return None if labels is None else labels.cpu()

    def fingerprint(self) -> str:
        return ""


def samples_of(model: Decoder, count: int, *, place: int, seed: int, cycle: Tensor | None) -> DecodedImages:
    """The images of the codes of one place, samples of the prior."""
    codes = partial(code, model, place=place, seed=seed)
    return DecodedImages(model, codes, count, cycle=cycle, name=f"samples of {type(model).__name__}")


def combinations_of(
    model: Decoder, combination: Combination, count: int, *, path: str, seed: int, cycle: Tensor | None
) -> DecodedImages:
    """The images of combined codes along ``path``."""
    codes = partial(combined_code, model, weights=combination.weights, path=path, seed=seed)
    name = f"{combination.what} ({path}) of {type(model).__name__}"
    return DecodedImages(model, codes, count, cycle=cycle, name=name)


def end_distance(combined: Tensor, ends: Sequence[Tensor]) -> float | None:
    """Mean distance of combined images to the nearest of their ends, in units of the mean distance of two samples.

    By features: ``combined`` [N, D], and at least two ``ends``, [N, D] each. None where the samples do not differ.
    """
    unit = (ends[0] - ends[1]).double().norm(dim=1).mean()
    nearest = torch.stack([(combined - end).double().norm(dim=1) for end in ends]).amin(dim=0)
    return float(nearest.mean() / unit) if unit > 0 else None
