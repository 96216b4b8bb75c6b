"""How ReGene draws: a combination of latents of a class, decoded, and kept if the classifier still names that class."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from generative.checks import check_at_least
from generative.latents.bank import Bank
from generative.latents.confidence import log_odds, log_odds_of_mean
from generative.latents.names import make_sampler, named
from generative.latents.samplers import Drawn, Sampler
from generative.randomness import Stream
from generative.rendering.images import as_floats
from lightning_modules.base import Classifies, Draws, ImageData
from metrics.protocols import hash_of_average

FILTERED = "_filtered"  # behind the name of a sampler: by both checks of section 3.3
SAMPLERS = (
    "convex_2",
    "convex_3",
    "convex_5",
    "dirichlet_2",
    "variance_2",
    "variance_3",
    "variance_5",
    "gaussian",
    "mixture_3",
    "kernel_0.5",
    "smote",
    "flow",
    "class_mean",
    "training",
)
AT_ONCE = 256  # images that are encoded or drawn together
NONE_HELD_OUT = (
    "filtered sampling takes its thresholds from images that were not trained on, and there are none: train with "
    "+datamodule.train_part=[0,0.9], or draw by a sampler without _filtered"
)


class GaveUp(ValueError):
    """No try of an image passed the checks."""


@dataclass(frozen=True)
class Checked:
    """What the checks said of one draw of each of some images, bool [B] each: of an unfiltered draw, that it passes."""

    labels: Tensor  # int64 [B]
    latents_pass: Tensor
    images_pass: Tensor  # of those only that their latents pass


@dataclass(frozen=True)
class Sampled:
    """``images`` [B, C, H, W] in [-1, 1] of ``latents`` [B, D], with the numbers in the bank of the ``sources`` [B, n].

    ``weights`` [B, n] of these; ``tries`` [B], the number of the try that was kept, from 0.
    """

    images: Tensor
    latents: Tensor
    sources: Tensor
    weights: Tensor
    tries: Tensor


@dataclass(frozen=True)
class Kept:
    """The ``bank`` and the ``thresholds`` [classes] in log-odds, None without held-out images, of the encoder's ``state``."""

    state: int
    bank: Bank
    thresholds: Tensor | None

    def state_dict(self) -> dict[str, Any]:
        return {"state": self.state, "bank": self.bank.state(), "thresholds": self.thresholds}

    @classmethod
    def of(cls, state: dict[str, Any]) -> Kept:
        return cls(state["state"], Bank.from_state(state["bank"]), state["thresholds"])


class DrawsFromBank(Draws, Classifies):
    """It draws by decoding what a sampler makes of the latents of training images, its bank (sections 3.2 and 3.3).

    ``sampling`` names the sampler (:data:`SAMPLERS`) and, with ``_filtered`` behind it, that draws are tried again until the
    classifier names the asked class by the latent, and is at least as sure of it by the image as it is on average of real
    images that were held out (``datamodule.train_part``). After ``max_tries`` it gives up in a sentence. ``bank_size``: the
    most training images of a class that the bank holds, null: all.
    """

    samplings = (*SAMPLERS, *(name + FILTERED for name in SAMPLERS))

    def __init__(
        self, *, sampling: str = "convex_2", max_tries: int = 1000, bank_size: int | None = None, **given: Any
    ) -> None:
        super().__init__(**given)
        check_at_least(1, max_tries=max_tries)
        if bank_size is not None:
            check_at_least(2, bank_size=bank_size)
        self.use_sampling(sampling)
        self.max_tries = max_tries
        self.bank_size = bank_size
        self.kept: Kept | None = None
        self.samplers: dict[str, Sampler] = {}  # of the bank, by their names

    def use_sampling(self, name: str) -> None:
        """Of a family of samplers every dial, not those of ``samplings`` alone: convex_10, kernel_0.25."""
        named(name.removesuffix(FILTERED))  # which refuses a name that is none
        self.sampling = name

    @property
    @abstractmethod
    def encoder_state(self) -> int:
        """A number that changes whenever the weights do that make latents."""

    @abstractmethod
    def draw_latents(self, latents: Tensor) -> Tensor:
        """Latents [B, D] -> images [B, C, H, W] in [-1, 1], under the averaged weights."""

    @property
    def trained_against(self) -> tuple[str, ...]:  # type: ignore[override]
        """Its classifier, whose latents are combined and whose filter has the last word."""
        own = hash_of_average(self)
        return () if own is None else (own,)

    def up_to_date(self) -> Kept:
        """The bank and the thresholds of the weights of now; ValueError where there are neither they nor the images."""
        if self.kept is None or self.kept.state != self.encoder_state:
            datamodule = None if self._trainer is None else getattr(self._trainer, "datamodule", None)
            if datamodule is None:
                raise ValueError("there is no bank of latents: give a checkpoint that a run of method=regene wrote")
            self.samplers = {}
            self.kept = Kept(self.encoder_state, self.bank_of(datamodule), self.thresholds_of(datamodule))
        return self.kept

    @property
    def bank(self) -> Bank:
        return self.up_to_date().bank

    @property
    def thresholds(self) -> Tensor:
        """Of each class the log-odds of the mean confidence in held-out images, [classes]; ValueError where there are none."""
        found = self.up_to_date().thresholds
        if found is None:
            raise ValueError(NONE_HELD_OUT)
        return found

    def bank_of(self, datamodule: ImageData) -> Bank:
        images, labels = datamodule.split("train")
        bank = Bank(self.latents_of(images), labels)
        return bank if self.bank_size is None else bank.subset(self.bank_size, seed=self.seed)

    def thresholds_of(self, datamodule: ImageData, *, accept: float | None = None) -> Tensor | None:
        """Those of the images that were held out, as :func:`thresholds` sets them; None where there are none."""
        if not datamodule.holds_out:
            return None
        images, labels = datamodule.split("rest")
        scores = self.classify(self.placed(self.latents_of(images)))
        return thresholds(scores.cpu(), labels, num_classes=self.num_classes, accept=accept)

    @torch.no_grad()
    def latents_of(self, images: Tensor) -> Tensor:
        """Of images [N, C, H, W], uint8 or in [-1, 1], under the averaged weights: [N, D] on the CPU."""
        parts = (as_floats(images[first : first + AT_ONCE]) for first in range(0, len(images), AT_ONCE))
        return torch.cat([self.features(self.placed(part)).float().cpu() for part in parts])

    def placed(self, values: Tensor) -> Tensor:
        """Images or latents of the bank, on the CPU and in any precision, where and as the networks take them."""
        return values.to(self.device).type(self.dtype)

    def sampler(self, name: str) -> Sampler:
        """The sampler called so, of this bank; made once."""
        bank = self.bank  # which empties those of another one
        if name not in self.samplers:
            self.samplers[name] = make_sampler(name, bank)
        return self.samplers[name]

    def sample(
        self,
        first: int,
        count: int,
        *,
        seed: int,
        labels: Tensor | Sequence[int] | None = None,
        image_size: int | None = None,
    ) -> Tensor:
        if image_size not in (None, self.image_shape[1]):
            raise ValueError(f"images are drawn at {self.image_shape[1]} pixels, not at {image_size}")
        chosen = self.balanced_labels(first, count) if labels is None else self.check_labels(labels, count=count)
        assert chosen is not None
        return self.sampled(range(first, first + count), chosen.cpu(), seed=seed).images

    @torch.no_grad()
    def sampled(
        self,
        numbers: Sequence[int],
        labels: Tensor,
        *,
        seed: int,
        watch: Callable[[Checked], None] | None = None,
        limits: Tensor | None = None,
    ) -> Sampled:
        """The images of these ``numbers`` and classes [B], with where they come from.

        Image k is a function of (weights, seed, k, its class) alone: try t of it draws from a stream of t. ``watch`` is told
        what the checks say of every try. ``limits`` [classes], log-odds that images must reach, stand in place of the
        method's own :attr:`thresholds`.
        """
        sampler, stream = self.sampler(str(self.sampling).removesuffix(FILTERED)), Stream(seed, "regene")
        rows, kept = torch.arange(len(numbers)), []
        seen: list[Checked] = []
        limits = self.thresholds if limits is None and self.is_filtered else limits
        for attempt in range(self.max_tries if self.is_filtered else 1):
            drawn = sampler.draw([numbers[row] for row in rows], labels[rows], stream.branch(f"try {attempt}"))
            images, checked = self.drawn_and_checked(drawn.latents, labels[rows], limits)
            seen.append(checked)
            if watch is not None:
                watch(checked)
            passed = checked.latents_pass & checked.images_pass
            kept.append(
                (
                    rows[passed],
                    images[passed[checked.latents_pass]],
                    Drawn(drawn.latents[passed], drawn.sources[passed], drawn.weights[passed]),
                    attempt,
                )
            )
            rows = rows[~passed]
            if not len(rows):
                return in_order(kept)
        assert limits is not None, "without a filter every image passes"
        raise GaveUp(self.why_given_up(int(labels[rows[0]]), limits, seen))

    @property
    def is_filtered(self) -> bool:
        return str(self.sampling).endswith(FILTERED)

    def drawn_and_checked(self, latents: Tensor, labels: Tensor, limits: Tensor | None) -> tuple[Tensor, Checked]:
        """The images of those latents [B, D] that pass, and what the checks say: of all, where nothing is filtered.

        ``limits`` [classes]: the log-odds of the second check.
        """
        every = torch.ones(len(labels), dtype=torch.bool)
        z = self.placed(latents)
        latents_pass = (self.classify(z).argmax(dim=1).cpu() == labels) if self.is_filtered else every
        images = torch.cat([self.draw_latents(part) for part in z[latents_pass.to(z.device)].split(AT_ONCE)])
        images_pass = every.clone()
        if self.is_filtered and len(images):
            assert limits is not None, "a filter has limits"
            scores = torch.cat([self.classify(self.features(part)) for part in images.split(AT_ONCE)]).cpu()
            asked = labels[latents_pass]
            images_pass[latents_pass] = log_odds(scores, asked) >= limits[asked]
        return images, Checked(labels, latents_pass, images_pass)

    def why_given_up(self, label: int, limits: Tensor, seen: Sequence[Checked]) -> str:
        """What is said when no try of a class gets past the checks, of which ``seen`` tells what they said of every try."""
        own = [checked.labels == label for checked in seen]
        tries = sum(int(of_class.sum()) for of_class in own)
        named = sum(int((checked.latents_pass & of_class).sum()) for checked, of_class in zip(seen, own, strict=True))
        drawn = sum(
            int((checked.latents_pass & checked.images_pass & of_class).sum())
            for checked, of_class in zip(seen, own, strict=True)
        )
        confidence = float(torch.sigmoid(limits[label]))
        return (
            f"class {label}: {self.max_tries} tries of an image were not enough. Of {tries} latents of the class the classifier "
            f"named {named} so, and {drawn} of their images reached the confidence of real ones ({confidence:.4f}): take fewer "
            "sources, another sampler, or one without _filtered"
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["bank"] = self.up_to_date().state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.kept = Kept.of(checkpoint["bank"]) if "bank" in checkpoint else None  # then only the data help
        self.samplers = {}


def in_order(kept: Sequence[tuple[Tensor, Tensor, Drawn, int]]) -> Sampled:
    """The rows of every try in the order of the images: rows [b], images [b, C, H, W], what was drawn, the number of the try."""
    order = torch.cat([rows for rows, _, _, _ in kept]).argsort()
    tries = torch.cat([torch.full((len(rows),), attempt) for rows, _, _, attempt in kept])
    images = torch.cat([images for _, images, _, _ in kept])
    parts = [drawn for _, _, drawn, _ in kept]
    latents, sources, weights = (
        torch.cat([getattr(part, name) for part in parts])[order] for name in ("latents", "sources", "weights")
    )
    return Sampled(images[order.to(images.device)], latents, sources, weights, tries[order])


def thresholds(scores: Tensor, labels: Tensor, *, num_classes: int, accept: float | None = None) -> Tensor:
    """Of each class the log-odds of the mean of p(class | image) over its images: float64 [num_classes].

    With ``accept``, in (0, 1], those that this share of its images reaches, by the logits alone: of N images the k-th largest
    log-odds, k = accept N rounded up, so that k / N of them pass, at least ``accept`` and by less than 1 / N more. ``scores``
    [N, num_classes] are logits. ValueError for another share, and for a class without images.
    """
    if accept is not None and not 0.0 < accept <= 1.0:
        raise ValueError(
            f"accept is the share of held-out images that pass, above 0 and at most 1, got {accept:g}: set it to 0.8"
        )
    missing = (labels.bincount(minlength=num_classes) == 0).nonzero().flatten().tolist()
    if missing:
        raise ValueError(
            f"no image of class {missing[0]} is held out, by which its threshold would be set: hold out more, "
            "+datamodule.train_part=[0,0.9]"
        )
    odds = log_odds(scores, labels)
    of_class = [odds[labels == label] for label in range(num_classes)]
    if accept is None:
        return torch.stack([log_odds_of_mean(some) for some in of_class])
    return torch.stack([some.sort(descending=True).values[rounded_up(accept * len(some)) - 1] for some in of_class])


def rounded_up(number: float) -> int:
    """The next integer from ``number`` on; what floating point adds to one, as in 0.07 x 100, does not count."""
    return math.ceil(number - 1e-9)
