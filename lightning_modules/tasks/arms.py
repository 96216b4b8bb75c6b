"""The arms of inpainting: fills that need no generator, and searches in a method's spaces, under one interface."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from generative.inversion.deep_prior import deep_prior_fill
from generative.inversion.exemplar import exemplar_fill
from generative.inversion.fills import (
    biharmonic_fill,
    harmonic_fill,
    mean_fill,
    navier_stokes_fill,
    telea_fill,
    without_seam,
)
from generative.inversion.measurements import Masked
from generative.inversion.trained_fills import ConditionalGaussian, Retrieval
from lightning_modules.base import ImageData, Invertible
from lightning_modules.tasks.search import Inversion, Targets, images_of

SIDES_OF_PATCHES = ((16, 3), (64, 5), (10**9, 9))  # images below so many pixels a side are filled by such patches


def patched_fill(images: Tensor, known: Tensor) -> Tensor:
    """:func:`exemplar_fill` by patches that go with the size of the images, 9 pixels from 64 on as its authors take."""
    patch = next(patch for side, patch in SIDES_OF_PATCHES if min(images.shape[2:]) < side)
    return exemplar_fill(images, known, patch=patch)


Fill = Callable[
    [Tensor, Tensor], Tensor
]  # images [B, C, H, W] and their known pixels [B, 1, H, W] -> the images, filled
PLAIN_FILLS: dict[str, Fill] = {
    "mean": mean_fill,
    "harmonic": harmonic_fill,
    "biharmonic": biharmonic_fill,
    "telea": telea_fill,
    "navier_stokes": navier_stokes_fill,
    "exemplar": patched_fill,
}
DEEP_PRIOR = "deep_prior"
GAUSSIAN, RETRIEVAL = "gaussian", "retrieval"  # fitted to the training images
ENCODER = "encoder"
SEAMLESS = "_seamless"  # the name of a search with the harmonic extension of what it misses
LIKELIEST = "_gaussian"  # and with the likeliest one, where the Gaussian of the training images is an arm too
Mend = Callable[
    [Tensor, Tensor, Tensor], Tensor
]  # images, originals, known pixels -> images that agree with what is known


@dataclass(frozen=True)
class Filled:
    """What an arm made of a batch: ``answers`` [B, K, C, H, W], the K images of each, ``seconds`` for all of them."""

    answers: Tensor
    seconds: float
    steps: int = 0  # of a search; of the batch that took fewest, where time ran out

    @property
    def images(self) -> Tensor:
        """The mean of each image's answers, [B, C, H, W]: of several the best guess in squared error."""
        return self.answers.mean(dim=1)


class Arm(ABC):
    """A way to fill holes."""

    @abstractmethod
    def fill(self, targets: Targets) -> dict[str, Filled]:
        """The images of a batch with holes, on the CPU, by the names of the arms that this one stands for."""


@dataclass(frozen=True)
class FillArm(Arm):
    """A fill of images [B, C, H, W] by their known pixels [B, 1, H, W], on the CPU."""

    name: str
    by: Fill

    def fill(self, targets: Targets) -> dict[str, Filled]:
        known = known_pixels(targets)
        started = time.perf_counter()
        filled = self.by(targets.through(targets.images).cpu(), known)
        return {self.name: Filled(filled[:, None], time.perf_counter() - started)}


@dataclass(frozen=True)
class DeepPriorArm(Arm):
    """Deep Image Prior: an untrained network for each image, addressed by its number."""

    seed: int
    steps: int

    def fill(self, targets: Targets) -> dict[str, Filled]:
        known, started = known_pixels(targets), time.perf_counter()
        measured, filled = targets.through(targets.images), []
        numbers = [number for number, _ in targets.addresses]
        for first, last in runs_of(numbers):
            part = slice(first, last)
            given = {"seed": self.seed, "first": numbers[first], "steps": self.steps}
            filled.append(deep_prior_fill(measured[part], known[part].to(measured.device), **given).cpu())
        return {DEEP_PRIOR: Filled(torch.cat(filled)[:, None], time.perf_counter() - started, self.steps)}


@dataclass(frozen=True)
class SearchArm(Arm):
    """A search in ``space``, ``restarts`` times for each image, and the same without the seam that pasting would leave."""

    space: str
    inversion: Inversion
    mends: Mapping[str, Mend]
    restarts: int = 1

    def fill(self, targets: Targets) -> dict[str, Filled]:
        found = self.inversion.embed(targets.times(self.restarts), space=self.space)
        drawn = images_of(found).unflatten(0, (len(targets), self.restarts))
        searched, steps = sum(part.seconds for part in found), min(len(part.trace) for part in found)
        return with_mends(self.space, Filled(drawn, searched, steps), targets, self.mends)


@dataclass(frozen=True)
class EncoderArm(Arm):
    """What the method's encoder finds in one pass, and the same without the seam."""

    method: Invertible
    mends: Mapping[str, Mend]

    def fill(self, targets: Targets) -> dict[str, Filled]:
        started, known = time.perf_counter(), known_pixels(targets)
        measured = targets.through(targets.images)
        with torch.no_grad():
            drawn = self.method.decode(self.method.encode(measured, known.to(measured.device)), targets.labels).cpu()
        return with_mends(ENCODER, Filled(drawn[:, None], time.perf_counter() - started), targets, self.mends)


def with_mends(name: str, found: Filled, targets: Targets, mends: Mapping[str, Mend]) -> dict[str, Filled]:
    """What an arm ``found`` as it is, and with each of ``mends`` under the arm's name and that of the mend."""
    count = found.answers.shape[1]
    known = known_pixels(targets).repeat_interleave(count, dim=0)
    originals = targets.through(targets.images).cpu().repeat_interleave(count, dim=0)
    made = {name: found}
    for ending, mend in mends.items():
        started = time.perf_counter()
        images = mend(found.answers.flatten(0, 1), originals, known).unflatten(0, found.answers.shape[:2])
        made[name + ending] = replace(found, answers=images, seconds=found.seconds + time.perf_counter() - started)
    return made


def runs_of(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Where consecutive ``numbers`` begin and end, as places."""
    breaks = [place for place in range(1, len(numbers)) if numbers[place] != numbers[place - 1] + 1]
    return list(zip([0, *breaks], [*breaks, len(numbers)], strict=True))


def known_pixels(targets: Targets) -> Tensor:
    """Which pixels of the targets are known: bool [B, 1, H, W], on the CPU."""
    assert isinstance(targets.through, Masked)
    return targets.through.known.cpu()


@dataclass(frozen=True)
class Arms:
    """The arms of these ``names`` for a method: of fills, and of its spaces."""

    inversion: Inversion
    datamodule: ImageData
    names: Sequence[str]
    restarts: int = 1
    deep_prior_steps: int = 3000

    def __post_init__(self) -> None:
        known = [
            *PLAIN_FILLS,
            DEEP_PRIOR,
            GAUSSIAN,
            RETRIEVAL,
            *self.method.space_names,
            *([ENCODER] if self.method.encodes else []),
        ]
        for name in self.names:
            if name not in known:
                raise ValueError(f"arms are some of {', '.join(known)}, got {name!r}")
        if not self.names:
            raise ValueError(f"arms is empty: name some of {', '.join(known)}")
        taken = {setting for name in self.spaces for setting in self.method.space_settings(name)}
        for setting in self.inversion.settings:
            if setting not in taken:
                raise ValueError(
                    f"{setting} is a setting of none of the arms {', '.join(self.names)}: name a space that has it, or leave it out"
                )
        for name in self.spaces:
            self.searching(name).inversion.space(name)  # which refuses values that it cannot have

    @property
    def method(self) -> Invertible:
        return self.inversion.method

    @property
    def spaces(self) -> list[str]:
        """The arms that are searches."""
        return [name for name in dict.fromkeys(self.names) if name in self.method.space_names]

    @property
    def lines(self) -> list[str]:
        """The names of all that is made of an image: of a search, and of an encoder, also without the seam."""
        made = {name: [name, *(name + ending for ending in self.endings)] for name in (*self.spaces, ENCODER)}
        return [line for name in dict.fromkeys(self.names) for line in made.get(name, [name])]

    @property
    def endings(self) -> list[str]:
        """Of the names of what is mended, without making anything."""
        return [SEAMLESS, *([LIKELIEST] if GAUSSIAN in self.names else [])]

    @cached_property
    def mends(self) -> dict[str, Mend]:
        own: dict[str, Mend] = {SEAMLESS: without_seam, LIKELIEST: lambda *images: self.gaussian.mended(*images)}
        return {ending: own[ending] for ending in self.endings}

    @cached_property
    def gaussian(self) -> ConditionalGaussian:
        return ConditionalGaussian(self.training_images)

    @property
    def training_images(self) -> Tensor:
        images: Tensor = self.datamodule.split("train")[0][:]
        return images

    @cached_property
    def all(self) -> list[Arm]:
        return [self.arm(name) for name in dict.fromkeys(self.names)]

    def arm(self, name: str) -> Arm:
        if name in self.spaces:
            return self.searching(name)
        if name == DEEP_PRIOR:
            return DeepPriorArm(self.inversion.seed, self.deep_prior_steps)
        if name == GAUSSIAN:
            return FillArm(name, self.gaussian.fill)
        if name == RETRIEVAL:
            return FillArm(name, Retrieval(self.training_images).fill)
        return EncoderArm(self.method, self.mends) if name == ENCODER else FillArm(name, PLAIN_FILLS[name])

    def searching(self, space: str) -> SearchArm:
        """The search in a space, with those of the settings that it has."""
        own = self.method.space_settings(space)
        settings = {name: value for name, value in self.inversion.settings.items() if name in own}
        return SearchArm(space, replace(self.inversion, settings=settings), self.mends, self.restarts)

    def fill(self, targets: Targets, *, seconds: float | None) -> dict[str, Filled]:
        """What every arm makes of a batch, searches in at most ``seconds`` together."""
        found: dict[str, Filled] = {}
        for arm in self.all:
            if isinstance(arm, SearchArm) and seconds is not None:
                arm = replace(arm, inversion=replace(arm.inversion, seconds=seconds / len(self.spaces)))
            found |= arm.fill(targets)
        return found
