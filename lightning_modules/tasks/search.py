"""The search for images in a method's spaces: its targets, its starts, its loss, batch by batch."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from generative.checks import check_at_least, check_choice
from generative.inversion.measurements import Masked, Measurement, Whole
from generative.inversion.memory import free_bytes, images_at_once, kept_bytes
from generative.inversion.objective import ReconstructionLoss
from generative.inversion.search import LEAST, Allowance, Found, ImageLoss, Space, nearest, search
from generative.inversion.tuning import BatchLoss, Draw, OwnWeights, Tuning, tuned, tuned_apart, tuned_at_once
from generative.randomness import Stream
from lightning_modules.base import Invertible
from metrics.features import LITE_SIDES, EfficientNetLite

NUM_SAMPLES = 32  # of each class: the nearest one is where a search starts, and their spread is its unit of length
SAMPLES_A_LATENT = 8  # where a point is made of several: so many to choose from for each
LEAST_SIDE = 64  # pixels a side at which the perceptual loss looks at small images
PERCEPTUAL = 0.1  # weight of that loss unless asked for another
TOO_SMALL = 16  # pixels a side below which images have nothing that it knows: there the default is 0
STARTS = ("nearest", "random", "encoder")
LEAST_KNOWN = 2  # pixels of which some can be held out: one to see, one to be judged by
# What a step keeps of one image, by space and settings, as long as a method is in use: found once for all batches.
MET: WeakKeyDictionary[Invertible, dict[tuple[str, str, str, bool], int]] = WeakKeyDictionary()
NOISE = 0.3  # of several latents that start where an encoder says, in units of the prior


def make_objective(method: Invertible, *, pixel: str, perceptual: float | None) -> ReconstructionLoss:
    """ValueError where the loss is none, or where the weights of its network are missing."""
    if perceptual is None:
        perceptual = PERCEPTUAL if method.image_shape[1] >= TOO_SMALL else 0.0
    objective = ReconstructionLoss(pixel, perceptual)  # which refuses what is neither
    if perceptual == 0:
        return objective
    side = min(max(method.image_shape[1], LEAST_SIDE), LITE_SIDES[0])
    try:
        network = EfficientNetLite(0, side=side).to(method.device)
    except ValueError as error:
        raise ValueError(f"{error}, or leave the perceptual loss out: perceptual=0") from error
    return replace(objective, stages=network.stages)


@dataclass(frozen=True)
class Targets:
    """What is looked for: ``images`` [N, C, H, W] in [-1, 1], of the classes ``labels`` [N], as far as ``through`` knows them.

    ``numbers`` [N]: of the images in their set, which address random starts; ``restarts`` [N]: the how manieth search for
    the same image a row is.
    """

    images: Tensor
    labels: Tensor | None
    through: Measurement = field(default_factory=Whole)
    numbers: Tensor | None = None
    restarts: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def addresses(self) -> list[tuple[int, int]]:
        """The number and restart of each row."""
        numbers = range(len(self)) if self.numbers is None else self.numbers.tolist()
        restarts = [0] * len(self) if self.restarts is None else self.restarts.tolist()
        return list(zip(numbers, restarts, strict=True))

    def of(self, rows: Tensor) -> Targets:
        """The targets of some ``rows`` alone."""
        numbers, restarts = torch.tensor(self.addresses)[rows.cpu()].unbind(dim=1)
        labels = None if self.labels is None else self.labels[rows]
        return Targets(self.images[rows], labels, self.through.of(rows), numbers, restarts)

    def times(self, count: int) -> Targets:
        """Every row ``count`` times in turn: [N count], each time another restart."""
        found = self.of(torch.arange(len(self), device=self.images.device).repeat_interleave(count))
        return replace(found, restarts=torch.arange(count).repeat(len(self)))

    def batches(self, size: int | list[int]) -> Iterator[Targets]:
        """In parts of one size, or of those."""
        for rows in torch.arange(len(self), device=self.images.device).split(size):
            yield self.of(rows)

    def beside(self, found: list[Found]) -> Iterator[tuple[Targets, Found]]:
        """Each batch of a search, as large as that was, with what was ``found``."""
        return zip(self.batches([len(part.losses) for part in found]), found, strict=True)


@dataclass(frozen=True)
class Inversion:
    """A search of ``steps`` for images that ``objective`` calls near, ``batch_size`` at a time.

    ``rate``: of Adam, in units of the samples' spread, by default each space's own. ``seconds``: the most that the search
    in one space takes, or that for classes, or a tuning, for all images together and with the samples that it starts from;
    each batch gets its share, of which at least one step comes. ``start``: from the ``nearest`` samples by what is known, from
    ``random`` latents by the number of the image, or where the method's ``encoder`` says. ``held_out``: a share of the known
    pixels that the loss does not see; the search ends for each image at the step that was best on them, see :meth:`apart`.
    ``settings`` of the space.
    """

    method: Invertible
    objective: ReconstructionLoss
    _: KW_ONLY
    seed: int
    steps: int
    rate: float | None
    batch_size: int
    seconds: float | None = None
    start: str = "nearest"
    held_out: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_at_least(1, steps=self.steps)
        check_at_least(1, batch_size=self.batch_size)
        check_choice("start", self.start, STARTS)
        if self.start == "encoder" and not self.method.encodes:
            raise ValueError(f"start=encoder needs a method with an encoder, and {type(self.method).__name__} has none")
        if not 0 <= self.held_out < 1:
            raise ValueError(f"held_out is a share of the known pixels from 0 to below 1, got {self.held_out}")
        for name in ("rate", "seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {value}")

    @cached_property
    def samples(self) -> Tensor:
        """Latents [K, ...] whose spread is the unit of length; the nearest of them is the start of a single latent."""
        return self.samples_of(0, NUM_SAMPLES)

    def samples_of(self, restart: int, count: int) -> Tensor:
        return self.method.latents(restart * count, count, seed=self.seed, stream="inversion")

    def space(self, name: str, labels: Tensor | None = None) -> Space:
        """The space ``name`` with this search's settings; ValueError where the method has none of that name."""
        check_space(self.method, name)
        return self.method.space(name, labels, samples=self.samples, settings=self.settings)

    def starts(self, batch: Targets, *, num_latents: int) -> Tensor:
        """The latents that a batch is searched from: [B, ...], or [B, num_latents, ...] where a point is made of several."""
        ways = {"nearest": self.near_starts, "random": self.random_starts, "encoder": self.encoded_starts}
        return alone_or_several(ways[self.start](batch, num_latents))

    def encoded_starts(self, batch: Targets, num_latents: int) -> Tensor:
        """What the method's encoder says, with noise of each latent's own where there are several, or several restarts."""
        known = batch.through.known if isinstance(batch.through, Masked) else None
        codes = self.method.encode(batch.through(batch.images), known)[:, None].expand(-1, num_latents, -1)
        is_alone = torch.tensor(
            [num_latents == 1 and restart == 0 for _, restart in batch.addresses], device=codes.device
        )
        return torch.where(is_alone[:, None, None], codes, codes + NOISE * self.random_starts(batch, num_latents))

    def random_starts(self, batch: Targets, num_latents: int) -> Tensor:
        """Each a function of the seed, the number of the image, the restart and the place among the latents of a point."""

        def of_row(number: int, restart: int) -> Tensor:
            streams = (f"inversion start {restart}, latent {place}" for place in range(num_latents))
            return torch.cat([self.method.latents(number, 1, seed=self.seed, stream=stream) for stream in streams])

        return torch.stack([of_row(*address) for address in batch.addresses])

    @torch.no_grad()
    def near_starts(self, batch: Targets, num_latents: int) -> Tensor:
        """For each target the latents of the nearest samples of its class, by what is known; other samples each restart."""
        count = max(NUM_SAMPLES, SAMPLES_A_LATENT * num_latents) if num_latents > 1 else NUM_SAMPLES
        labels = [None] * len(batch) if batch.labels is None else batch.labels.tolist()
        groups = [(label, restart) for label, (_, restart) in zip(labels, batch.addresses, strict=True)]
        found: list[Tensor | None] = [None] * len(batch)
        for group in dict.fromkeys(groups):
            rows = torch.tensor(
                [row for row, of_row in enumerate(groups) if of_row == group], device=batch.images.device
            )
            samples, drawn = self.drawn_samples(*group, count)
            places = nearest(drawn, batch.images[rows], through=batch.through.of(rows), count=num_latents)
            for row, chosen in zip(rows.tolist(), samples[places], strict=True):
                found[row] = chosen
        return torch.stack([chosen for chosen in found if chosen is not None])

    def drawn_samples(self, label: int | None, restart: int, count: int) -> tuple[Tensor, Tensor]:
        """Samples of a class: their latents [K, ...] and images [K, C, H, W]."""
        samples = self.samples_of(restart, count)
        parts = samples.split(self.batch_size)
        images = [
            self.method.decode(part, None if label is None else self.labels_of(label, len(part))) for part in parts
        ]
        return samples, torch.cat(images)

    def labels_of(self, label: int, count: int) -> Tensor:
        return torch.full((count,), label, device=self.method.device)

    def embed(self, targets: Targets, *, space: str) -> list[Found]:
        """Where the search in ``space`` ended, batch by batch."""
        check_space(self.method, space)
        started, size = time.perf_counter(), self.at_once(targets, space=space)
        allowance, found = Allowance(self.left(started), len(targets)), []
        for batch in targets.batches(size):
            with allowance.of(len(batch)) as seconds:
                found.append(self.embed_batch(batch, space=space, seconds=seconds))
        return found

    def left(self, started: float) -> float | None:
        """Of ``seconds``, where something was done since ``started`` that takes from them."""
        return None if self.seconds is None else max(LEAST, self.seconds - (time.perf_counter() - started))

    def at_once(self, targets: Targets, *, space: str) -> int:
        """Images of a batch: ``batch_size``, or as many fewer as the free memory asks for; ValueError where it is too little."""
        one = targets.of(torch.arange(1, device=targets.images.device))
        met = MET.setdefault(self.method, {})
        key = (space, repr(sorted(self.settings.items())), self.objective.pixel, self.objective.perceptual > 0)
        if key not in met:
            any_class = self.labels_of(0, 1) if self.method.num_classes > 0 else None
            chosen = self.space(space, any_class if one.labels is None else one.labels)
            point = chosen.at(alone_or_several(self.random_starts(one, chosen.num_latents)))
            met[key] = kept_bytes(chosen, point, self.objective.to(one.images, through=one.through))
        return images_at_once(met[key], most=self.batch_size, free=free_bytes(one.images.device))

    def embed_batch(self, batch: Targets, *, space: str, seconds: float | None = None) -> Found:
        """The search for the images of one batch; its ``seconds`` are also those of finding where it starts."""
        started = time.perf_counter()
        chosen = self.space(space, batch.labels)
        start = chosen.at(self.starts(batch, num_latents=chosen.num_latents))
        loss, watch = self.losses(batch)
        before = time.perf_counter() - started
        left = None if seconds is None else max(LEAST, seconds - before)
        found = search(chosen, loss, start, steps=self.steps, rate=self.rate, seconds=left, watch=watch)
        return replace(found, seconds=before + found.seconds)

    def losses(self, batch: Targets) -> tuple[ImageLoss, ImageLoss | None]:
        """What a search goes down, and what it is judged by, if anything is held out."""
        seen, watched = self.apart(batch)
        watch = None if watched is None else ReconstructionLoss("l2").to(batch.images, through=watched)
        return self.objective.to(batch.images, through=seen), watch

    def apart(self, batch: Targets) -> tuple[Measurement, Measurement | None]:
        """What a search sees of what is known, and what it is judged by, if anything is held out.

        A known pixel is held out with the chance ``held_out``, by the number of the image. Where chance would leave nothing
        to see or nothing to be judged by, the pixel that was nearest to it is taken: both have one at least.
        """
        if self.held_out == 0:
            return batch.through, None
        if not isinstance(batch.through, Masked):
            raise ValueError(
                f"held_out={self.held_out:g} hides some known pixels of images with holes: leave it out here"
            )
        known, stream = batch.through.known, Stream(self.seed, "held out")
        if few := (known.sum(dim=(1, 2, 3)) < LEAST_KNOWN).nonzero().flatten().tolist():
            raise ValueError(f"image number {few[0]} of a batch: {too_little_to_hold_out(self.held_out)}")
        chances = torch.cat([stream.uniform(number, 1, 1, *known.shape[2:]) for number, _ in batch.addresses])
        chances = chances.to(known.device)
        kept, rows = (chances >= self.held_out).flatten(1), torch.arange(len(known), device=known.device)
        kept[rows, torch.where(known, chances, -1.0).flatten(1).argmax(dim=1)] = True
        kept[rows, torch.where(known, chances, 2.0).flatten(1).argmin(dim=1)] = False
        seen = known & kept.view(known.shape)
        return Masked(seen), Masked(known & ~seen)

    def class_steps(self) -> int:
        """Steps of the search for the class of an image: a tenth of those of a search, in each class."""
        return self.method.num_classes * max(1, self.steps // 10)

    def best_classes(self, targets: Targets) -> Tensor:
        """The class of each target [N] in which a short search, a tenth of the steps, by pixels alone, leaves least.

        It sees all that is known: so few steps need no end by pixels that are held out.
        """
        pixels, num_classes = replace(self.objective, perceptual=0.0, stages=None), self.method.num_classes
        steps = self.class_steps() // num_classes
        short = replace(self, objective=pixels, steps=steps, start="nearest", held_out=0.0, settings={})
        started, size = time.perf_counter(), short.at_once(targets, space=self.method.space_names[0])
        allowance, chosen = Allowance(self.left(started), num_classes * len(targets)), []
        for batch in targets.batches(size):
            losses = []
            for group in range(num_classes):
                labelled = replace(batch, labels=self.labels_of(group, len(batch)))
                with allowance.of(len(batch)) as seconds:
                    found = short.embed_batch(labelled, space=self.method.space_names[0], seconds=seconds)
                losses.append(found.losses)
            chosen.append(torch.stack(losses).argmin(dim=0))
        return torch.cat(chosen)

    def with_classes(self, targets: Targets) -> Targets:
        """``targets`` with labels: their own, else the best of all classes, if the method knows any."""
        if targets.labels is not None or self.method.num_classes == 0:
            return targets
        return replace(targets, labels=self.best_classes(targets))

    def tuned_apart(self, targets: Targets, pivots: list[Found], tuning: Tuning, *, space: str) -> list[Found]:
        """The ``targets`` at the ``pivots`` found in ``space``, drawn by weights of each image's own, in parts that fit.

        The method's own weights stay as they are. ``seconds`` are those of the tuning alone. What a search does not see is not
        seen here: with ``held_out`` an image is taken from the step that was best on the pixels held out.
        """
        parameters, allowance, found = self.method.tunable(), Allowance(self.seconds, len(targets)), []
        drawing = OwnWeights(self.method, parameters, self.drawing(space))
        points = {name: torch.cat([part.point[name] for part in pivots]) for name in pivots[0].point}
        size = min(self.at_once(targets, space=space), tuned_at_once(parameters))
        for rows in torch.arange(len(targets), device=targets.images.device).split(size):
            with allowance.of(len(rows)) as seconds:
                part, point = targets.of(rows), {name: values[rows] for name, values in points.items()}
                loss, watch = self.losses(part)
                found.append(tuned_apart(drawing, point, part.labels, loss, tuning, seconds=seconds, watch=watch))
        return found

    def drawing(self, space: str) -> Draw:
        """What draws points of ``space``, whatever the classes of their images."""
        if self.method.num_classes > 0:
            return lambda point, labels: self.space(space, labels).draw(point)
        chosen = self.space(space)  # once: a space may have much to make
        return lambda point, labels: chosen.draw(point)

    def tuned(
        self, targets: Targets, pivots: list[Found], *, space: str, steps: int, rate: float
    ) -> AbstractContextManager[None]:
        """Inside, the method's generator is tuned to draw the ``targets`` at the ``pivots`` that were found in ``space``."""

        def loss_of(batch: Targets, pivot: Found) -> BatchLoss:
            chosen = self.space(space, batch.labels)
            loss = self.objective.to(batch.images, through=batch.through)
            return lambda: loss(chosen.draw(pivot.point)).sum()

        losses = [loss_of(batch, pivot) for batch, pivot in targets.beside(pivots)]
        return tuned(self.method.tunable(), losses, num_images=len(targets), steps=steps, rate=rate)

    @torch.no_grad()
    def images_at(self, targets: Targets, found: list[Found], *, space: str) -> Tensor:
        """The images of points that were found in ``space`` for ``targets``, by the weights of now: on the CPU."""
        drawn = [self.space(space, batch.labels).draw(part.point).cpu() for batch, part in targets.beside(found)]
        return torch.cat(drawn)


def too_little_to_hold_out(held_out: float) -> str:
    return f"held_out={held_out:g} needs two known pixels, one to see and one to be judged by: leave it out here"


def check_space(method: Invertible, name: str) -> None:
    if name not in method.space_names:
        raise ValueError(f"space must be one of {', '.join(method.space_names)}, got {name!r}")


def alone_or_several(latents: Tensor) -> Tensor:
    """[B, N, ...] as a space takes them: where N is 1, [B, ...]."""
    return latents if latents.shape[1] > 1 else latents[:, 0]


def images_of(found: list[Found]) -> Tensor:
    """What searches drew at their ends: [N, C, H, W] on the CPU."""
    return torch.cat([part.images.cpu() for part in found])
