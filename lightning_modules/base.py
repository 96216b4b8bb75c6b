"""What callbacks and scripts may rely on: a Method has a clock and losses, draws images or names them, perhaps against a critic."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from generative.randomness import permutation
from lightning_modules.steps import ManualSteps

LABELS = ("data", "balanced")  # how the classes that an evaluation asks a generator for are shared out


class ImageData(Protocol):
    """What the tasks of a method may ask of a data module."""

    name: str
    image_shape: tuple[int, int, int]  # channels, height, width
    target_classes: tuple[str, ...]  # names of the classes of a mask's pixels

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        """Images [N, C, H, W], uint8 or in [-1, 1], and labels [N] of ``train`` or ``test``."""

    def targets(self, split: str) -> Mapping[str, Any]:
        """What else belongs to each image: of a set with masks "mask", [N, H, W] of classes, 255 of none."""

    def at_resolution(self, resolution: int) -> ImageData:
        """The same images larger or smaller; ValueError where they have one size."""

    def corrupted(self, split: str, numbers: Tensor, *, corruption: str, severity: int, seed: int) -> Tensor:
        """Images number ``numbers`` of a split under a common corruption, computed anew: uint8 [N, 3, H, W]."""


class Method(ManualSteps):
    """A training recipe with manual optimisation.

    ``image_shape`` (channels, height, width) and ``num_classes`` come from the data module, ``seed`` from the
    run; a constructor that takes ``target_classes`` gets the names of the classes of masks or boxes. A training step
    hands its losses to :meth:`record` and must end with :meth:`count_images`.
    """

    test_task: str = ""  # what results call what `test_step` measures; empty: nothing of its own

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        num_classes: int,
        seed: int,
        accumulate: int = 1,
        clip_norm: float = 0.0,
    ) -> None:
        super().__init__(accumulate=accumulate, clip_norm=clip_norm)
        self.image_shape = image_shape
        self.num_classes = num_classes
        self.seed = seed
        self.images_seen = 0  # by all ranks together, over the whole run: the clock of everything
        self.images_seen_before = 0  # the same, one step earlier
        self.run_config: dict[str, Any] = {}  # resolved, plain data; set by the launcher, kept in the checkpoint
        self.metrics: dict[str, float] = {}  # as last measured: "metric/..."

    def count_images(self, images: Tensor) -> None:
        """End the step: the clock advances by the global batch of which ``images`` [B, ...] is this rank's part."""
        self.close_record()
        self.images_seen_before = self.images_seen
        self.images_seen += len(images) * self.trainer.world_size

    def crossed(self, every_kimg: float) -> bool:
        """Whether the last step reached or passed a multiple of ``every_kimg`` thousand images (0: never)."""
        every = max(1, round(every_kimg * 1000)) if every_kimg > 0 else 0
        return every > 0 and self.images_seen // every > self.images_seen_before // every

    def gather(self, values: Tensor) -> Tensor:
        """The rows of all ranks, [B, ...] -> [world * B, ...]; gradients stay behind."""
        if self.trainer.world_size == 1:
            return values.detach()
        gathered = self.all_gather(values.detach())
        assert isinstance(gathered, Tensor)
        return gathered.flatten(0, 1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["images_seen"] = self.images_seen
        checkpoint["config"] = self.run_config

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.images_seen = self.images_seen_before = int(checkpoint["images_seen"])

    def compile_drawing(self) -> float:
        """From now on draw by compiled code; the seconds it took to make."""
        raise ValueError(f"{type(self).__name__} has no compiled code to draw by: leave out compile=true")

    def test_step(self, batch: dict[str, Any], batch_index: int) -> None:
        """Nothing by default: callbacks measure at the end of the test; a classifier overrides it."""

    def test_results(self) -> dict[str, float]:
        """What ``test_step`` measured on the test split, over all ranks together; asked for once, by every rank."""
        return {}


class Draws(Method):
    """A method that draws images, under its averaged weights."""

    any_resolution: bool = False  # whether `sample` takes an image_size other than the data's
    truncates: bool = False  # whether `sample` takes psi: 1 as drawn, 0 the mean of its class, between them in between
    # Names of the extractors whose networks entered its training (a discriminator, guidance, a loss): no judges of it.
    trained_against: tuple[str, ...] = ()

    @abstractmethod
    def sample(
        self,
        first: int,
        count: int,
        *,
        seed: int,
        labels: Tensor | Sequence[int] | None = None,
        image_size: int | None = None,
    ) -> Tensor:
        """Images number ``first .. first + count - 1`` of evaluation seed ``seed``: [count, C, H, W], nominally [-1, 1].

        Image k is a function of (weights, seed, k, its label) alone, so ranks can share the work. ``labels``, [count] classes,
        default to :meth:`balanced_labels`; ``image_size`` to that of the data.
        """

    def balanced_labels(self, first: int, count: int) -> Tensor | None:
        """Class k mod num_classes for image k; None without classes."""
        if self.num_classes == 0:
            return None
        return torch.arange(first, first + count, device=self.device) % self.num_classes

    def label_cycle(self, data_labels: Tensor | None, *, seed: int) -> Tensor | None:
        """The classes that an evaluation asks for over and over: image k for number k mod N of them. None without classes.

        ``data_labels`` [N] shuffled by the evaluation's ``seed``, so that N images have exactly the shares of the data;
        without them every class once, which are the :meth:`balanced_labels`. int64 [N] on this module's device.
        """
        if self.num_classes == 0:
            return None
        if data_labels is None:
            return self.balanced_labels(0, self.num_classes)
        order = permutation(seed, 0, len(data_labels), name="evaluation labels")
        return self.check_labels(data_labels[torch.from_numpy(order)])

    def check_labels(self, labels: Tensor | Sequence[int], *, count: int | None = None) -> Tensor:
        """``labels`` [count] on this module's device; ValueError if the model has no such class."""
        if self.num_classes == 0:
            raise ValueError("this model is unconditional: it takes no classes")
        labels = torch.as_tensor(labels)
        if labels.ndim != 1 or labels.is_floating_point():
            raise ValueError(f"labels must be a list of whole numbers, got {labels.tolist()}")
        if count is not None and len(labels) != count:
            raise ValueError(f"labels must be of {count} images, one each, got {len(labels)}")
        outside = labels[(labels < 0) | (labels >= self.num_classes)]
        if len(outside):
            raise ValueError(
                f"class {int(outside[0])} is out of range: this model has classes 0 to {self.num_classes - 1}"
            )
        return labels.to(self.device)

    def sample_batches(
        self, count: int, *, seed: int, batch_size: int = 256, data_labels: Tensor | None = None
    ) -> Iterator[Tensor]:
        """The images 0 .. count - 1 of ``seed`` in batches, each image once.

        Their classes are in the shares of ``data_labels`` [N], the labels of a data set, or balanced: :meth:`label_cycle`.
        """
        cycle = self.label_cycle(data_labels, seed=seed)
        for first in range(0, count, batch_size):
            size = min(batch_size, count - first)
            yield self.sample(first, size, seed=seed, labels=in_turn(cycle, first, size))


def in_turn(cycle: Tensor | None, first: int, count: int) -> Tensor | None:
    """The labels [count] that a :meth:`Draws.label_cycle` has for the images ``first .. first + count - 1``."""
    return None if cycle is None else cycle[torch.arange(first, first + count, device=cycle.device) % len(cycle)]


def check_labels_setting(value: object) -> None:
    if value not in LABELS:
        raise ValueError(f"labels must be {' or '.join(LABELS)}, got {value!r}")


def labels_to_follow(method: Draws, data: ImageData, choice: str) -> Tensor | None:
    """The training labels [N] whose shares the samples are to have; None for balanced classes and for none at all."""
    check_labels_setting(choice)
    if choice == "balanced" or method.num_classes == 0:
        return None
    try:
        return data.split("train")[1]
    except ValueError as error:
        raise ValueError(
            f"labels=data needs the training labels: {error}; labels=balanced does without them"
        ) from error


def check_finite(images: Tensor, *, first: int) -> None:
    """ValueError that names the first of the samples ``first ..``, [B, C, H, W], with pixels that are not finite."""
    finite = images.flatten(1).isfinite().all(dim=1)
    if not finite.all():
        number = first + int((~finite).nonzero()[0])
        raise ValueError(f"sample number {number} has pixels that are not finite: the generator diverged")


class HasCritic(Draws):
    """A generative method that trains against a critic: images [B, C, H, W] and labels [B] (or None) -> logits [B]."""

    critic: nn.Module


class Classifies(Method):
    """A method that names the class of an image, under its averaged weights: judges and extractors are made of it."""

    test_task = "classification"
    num_features: int

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] in [-1, 1] -> pooled features [B, num_features]."""

    @abstractmethod
    def classify(self, features: Tensor) -> Tensor:
        """Features [B, num_features] -> logits [B, num_classes]."""
