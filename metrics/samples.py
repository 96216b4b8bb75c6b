"""What a method draws or makes again, as sets of images by number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from generative.rendering.images import from_uint8, to_uint8
from metrics.image_sets import KeptImageSet
from metrics.quality import RECONSTRUCTION_METRICS


class Grouped(Protocol):
    """What draws images of which those of a group may hang on each other."""

    def whole_groups(self, first: int, count: int) -> range:
        """The numbers of the images ``first .. first + count - 1`` and of all that are drawn together with one of them."""


class Sampler(Grouped, Protocol):
    """What draws image k of a seed as a function of (weights, seed, k, the labels of its group) alone."""

    image_shape: tuple[int, int, int]  # channels, height, width

    def label_cycle(self, data_labels: Tensor | None, *, seed: int) -> Tensor | None:
        """The classes that are asked for over and over, from the labels [N] of a data set; None without classes."""

    def sample(self, first: int, count: int, *, seed: int, labels: Tensor | None = None) -> Tensor:
        """Images ``first .. first + count - 1``, [count, C, H, W], nominally in [-1, 1]."""


class DrawnImages:
    """The images 0 .. count - 1 of evaluation seed ``seed``, drawn under the averaged weights when asked for.

    Their classes are in the shares of ``data_labels`` [N], or balanced. Whole groups are drawn, so that an image is the same
    in any batch, also where images hang on each other.
    """

    def __init__(self, method: Sampler, count: int, *, seed: int, data_labels: Tensor | None = None) -> None:
        self.method, self.count, self.seed = method, count, seed
        self.cycle = method.label_cycle(data_labels, seed=seed)
        self.name = f"samples of {type(method).__name__}"
        self.shape = method.image_shape

    def __len__(self) -> int:
        return self.count

    def images(self, first: int, count: int) -> Tensor:
        asked = among_groups(
            self.method, first, count, cycle=self.cycle, draw=partial(self.method.sample, seed=self.seed)
        )
        check_finite(asked, first=first)
        return to_uint8(asked)

    def labels(self) -> Tensor | None:
        labels = in_turn(self.cycle, 0, self.count)
        return None if labels is None else labels.cpu()

    def fingerprint(self) -> str:
        return ""


class Reconstructor(Protocol):
    """What makes an image again from a code."""

    num_classes: int  # 0: it takes no labels

    @property
    def device(self) -> torch.device: ...

    @property
    def dtype(self) -> str | torch.dtype: ...

    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images [B, C, H, W] in [-1, 1], of the classes ``labels`` [B], and the same again."""


class Reconstructions:
    """The images of a set as a method makes them again when asked for."""

    def __init__(self, method: Reconstructor, originals: KeptImageSet) -> None:
        self.method, self.originals = method, originals
        self.known_labels = originals.labels() if method.num_classes > 0 else None
        self.name = f"reconstructions of {originals.name}"
        self.shape = originals.shape

    def __len__(self) -> int:
        return len(self.originals)

    @torch.no_grad()
    def images(self, first: int, count: int) -> Tensor:
        originals = from_uint8(self.originals.images(first, count)).to(self.method.device).type(self.method.dtype)
        labels = None
        if self.known_labels is not None:
            labels = self.known_labels[first : first + count].to(self.method.device)
        made = self.method.reconstruct(originals, labels)
        check_finite(made, first=first)
        return to_uint8(made).cpu()  # where the originals are that it is compared with

    def labels(self) -> Tensor | None:
        return self.known_labels

    def fingerprint(self) -> str:
        return ""


def in_turn(cycle: Tensor | None, first: int, count: int) -> Tensor | None:
    """The labels [count] that a label cycle [N] has for the images ``first .. first + count - 1``."""
    return None if cycle is None else cycle[torch.arange(first, first + count, device=cycle.device) % len(cycle)]


def among_groups(
    method: Grouped, first: int, count: int, *, cycle: Tensor | None, draw: Callable[..., Tensor]
) -> Tensor:
    """Images ``first .. first + count - 1`` [count, ...], drawn among all that hang on each other with one of them.

    ``draw(first, count, labels=...)`` is asked for whole groups, whose classes are those of ``cycle`` [N] in turn.
    """
    numbers = method.whole_groups(first, count)
    drawn = draw(numbers.start, len(numbers), labels=in_turn(cycle, numbers.start, len(numbers)))
    return drawn[first - numbers.start :][:count]


def check_finite(images: Tensor, *, first: int) -> None:
    """ValueError that names the first of the samples ``first ..``, [B, C, H, W], with pixels that are not finite."""
    finite = images.flatten(1).isfinite().all(dim=1)
    if not finite.all():
        number = first + int((~finite).nonzero()[0])
        raise ValueError(f"sample number {number} has pixels that are not finite: the generator diverged")


def check_generated(metrics: Sequence[str]) -> None:
    """ValueError for metrics of pairs: samples have no originals."""
    pairs = [name for name in metrics if name in RECONSTRUCTION_METRICS]
    if pairs:
        raise ValueError(f"{', '.join(pairs)} compare images with their originals, and fresh samples have none")
