"""The arms of inpainting: fills that need no generator, and searches in a method's spaces, under one interface."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from generative.inversion.deep_prior import deep_prior_fill
from generative.inversion.exemplar import exemplar_fill, largest_patches
from generative.inversion.fills import (
    biharmonic_fill,
    harmonic_fill,
    mean_fill,
    navier_stokes_fill,
    telea_fill,
    without_seam,
)
from generative.inversion.measurements import Masked
from generative.inversion.search import Allowance, Found
from generative.inversion.trained_fills import ConditionalGaussian, Retrieval
from generative.inversion.tuning import Tuning
from lightning_modules.base import ImageData, Invertible
from lightning_modules.tasks.search import LEAST_KNOWN, Inversion, Targets, images_of, too_little_to_hold_out

LEAST_PATCH = 3
SIDES_OF_PATCHES = ((16, 3), (64, 5), (10**9, 9))  # images below so many pixels a side are filled by such patches


def patched_fill(images: Tensor, known: Tensor) -> Tensor:
    """:func:`exemplar_fill` by patches that go with the size of the images, 9 pixels from 64 on as its authors take.

    An image that has no such square without a hidden pixel is filled from the largest that it has, of 3 pixels at least.
    """
    most = next(patch for side, patch in SIDES_OF_PATCHES if min(images.shape[2:]) < side)
    patches = largest_patches(known, most=most)
    rows = zip(images.split(1), known.split(1), patches, strict=True)
    return torch.cat([exemplar_fill(image, mask, patch=max(patch, LEAST_PATCH)) for image, mask, patch in rows])


def without_patches(known: Tensor) -> dict[int, str]:
    """The rows of ``known`` [B, 1, H, W] that :func:`patched_fill` cannot fill, and why."""
    patches = largest_patches(known, most=LEAST_PATCH)
    reason = (
        f"no square of {LEAST_PATCH} x {LEAST_PATCH} pixels is known that could be copied: leave out the arm exemplar"
    )
    return {row: reason for row, patch in enumerate(patches) if patch < LEAST_PATCH}


def nothing_refused(known: Tensor) -> dict[int, str]:
    return {}


# Images [B, C, H, W] and their known pixels [B, 1, H, W] -> the images, filled.
Fill = Callable[[Tensor, Tensor], Tensor]
# Known pixels [B, 1, H, W] -> the rows that a fill cannot fill, and why in a sentence.
Refusals = Callable[[Tensor], dict[int, str]]
PLAIN_FILLS: dict[str, Fill] = {
    "mean": mean_fill,
    "harmonic": harmonic_fill,
    "biharmonic": biharmonic_fill,
    "telea": telea_fill,
    "navier_stokes": navier_stokes_fill,
    "exemplar": patched_fill,
}
REFUSALS: dict[str, Refusals] = {"exemplar": without_patches}
DEEP_PRIOR = "deep_prior"
GAUSSIAN, RETRIEVAL = "gaussian", "retrieval"  # fitted to the training images
ENCODER = "encoder"
TUNED = "_tuned"  # behind the name of a search: by weights of each image's own, tuned at what it found
SEAMLESS = "_seamless"  # and with the harmonic extension of what is missed at the known pixels
LIKELIEST = "_gaussian"  # or with the likeliest one, where the Gaussian of the training images is an arm too
# Images, originals, known pixels -> images that agree with what is known.
Mend = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Filled:
    """What an arm made of a batch: ``answers`` [B, K, C, H, W], the K images of each, ``seconds`` for all of them.

    ``refused``: the rows of the batch that it could make nothing of, and why; B counts the others.
    """

    answers: Tensor
    seconds: float
    steps: int = 0  # of a search or a tuning; of the batch that took fewest, where time ran out
    refused: Mapping[int, str] = field(default_factory=dict)

    @property
    def images(self) -> Tensor:
        """The mean of each image's answers, [B, C, H, W]: of several the best guess in squared error."""
        return self.answers.mean(dim=1)


class Arm(ABC):
    """A way to fill holes."""

    @property
    @abstractmethod
    def lines(self) -> Sequence[str]:
        """The names of all that it makes of an image."""

    @abstractmethod
    def fill(self, targets: Targets) -> dict[str, Filled]:
        """The images of a batch with holes, on the CPU, by the names of its ``lines``. It refuses none of them."""

    def refused(self, targets: Targets) -> dict[int, str]:
        """The rows of a batch that it cannot fill, and why in a sentence: they cost no other image anything."""
        return {}

    def fill_what_it_can(self, targets: Targets) -> dict[str, Filled]:
        """:meth:`fill` of the rows that it does not refuse."""
        refused = self.refused(targets)
        if not refused:
            return self.fill(targets)
        rows = [row for row in range(len(targets)) if row not in refused]
        nothing = Filled(targets.images[:0, None].cpu(), 0.0)
        found = self.fill(targets.of(torch.tensor(rows))) if rows else dict.fromkeys(self.lines, nothing)
        return {name: replace(made, refused=refused) for name, made in found.items()}


@dataclass(frozen=True)
class FillArm(Arm):
    """A fill of images [B, C, H, W] by their known pixels [B, 1, H, W], on the CPU."""

    name: str
    by: Fill
    refuses: Refusals = nothing_refused

    @property
    def lines(self) -> Sequence[str]:
        return [self.name]

    def refused(self, targets: Targets) -> dict[int, str]:
        return self.refuses(known_pixels(targets))

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
    lines = (DEEP_PRIOR,)

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
    """A search in ``space``, ``restarts`` times for each image, and the same without the seam that pasting would leave.

    With a ``tuning`` also both by weights of each image's own, tuned on its known pixels at what the search found.
    """

    space: str
    inversion: Inversion
    mends: Mapping[str, Mend]
    restarts: int = 1
    tuning: Tuning | None = None

    @property
    def drawn(self) -> Sequence[str]:
        """Those of its lines whose images are as the generator draws them."""
        return [self.space] if self.tuning is None else [self.space, self.space + TUNED]

    @property
    def lines(self) -> Sequence[str]:
        return [name + ending for name in self.drawn for ending in ("", *self.mends)]

    @property
    def steps(self) -> int:
        """That it may take for all searches of an image."""
        return self.restarts * (self.inversion.steps + (0 if self.tuning is None else self.tuning.steps))

    def refused(self, targets: Targets) -> dict[int, str]:
        if self.inversion.held_out == 0:
            return {}
        few = known_pixels(targets).sum(dim=(1, 2, 3)) < LEAST_KNOWN
        return dict.fromkeys(few.nonzero().flatten().tolist(), too_little_to_hold_out(self.inversion.held_out))

    def fill(self, targets: Targets) -> dict[str, Filled]:
        each, allowance = targets.times(self.restarts), Allowance(self.inversion.seconds, self.steps / self.restarts)
        with allowance.of(self.inversion.steps) as seconds:
            found = replace(self.inversion, seconds=seconds).embed(each, space=self.space)
        searched = self.filled(targets, found, before=0.0)
        made = with_mends(self.space, searched, targets, self.mends)
        if self.tuning is None:
            return made
        with allowance.of(self.tuning.steps) as seconds:
            inversion = replace(self.inversion, seconds=seconds)
            tuned = inversion.tuned_apart(each, found, self.tuning, space=self.space)
        own = self.filled(targets, tuned, before=searched.seconds)
        return made | with_mends(self.space + TUNED, own, targets, self.mends)

    def filled(self, targets: Targets, found: list[Found], *, before: float) -> Filled:
        """What was ``found`` for all restarts of the targets, and the seconds until then with those ``before``."""
        drawn = images_of(found).unflatten(0, (len(targets), self.restarts))
        seconds = before + sum(part.seconds for part in found)
        return Filled(drawn, seconds, min(len(part.trace) for part in found))


@dataclass(frozen=True)
class EncoderArm(Arm):
    """What the method's encoder finds in one pass, and the same without the seam."""

    method: Invertible
    mends: Mapping[str, Mend]

    @property
    def lines(self) -> Sequence[str]:
        return [ENCODER, *(ENCODER + ending for ending in self.mends)]

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
    """The arms of these ``names`` for a method: of fills, and of its spaces, these with a ``tuning`` where there is one."""

    inversion: Inversion
    datamodule: ImageData
    names: Sequence[str]
    restarts: int = 1
    deep_prior_steps: int = 3000
    tuning: Tuning | None = None

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
    def drawn(self) -> list[str]:
        """The lines whose images are as the generator draws them."""
        return [line for space in self.spaces for line in self.searching(space).drawn]

    @property
    def lines(self) -> list[str]:
        """The names of all that is made of an image: of a search, and of an encoder, also mended."""
        made: dict[str, Sequence[str]] = {space: self.searching(space).lines for space in self.spaces}
        made[ENCODER] = EncoderArm(self.method, self.mends).lines
        return [line for name in dict.fromkeys(self.names) for line in made.get(name, [name])]

    @cached_property
    def mends(self) -> dict[str, Mend]:
        """By the endings of their names; the Gaussian is fitted only when it mends."""
        found: dict[str, Mend] = {SEAMLESS: without_seam}
        if GAUSSIAN in self.names:
            found[LIKELIEST] = lambda *images: self.gaussian.mended(*images)
        return found

    @cached_property
    def gaussian(self) -> ConditionalGaussian:
        return ConditionalGaussian(self.training_images)

    @property
    def training_images(self) -> Tensor:
        images: Tensor = self.datamodule.split("train")[0][:]
        return images

    @cached_property
    def fills(self) -> list[Arm]:
        """The arms that are no searches."""
        return [self.filling(name) for name in dict.fromkeys(self.names) if name not in self.spaces]

    def filling(self, name: str) -> Arm:
        if name == DEEP_PRIOR:
            return DeepPriorArm(self.inversion.seed, self.deep_prior_steps)
        if name == GAUSSIAN:
            return FillArm(name, self.gaussian.fill)
        if name == RETRIEVAL:
            return FillArm(name, Retrieval(self.training_images).fill)
        if name == ENCODER:
            return EncoderArm(self.method, self.mends)
        return FillArm(name, PLAIN_FILLS[name], REFUSALS.get(name, nothing_refused))

    def searching(self, space: str) -> SearchArm:
        """The search in a space, with those of the settings that it has."""
        own = self.method.space_settings(space)
        settings = {name: value for name, value in self.inversion.settings.items() if name in own}
        return SearchArm(space, replace(self.inversion, settings=settings), self.mends, self.restarts, self.tuning)

    def fill(self, targets: Targets, *, allowance: Allowance) -> dict[str, Filled]:
        """What every arm makes of a batch, by their ``lines``: all searches in what the ``allowance`` has for these images."""
        fills = self.fills  # some are fitted to the training images, before the time of the searches runs
        with allowance.of(len(targets)) as seconds:
            targets, found = self.search(targets, seconds=seconds)
        for arm in fills:
            found |= arm.fill_what_it_can(targets)
        return {line: found[line] for line in self.lines}

    def search(self, targets: Targets, *, seconds: float | None) -> tuple[Targets, dict[str, Filled]]:
        """The ``targets`` with their classes, and what the searches make of them, within so many ``seconds``.

        Time is shared by the steps that each may take; those for classes count as well.
        """
        searches = [self.searching(space) for space in self.spaces]
        unknown = targets.labels is None and self.method.num_classes > 0 and (searches or ENCODER in self.names)
        steps = self.inversion.class_steps() if unknown else 0
        allowance = Allowance(seconds, steps + sum(arm.steps for arm in searches))
        if unknown:
            with allowance.of(steps) as share:
                targets = replace(self.inversion, seconds=share).with_classes(targets)
        found: dict[str, Filled] = {}
        for arm in searches:
            with allowance.of(arm.steps) as share:
                found |= replace(arm, inversion=replace(arm.inversion, seconds=share)).fill_what_it_can(targets)
        return targets, found
