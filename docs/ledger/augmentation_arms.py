"""What docs/results/augmentation.md compares for a rare class: more images of it, made in each of several ways of the same few."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datamodules.base import ImageDataModule
from docs.ledger.results import Line
from docs.ledger.students import Lesson, macro_f1, named, taught
from generative.augmentation import TURN_DRAWS, turn_and_shift
from generative.latents.bank import Bank
from generative.latents.names import make_sampler
from generative.randomness import Stream
from generative.rendering.images import from_uint8, to_uint8
from launch.checkpoint import LAST, load_method
from lightning_modules.regene.drawing import GaveUp
from lightning_modules.regene.module import ReGene
from lightning_modules.regene.samplers import CombinedPixels
from records.environment import environment

DEGREES, SHIFT = (
    15.0,
    1 / 8,
)  # of classical augmentation: the largest turn, and the largest move as a share of the image
QUESTION = "rare class"


@dataclass(frozen=True)
class RareClass:
    """A trained ``method`` and the data that it knew, with few images of class ``label``."""

    method: ReGene
    datamodule: ImageDataModule
    label: int

    @cached_property
    def known(self) -> tuple[Tensor, Tensor]:
        """All images that are known, trained on or held out, uint8 [N, C, H, W], and their labels."""
        names = ["train", "rest"] if self.datamodule.holds_out else ["train"]
        parts = [self.datamodule.split(name) for name in names]
        return torch.cat([as_bytes(images) for images, _ in parts]), torch.cat([labels for _, labels in parts])

    @cached_property
    def few(self) -> Tensor:
        """The images of the class that the method was trained on, of which all arms make more: uint8 [k, C, H, W]."""
        images, labels = self.datamodule.split("train")
        return as_bytes(images[(labels == self.label).nonzero()[:, 0]])

    @property
    def num_missing(self) -> int:
        """How many images bring the class up to the mean of the others."""
        counts = self.known[1].bincount(minlength=self.method.num_classes)
        others = int(counts.sum() - counts[self.label])
        return max(0, round(others / (len(counts) - 1)) - int(counts[self.label]))


def as_bytes(images: Tensor) -> Tensor:
    """Images as a data module keeps them, [N, C, H, W], as uint8."""
    return images[:] if images.dtype == torch.uint8 else to_uint8(images[:])


def copies(rare: RareClass, count: int, seed: int) -> Tensor:
    """The same images again, in turn."""
    return rare.few[torch.arange(count) % len(rare.few)]


def turned(rare: RareClass, count: int, seed: int) -> Tensor:
    """Copies, each turned by up to 15 degrees and moved by up to an eighth of the image."""
    uniform = Stream(seed, "turned copies").uniform(0, count, TURN_DRAWS)
    pixels = SHIFT * rare.few.shape[2]
    return to_uint8(turn_and_shift(from_uint8(copies(rare, count, seed)), uniform, degrees=DEGREES, pixels=pixels))


def pixel_means(rare: RareClass, count: int, seed: int) -> Tensor:
    """The mean of the pixels of two of them: of those whose latents ``convex_2`` combines."""
    return CombinedPixels(rare.method, rare.datamodule, "convex_2", torch.tensor([rare.label]), count, seed).images(
        0, count
    )


def pixel_smote(rare: RareClass, count: int, seed: int) -> Tensor:
    """SMOTE (Chawla et al. 2002) of pixels: on the line from one to one of its five nearest."""
    bank = Bank(from_uint8(rare.few).flatten(1), torch.full((len(rare.few),), rare.label))
    labels = torch.full((count,), rare.label)
    drawn = make_sampler("smote", bank).draw(range(count), labels, Stream(seed, "pixels"))
    return to_uint8(drawn.latents.unflatten(1, rare.few.shape[1:]))


def decoded_by(sampler: str) -> Callable[[RareClass, int, int], Tensor]:
    """Images by a sampler of the method's latents."""

    def make(rare: RareClass, count: int, seed: int) -> Tensor:
        rare.method.use_sampling(sampler)
        labels = torch.full((count,), rare.label)
        return to_uint8(rare.method.sampled(range(count), labels, seed=seed).images.cpu())

    return make


CONTROLS: dict[str, Callable[[RareClass, int, int], Tensor]] = {
    "copies": copies,
    "turned and shifted copies": turned,
    "means of pixels": pixel_means,
    "SMOTE of pixels": pixel_smote,
}
DECODED = {
    "SMOTE of latents": "smote",
    "means of latents": "convex_2",
    "means of latents, filtered": "convex_2_filtered",
    "variance kept": "variance_2",
    "variance kept, filtered": "variance_2_filtered",
}
MAKERS = CONTROLS | {arm: decoded_by(sampler) for arm, sampler in DECODED.items()}
AS_IT_IS, ALL_REAL = (
    "as it is",
    "all real images",
)  # without more images of the class, and with those that were put away
ARMS = (AS_IT_IS, *MAKERS, ALL_REAL)


def rare_class_of(run: Path, *, device: str) -> RareClass:
    """That of a run; ValueError unless it was trained with one rare class."""
    method, datamodule = load_method(run / "checkpoints" / LAST, device=device)
    if not isinstance(method, ReGene):
        raise ValueError(f"{run} is of {type(method).__name__}: give runs of method=regene")
    classes = [int(key) for key in datamodule.asked_rare]
    if len(classes) != 1:
        raise ValueError(
            f"{run} was trained with {len(classes)} rare classes: train it with one, '+datamodule.rare={{8: 30}}'"
        )
    return RareClass(method, datamodule, classes[0])


def taught_of(rare: RareClass, arm: str) -> tuple[Tensor, Tensor]:
    """The images uint8 [N, C, H, W] and labels [N] that an arm's student is taught."""
    images, labels = rare.known
    if arm == AS_IT_IS:
        return images, labels
    if arm == ALL_REAL:
        whole, whole_labels = rare.datamodule.whole_split("train")
        return as_bytes(whole), whole_labels
    more = MAKERS[arm](rare, rare.num_missing, rare.method.seed)
    return torch.cat([images, more]), torch.cat([labels, torch.full((len(more),), rare.label)])


def facts_of(method: ReGene, lesson: Lesson, *, device: str) -> Line:
    """What all lines of a run have: the run, and how its students were taught."""
    return {
        "experiment": method.run_config.get("experiment_name"),
        "train_seed": method.seed,
        "kimg": method.images_seen / 1000,
        "steps": lesson.steps,
        "batch_size": lesson.batch_size,
        "environment": {
            key: value for key, value in environment(device.split(":")[0]).items() if key in ("gpu", "processor")
        },
    }


def rare_lines(run: Path, *, lesson: Lesson, device: str = "cpu") -> Iterator[Line]:
    """A line an arm: whether each test image was ``right`` named, and each of the class, ``recall``; 1 or 0.

    An arm whose sampler gives up has what it said, ``failed``, in their place.
    """
    rare = rare_class_of(run, device=device)
    facts = facts_of(rare.method, lesson, device=device) | {"question": QUESTION, "label": rare.label}
    facts |= {"kept": len(rare.few), "held_out": int((rare.known[1] == rare.label).sum()) - len(rare.few)}
    for arm in ARMS:
        try:
            images, labels = taught_of(rare, arm)
        except GaveUp as error:
            yield facts | {"arm": arm, "failed": str(error)}
            continue
        student = taught(images, labels, rare.method.num_classes, seed=rare.method.seed, lesson=lesson, device=device)
        added = rare.num_missing if arm in MAKERS else 0
        yield facts | {"arm": arm, "images": len(images), "added": added} | scores(student, rare, device=device)


def scores(student: Any, rare: RareClass, *, device: str) -> Line:
    """Of the whole test split."""
    images, labels = rare.datamodule.split("test")
    found = named(student, as_bytes(images), device=device)
    right = (found == labels).int()
    own = right[labels == rare.label]
    return {
        "recall": own.tolist(),
        "right": right.tolist(),
        "macro_f1": macro_f1(found, labels, rare.method.num_classes),
    }
