"""What callbacks, tasks and programs may ask of a method.

A :class:`Method` has a clock and losses. What it can do are capabilities, small classes to inherit: it :class:`Draws`,
:class:`HasLatents`, is :class:`Invertible`, :class:`Reconstructs`, :class:`Classifies`, :class:`HasMaps`, :class:`Segments`,
:class:`Detects`, :class:`Translates`, :class:`HasCritic`. Each names its measures; whoever shows a method asks for one of them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from generative.inversion.search import Space
from generative.randomness import permutation
from lightning_modules.priors import HasPrior
from lightning_modules.steps import ManualSteps
from lightning_modules.weights import Weights, read_weights
from metrics.measures import (
    CLASSIFICATION,
    DETECTION,
    GENERATION,
    LOCALIZATION,
    RECONSTRUCTION,
    RESTORATION,
    SEGMENTATION,
    Direction,
    Measures,
    joined,
)


class ImageData(Protocol):
    """What the tasks of a method may ask of a data module."""

    name: str
    image_shape: tuple[int, int, int]  # channels, height, width
    target_classes: tuple[str, ...]  # names of the classes of a mask's pixels

    @property
    def holds_out(self) -> bool:
        """Whether some training images are not trained on: the split ``rest``."""

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

    ``image_shape`` (channels, height, width) and ``num_classes`` come from the data module, ``seed`` from the run; a constructor
    that takes ``target_classes`` gets the names of the classes of masks or boxes. A training step hands its losses to
    :meth:`record` and must end with :meth:`count_images`. ``weights``: last.ckpt of another run, where :meth:`take_weights` starts.
    """

    measures: ClassVar[Measures] = {}  # what is measured of it by name, beside what its other capabilities state
    test_task: ClassVar[str] = ""  # what results call what `test_step` measures; empty: nothing
    weights_source: ClassVar[str] = "another run of this method"  # whose last.ckpt `weights` is to be

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        num_classes: int,
        seed: int,
        weights: str | None = None,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        self.image_shape, self.num_classes = image_shape, num_classes
        self.seed = seed
        self.weights = weights
        self.images_seen = 0  # by all ranks together, over the whole run: the clock of everything
        self.images_seen_before = 0  # the same, one step earlier
        self.run_config: dict[str, Any] = {}  # resolved, plain data; set by the launcher, kept in the checkpoint

    def on_fit_start(self) -> None:
        """At the start of a run, not of its continuation, whose checkpoint has weights of its own."""
        if self.weights is not None and self.images_seen == 0:
            self.take_weights(read_weights(self.weights, source=self.weights_source))

    def take_weights(self, weights: Weights) -> None:
        """Start from those of another run: every network that it has by the same name; ValueError where one does not fit."""
        weights.load_into({name: part for name, part in self.named_children() if part.state_dict()})

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

    def test_results(self) -> dict[str, dict[str, float]]:
        """Task -> what ``test_step`` measured on the test split, over all ranks together; asked for once, by every rank."""
        return {}

    def conclude(self, datamodule: ImageData) -> None:
        """What every rank adds to the weights at the end of a run, as a bank of latents; what trains stays, to go on from here."""

    @classmethod
    def directions(cls) -> dict[str, Direction]:
        """Every measure of this method, its own and those of its capabilities, and which way it is better."""
        return joined(*(vars(kind).get("measures", {}) for kind in cls.__mro__))

    @classmethod
    def test_tasks(cls) -> tuple[str, ...]:
        """What ``test_step`` measures: the tasks of its capabilities."""
        return tuple(dict.fromkeys(task for kind in cls.__mro__ if (task := vars(kind).get("test_task"))))


class Draws(Method):
    """It draws images, under its averaged weights."""

    measures = GENERATION

    any_resolution: bool = False  # whether `sample` takes an image_size other than the data's
    learning_size: int | None = None  # pixels a side at which it learns now, where that grows up to the data's
    truncates: bool = False  # whether `sample` takes psi: 1 as drawn, 0 the mean of its class, between them in between
    # Ways to draw by the same weights, and the one in use: part of a protocol and of its names. None: there is one.
    samplings: tuple[str, ...] = ()
    sampling: str | None = None
    drawn_together: int = 1  # how many images hang on each other, as those normalised by the statistics of their batch
    # Extractors that entered its training (guidance, a loss) by name, classifiers trained here by `hash_of_average`: no judges.
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

        Image k is a function of (weights, seed, k, its label) alone, so ranks can share the work; of a method whose images are
        :attr:`drawn_together`, of the labels of its group as well. ``labels``, [count] classes, default to
        :meth:`balanced_labels`; ``image_size`` to that of the data.
        """

    def use_sampling(self, name: str) -> None:
        """Draw in the way ``name`` from now on; ValueError unless it is one of ``samplings``."""
        if not self.samplings:
            raise ValueError(f"{type(self).__name__} draws in one way only: leave out sampling={name}")
        if name not in self.samplings:
            raise ValueError(f"sampling must be {' or '.join(self.samplings)}, got {name!r}")
        self.sampling = name

    def whole_groups(self, first: int, count: int) -> range:
        """The numbers ``first .. first + count - 1`` and those of all images that are drawn together with one of them.

        A group begins at each multiple of ``drawn_together``, so an image has the same neighbours wherever one begins.
        """
        size = self.drawn_together
        return range(first - first % size, -(-(first + count) // size) * size)

    def balanced_labels(self, first: int, count: int) -> Tensor | None:
        """Class k mod num_classes for image k; None without classes."""
        numbers = torch.arange(first, first + count, device=self.device)
        return numbers % self.num_classes if self.num_classes > 0 else None

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


class HasLatents(HasPrior, Draws):
    """It draws images by decoding latents; a sample is a decoded latent of its prior (:class:`HasPrior`)."""

    @abstractmethod
    def decode(
        self, latents: Tensor, labels: Tensor | None = None, *, image_size: int | None = None, psi: float = 1.0
    ) -> Tensor:
        """Latents [B, ...] and classes [B] -> images [B, C, H, W], nominally [-1, 1], under the averaged weights.

        Where images are drawn together, those of one call are: give it ``drawn_together`` of them, or see :meth:`decode_groups`.
        """

    def decode_groups(self, latents: Tensor, labels: Tensor | None = None, **settings: Any) -> Tensor:
        """:meth:`decode` of latents [B, ...] in calls of ``drawn_together`` each, B a multiple of it; at once where that is 1."""
        size = self.drawn_together
        if size == 1:
            return self.decode(latents, labels, **settings)
        parts = zip(latents.split(size), repeat(None) if labels is None else labels.split(size), strict=False)
        return torch.cat([self.decode(*part, **settings) for part in parts])

    @torch.no_grad()
    def sample(
        self,
        first: int,
        count: int,
        *,
        seed: int,
        labels: Tensor | Sequence[int] | None = None,
        image_size: int | None = None,
        psi: float = 1.0,
    ) -> Tensor:
        """As :meth:`Draws.sample`; ``psi``: see :attr:`truncates`.

        The neighbours in a group that are not asked for have the classes of ``labels`` in turn.
        """
        numbers = self.whole_groups(first, count)
        chosen = self.balanced_labels(numbers.start, len(numbers))
        if labels is not None:
            asked = self.check_labels(labels, count=count)
            chosen = asked[(torch.arange(numbers.start, numbers.stop, device=asked.device) - first) % count]
        latents = self.latents(numbers.start, len(numbers), seed=seed)
        drawn = self.decode_groups(latents, chosen, image_size=image_size, psi=psi)
        return drawn[first - numbers.start :][:count]


class Invertible(HasLatents):
    """One whose latents and weights can be looked for: what draws a given image, or what is known of one."""

    measures = RESTORATION

    space_names: ClassVar[tuple[str, ...]]  # where can be searched; the first has few numbers, for short searches
    pivot_space: ClassVar[str]  # the one whose points pivotal tuning starts from
    # The one whose images several codes draw together, if there is one; it is set by ``num_codes`` and ``layer``.
    shared_space: ClassVar[str | None] = None
    encodes: ClassVar[bool] = False  # whether it has an encoder, which finds a latent in one pass

    @abstractmethod
    def space(
        self,
        name: str,
        labels: Tensor | None = None,
        *,
        samples: Tensor,
        settings: Mapping[str, Any] | None = None,
    ) -> Space:
        """The space ``name`` for a batch of images [B, C, H, W] of the data's size, of the classes ``labels`` [B].

        ``samples`` [K, ...]: latents of the prior, whose spread in the space is the length in which an optimiser steps.
        ``settings`` of the space, such as how many codes make an image; ValueError for those that it does not have.
        """

    def encode(self, images: Tensor, known: Tensor | None = None) -> Tensor:
        """Latents [B, ...] that draw images [B, C, H, W] by the pixels that are ``known`` [B, 1, H, W], by default all."""
        raise ValueError(f"{type(self).__name__} has no encoder")

    def space_settings(self, name: str) -> Sequence[str]:
        """What a user may set of the space ``name``."""
        return ()

    @abstractmethod
    def tunable(self) -> list[nn.Parameter]:
        """What pivotal tuning moves of the averaged generator."""


class Reconstructs(Method):
    """It makes an image again from a code."""

    measures = RECONSTRUCTION

    @abstractmethod
    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images [B, C, H, W] in [-1, 1], of the classes ``labels`` [B], and the same again from their codes."""


class HasCritic(Method):
    """It trains against a critic: images [B, C, H, W] and labels [B] (or None) -> logits [B]."""

    critic: nn.Module


class Classifies(Method):
    """It names the class of an image, under its averaged weights: judges and extractors are made of it."""

    measures = CLASSIFICATION
    test_task = "classification"
    num_features: int

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] in [-1, 1] -> pooled features [B, num_features]."""

    @abstractmethod
    def classify(self, features: Tensor) -> Tensor:
        """Features [B, num_features] -> logits [B, num_classes]."""


class HasMaps(Classifies):
    """It shows which pixels it names a class by, under its averaged weights."""

    measures = LOCALIZATION
    kind_of_map: str  # what pictures and tables call its maps

    @abstractmethod
    def heatmaps(self, images: Tensor, classes: Tensor) -> list[Tensor]:
        """Images [B, C, H, W] in [-1, 1] and a class of each [B] -> a map [B, h, w] at each of its levels, one or more.

        Larger where more hangs on a pixel. The last one is what models are compared by.
        """


class Segments(Method):
    """It names the class of every pixel, under its averaged weights."""

    measures = SEGMENTATION
    test_task = "segmentation"
    target_classes: tuple[str, ...]

    @abstractmethod
    def segment(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] in [-1, 1] -> logits [B, classes, H, W]."""


class Detects(Method):
    """It finds objects, under its averaged weights."""

    measures = DETECTION
    test_task = "detection"
    target_classes: tuple[str, ...]

    @abstractmethod
    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Images [B, C, H, W] in [-1, 1] -> "boxes" [K, 4] in pixels, "labels" [K] and "scores" [K] of each."""


class Translates(Draws):
    """It makes images of one domain out of those of another, under its averaged weights; a sample is a translated input."""

    given: ClassVar[str]  # what it translates: a defect "drawn" on an image, a "hole" in one, or a "faultless" one

    @abstractmethod
    def translate(
        self, images: Tensor, *, masks: Tensor | None, labels: Tensor | None, first: int, seed: int
    ) -> Tensor:
        """Images [B, C, H, W] in [-1, 1], number ``first ..`` of ``seed`` -> theirs of the classes ``labels`` [B], in ``masks``."""

    @abstractmethod
    def inputs_of(self, first: int, count: int, *, seed: int, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What samples of the ``labels`` [count] are made of: uint8 [count, C, H, W], and masks uint8 [count, H, W] or None."""
