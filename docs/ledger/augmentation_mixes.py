"""Figure 17 of ReGene with controls: students of mixes of original images and images that were made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from docs.ledger.augmentation_arms import as_bytes, facts_of
from docs.ledger.results import Line
from docs.ledger.students import Lesson, macro_f1, named, taught
from generative.randomness import permutation
from launch.checkpoint import LAST, load_method
from lightning_modules.regene.module import ReGene
from lightning_modules.regene.samplers import images_of

QUESTION = "share"
COPIES = "copies"  # of the originals, in place of images that were made
SOURCES = {
    "means of latents, filtered": "convex_2_filtered",
    "variance kept, filtered": "variance_2_filtered",
    "means of pixels": "pixels_2",
    COPIES: COPIES,
}
REPLACED, ADDED = "in place of originals", "beside all originals"
SHARES = {REPLACED: (1.0, 0.75, 0.5, 0.25, 0.0), ADDED: (0.25, 0.5, 0.75, 1.0)}  # of the number of originals
ORIGINALS = "originals"  # nothing made: share 0 of every source


@dataclass(frozen=True)
class Labelled:
    """``images`` uint8 [N, C, H, W] and their ``labels`` [N]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | Tensor) -> Labelled:
        return Labelled(self.images[rows], self.labels[rows])

    def __add__(self, other: Labelled) -> Labelled:
        return Labelled(torch.cat([self.images, other.images]), torch.cat([self.labels, other.labels]))


def mixed(originals: Labelled, made: Labelled | None, *, how: str, share: float) -> Labelled:
    """A mix in which ``share`` of as many images as there are ``originals`` are made, the first of ``made``; None: copies.

    In place of originals the number of images stays: the first of them are left, and copies are of those. ValueError for
    copies without an original.
    """
    count = round(share * len(originals))
    left = originals[: len(originals) - count] if how == REPLACED else originals
    if made is not None:
        return left + made[:count]
    if len(left) == 0:
        raise ValueError("copies need originals: a share of copies alone is below 1")
    return left + left[torch.arange(count) % len(left)]


def originals_of(method: ReGene, images: Tensor, labels: Tensor) -> Labelled:
    """All training images in an order by the run's seed, so that the first of them are a random part."""
    order = torch.from_numpy(permutation(method.seed, 0, len(labels), name="originals"))
    return Labelled(as_bytes(images), labels)[order]


def asked_mixes(source: str) -> Iterator[tuple[str, float]]:
    """How and by which shares the images of a source are mixed in; originals alone are a source of their own."""
    for how, shares in SHARES.items():
        for share in shares:
            if share > 0 and not (source == COPIES and how == REPLACED and share == 1.0):
                yield how, share


def share_lines(run: Path, *, lesson: Lesson, device: str = "cpu", sources: list[str] | None = None) -> Iterator[Line]:
    """A line a mix: accuracy and macro F1 of its student on the whole test split, all of them taught equally many steps.

    ``sources``: some of :data:`SOURCES`, by default all.
    """
    method, datamodule = load_method(run / "checkpoints" / LAST, device=device)
    if not isinstance(method, ReGene):
        raise ValueError(f"{run} is of {type(method).__name__}: give runs of method=regene")
    images, labels = datamodule.split("train")
    originals, test = originals_of(method, images, labels), Labelled(*datamodule.split("test"))
    facts = facts_of(method, lesson, device=device) | {"question": QUESTION, "originals": len(originals)}

    def line_of(mix: Labelled, source: str, how: str, share: float) -> Line:
        student = taught(mix.images, mix.labels, method.num_classes, seed=method.seed, lesson=lesson, device=device)
        found = named(student, as_bytes(test.images), device=device)
        accuracy = float((found == test.labels).double().mean())
        told = {"arm": source, "how": how, "share": share, "images": len(mix), "accuracy": accuracy}
        return facts | told | {"macro_f1": macro_f1(found, test.labels, method.num_classes)}

    yield line_of(originals, ORIGINALS, REPLACED, 0.0)
    for source in SOURCES if sources is None else sources:
        made = None
        if source != COPIES:
            cycle = method.label_cycle(labels, seed=method.seed)
            assert cycle is not None
            found = images_of(method, SOURCES[source], datamodule, cycle.cpu(), len(originals), seed=method.seed)
            made = Labelled(found.images(0, len(originals)), found.labels().cpu())
        for how, share in asked_mixes(source):
            yield line_of(mixed(originals, made, how=how, share=share), source, how, share)
