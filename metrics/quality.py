"""Metrics as torchmetrics classes: feed batches of images, ask for the values. Every rank must ask."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from generative.perceptual import deep_feature_distance
from generative.precision import full_precision
from metrics.features import Extractor, Features
from metrics.functional import (
    authenticity,
    frechet_distance,
    inception_score,
    kernel_distance,
    manifolds,
)
from metrics.measures import COMPANIONS, RECONSTRUCTION, RESTORATION
from metrics.statistics import Collector, Summary

SSIM_WINDOW = 11  # pixels a side (Wang et al. 2004)
MOST_DECIBELS = 100.0  # of an exact copy


@dataclass(frozen=True)
class Settings:
    """What the values depend on beside the images and the extractor; part of a result's protocol."""

    num_neighbours: int = 3
    num_subsets: int = 100
    subset_size: int = 1000
    num_splits: int = 10


# Metric -> the output of the extractor that it reads, and whether it needs rows or a Gaussian.
DISTANCES = {"fd": "features", "sfd": "spatial"}
ROW_METRICS = {
    "kid": "features",
    "precision": "features",
    "recall": "features",
    "density": "features",
    "coverage": "features",
    "authenticity": "features",
}
SCORES = {"is": "logits"}  # of the generated images alone
COMPARISONS = (*DISTANCES, *ROW_METRICS, *SCORES)
CLASS_METRICS = ("accuracy", "tstr_accuracy")
RECONSTRUCTION_METRICS = tuple(RECONSTRUCTION)
DEFAULT_METRICS = ("fd", "precision", "recall")
METRICS = (*COMPARISONS, *CLASS_METRICS, *RECONSTRUCTION_METRICS)


def check_metrics(names: Sequence[str]) -> None:
    """ValueError for a name that is no metric."""
    for name in names:
        if name not in METRICS:
            near = get_close_matches(name, METRICS, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise ValueError(f"unknown metric {name!r}{hint}: choose from {', '.join(METRICS)}")


def needs(metrics: Sequence[str], *, generated: bool) -> dict[str, list[str]]:
    """The outputs of which statistics and rows have to be kept: those of the real images, or of the generated ones."""
    rows = {ROW_METRICS[name] for name in metrics if name in ROW_METRICS}
    if generated:
        rows |= {SCORES[name] for name in metrics if name in SCORES}
    return {
        "statistics": sorted({DISTANCES[name] for name in metrics if name in DISTANCES}),
        "rows": sorted(rows),
    }


def compare(real: Summary | None, fake: Summary, *, metrics: Sequence[str], settings: Settings) -> dict[str, float]:
    """The values of ``metrics`` from what was kept of both sets; ``real`` may be None for scores of the fakes alone."""
    values: dict[str, float] = {}
    for name, output in DISTANCES.items():
        if name in metrics:
            assert real is not None
            values[name] = frechet_distance(real.gaussians[output], fake.gaussians[output])
    if {"precision", "recall", "density", "coverage"} & set(metrics):
        assert real is not None
        values |= asdict(
            manifolds(real.rows["features"], fake.rows["features"], num_neighbours=settings.num_neighbours)
        )
    if "kid" in metrics:
        assert real is not None
        values["kid"], values["kid_error"] = kernel_distance(
            real.rows["features"],
            fake.rows["features"],
            num_subsets=settings.num_subsets,
            subset_size=settings.subset_size,
        )
    if "authenticity" in metrics:
        assert real is not None
        values["authenticity"] = authenticity(real.rows["features"], fake.rows["features"])
    if "is" in metrics:
        values["is"], values["is_spread"] = inception_score(fake.rows["logits"], num_splits=settings.num_splits)
    kept = {name: value for name, value in values.items() if name in metrics or name in COMPANIONS}
    # Two images have a distance and no error of it.
    return {name: value for name, value in kept.items() if name not in COMPANIONS or not math.isnan(value)}


class GenerationQuality(Metric):
    """Any of ``COMPARISONS`` between generated and real images, from one pass of the extractor over each.

    ``update(images, real=..., numbers=...)`` takes uint8 images [B, 1 or 3, H, W] with their global numbers [B], each
    image on one rank only; ``compute()`` is a dictionary of values. The extractor is no submodule: a checkpoint of a
    module that holds this metric gains nothing.
    """

    full_state_update = False

    def __init__(self, extractor: Extractor, *, metrics: Sequence[str], settings: Settings | None = None) -> None:
        super().__init__()
        check_metrics(metrics)
        for name in metrics:
            if name not in COMPARISONS:
                raise ValueError(f"{name} does not compare two sets of features: choose from {', '.join(COMPARISONS)}")
        self.metrics = list(metrics)
        self.settings = settings or Settings()
        self.held = [extractor]  # in a list, so that it is no submodule
        self.real = Collector(extractor, **needs(metrics, generated=False))
        self.fake = Collector(extractor, **needs(metrics, generated=True))
        self.given: Summary | None = None

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> GenerationQuality:
        """Where this metric moves, what it holds moves too."""
        super()._apply(fn, exclude_state)
        self.held[0]._apply(fn)
        for metric in (*self.real.metrics(), *self.fake.metrics()):
            metric._apply(fn)
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """One batch has no distance to another: call ``update`` for each and ``compute`` at the end."""
        raise NotImplementedError("this metric has no value for a batch: call update(...) and, at the end, compute()")

    def reset(self) -> None:
        """Forget the images shown; a reference that was given stays."""
        super().reset()
        for metric in (*self.real.metrics(), *self.fake.metrics()):
            metric.reset()

    def use_reference(self, summary: Summary) -> None:
        """Compare with what was kept of real images earlier, instead of showing them again."""
        wanted = needs(self.metrics, generated=False)
        if not summary.has(**wanted):
            missing = ", ".join(name for name in self.metrics if not summary.has(**needs([name], generated=False)))
            raise ValueError(
                f"these statistics do not hold what {missing} need: they have {describe(summary)}; "
                "make them again with those metrics, or give the images"
            )
        self.given = summary

    def update(self, images: Tensor | Features, *, real: bool, numbers: Tensor) -> None:
        """``images`` may be the outputs of the extractor, where they are known already."""
        features = self.held[0](images) if isinstance(images, Tensor) else images
        (self.real if real else self.fake).update(features, numbers)

    def real_summary(self) -> Summary | None:
        """What is kept of the real images; None where no metric looks at them."""
        if self.given is not None or not any(needs(self.metrics, generated=False).values()):
            return self.given
        return self.real.summary()

    def compute(self) -> dict[str, float]:
        with full_precision(self.device.type):
            return compare(self.real_summary(), self.fake.summary(), metrics=self.metrics, settings=self.settings)


def describe(summary: Summary) -> str:
    parts = [f"statistics of {name}" for name in summary.gaussians] + [f"rows of {name}" for name in summary.rows]
    return " and ".join(parts) or "nothing"


class ReconstructionQuality(Metric):
    """Means over pairs of images: ``psnr`` (dB), ``ssim``, ``mae`` (of 8-bit levels, over 255), ``feature_distance``.

    ``update`` takes uint8 images and their originals [B, C, H, W]. PSNR is averaged over images, not over errors, and
    an exact copy counts as 100 dB.
    """

    full_state_update = False
    total: Tensor
    num_pairs: Tensor

    def __init__(self, *, metrics: Sequence[str], stages: Callable[[Tensor], list[Tensor]] | None = None) -> None:
        super().__init__()
        unknown = [name for name in metrics if name not in RECONSTRUCTION_METRICS]
        if unknown:
            raise ValueError(f"{unknown[0]} compares no pairs: choose from {', '.join(RECONSTRUCTION_METRICS)}")
        if "feature_distance" in metrics and stages is None:
            raise ValueError("feature_distance needs an extractor with stages, such as efficientnet_lite0")
        self.metrics, self.stages = list(metrics), stages
        self.add_state("total", torch.zeros(len(self.metrics), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("num_pairs", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, images: Tensor, originals: Tensor) -> None:
        if images.shape != originals.shape:
            raise ValueError(f"pairs of one shape are compared, got {tuple(images.shape)} and {tuple(originals.shape)}")
        if "ssim" in self.metrics and min(images.shape[2:]) < SSIM_WINDOW:
            size = " x ".join(map(str, images.shape[2:]))
            raise ValueError(f"ssim looks at windows of {SSIM_WINDOW} pixels: images of {size} are too small for it")
        x, y = images.float() / 255.0, originals.float() / 255.0
        values = torch.stack([self.of_pairs(name, x, y).double() for name in self.metrics])
        self.total += values.sum(dim=1)
        self.num_pairs += len(images)

    @torch.no_grad()
    def of_pairs(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        """One value a pair of images in [0, 1]: [B]."""
        each: dict[str, Any] = {"data_range": 1.0, "reduction": "none"}
        if name == "psnr":
            decibels = peak_signal_noise_ratio(x, y, dim=(1, 2, 3), **each)
            return decibels.clamp(max=MOST_DECIBELS)
        if name == "ssim":
            return similarity(x, y)
        if name == "mae":
            return (x - y).abs().mean(dim=(1, 2, 3))
        assert self.stages is not None
        with full_precision(x.device.type):
            return deep_feature_distance(self.stages(2 * x - 1), self.stages(2 * y - 1))

    def compute(self) -> dict[str, float]:
        if int(self.num_pairs) == 0:
            raise ValueError("there are no pairs of images to compare")
        means = (self.total / self.num_pairs).tolist()
        return dict(zip(self.metrics, means, strict=True))


def fitting_metrics(metrics: Sequence[str], shape: Sequence[int]) -> list[str]:
    """Those of ``metrics`` that images of a ``shape`` [..., H, W] are large enough for."""
    return [name for name in metrics if name != "ssim" or min(shape[-2:]) >= SSIM_WINDOW]


class HoleQuality(Metric):
    """How well holes were filled: means over images of :func:`restoration_scores`, and ``psnr_hole_pooled``, in dB.

    ``update`` takes uint8 images and their originals [B, C, H, W], and which pixels were known, bool [B, 1, H, W].
    ``psnr_hole_pooled`` is that of all hidden pixels' errors together: holes over a plain ground, which are filled
    exactly and count as 100 dB, do not lift it. SSIM stands only where images are large enough for its window.
    """

    full_state_update = False
    totals: Tensor  # over images, in the order of IMAGE_SCORES
    hidden_error: Tensor
    hidden_values: Tensor
    num_images: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("totals", torch.zeros(len(IMAGE_SCORES), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("hidden_error", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("hidden_values", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("num_images", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, images: Tensor, originals: Tensor, known: Tensor) -> None:
        scores = restoration_scores(images, originals, known)
        nothing = torch.full((len(images),), math.nan, dtype=torch.float64, device=images.device)
        self.totals += torch.stack([scores.get(name, nothing) for name in IMAGE_SCORES]).sum(dim=1)
        self.hidden_error += (squared_errors(images, originals) * ~known).sum()
        self.hidden_values += (~known).sum() * images.shape[1]
        self.num_images += len(images)

    def compute(self) -> dict[str, float]:
        if int(self.num_images) == 0:
            raise ValueError("there are no holes to compare")
        means = dict(zip(IMAGE_SCORES, (self.totals / self.num_images).tolist(), strict=True))
        means["psnr_hole_pooled"] = float(in_decibels(self.hidden_error / self.hidden_values))
        return {name: means[name] for name in RESTORATION if not math.isnan(means[name])}


IMAGE_SCORES = tuple(name for name in RESTORATION if name != "psnr_hole_pooled")  # of an image by itself


@torch.no_grad()
def restoration_scores(images: Tensor, originals: Tensor, known: Tensor) -> dict[str, Tensor]:
    """``IMAGE_SCORES`` of each image [B], PSNR in dB; arguments as of :class:`HoleQuality`.

    ``psnr_hole`` is of the hidden pixels, ``psnr_known`` of the known ones, ``psnr_raw`` of all. The pasted image has the
    known pixels of the original, so that its PSNR is that of the hole less 10 log10 of the hidden share.
    """
    if known.dtype != torch.bool or known.flatten(1).all(dim=1).any() or not known.flatten(1).any(dim=1).all():
        raise ValueError("every image has known pixels and hidden ones, in a mask of true and false")
    pasted = torch.where(known, originals, images)
    errors = squared_errors(images, originals).mean(dim=1, keepdim=True)  # over channels: [B, 1, H, W]
    parts = {"psnr_hole": ~known, "psnr_known": known, "psnr_raw": torch.ones_like(known)}
    scores = {
        name: in_decibels((errors * part).sum(dim=(1, 2, 3)) / part.sum(dim=(1, 2, 3))) for name, part in parts.items()
    }
    scores["psnr_pasted"] = in_decibels(squared_errors(pasted, originals).mean(dim=(1, 2, 3)))
    if min(images.shape[2:]) >= SSIM_WINDOW:
        for name, shown in (("ssim_raw", images), ("ssim_pasted", pasted)):
            scores[name] = similarity(shown.float() / 255.0, originals.float() / 255.0).double()
    return scores


def similarity(x: Tensor, y: Tensor) -> Tensor:
    """SSIM of each pair of images [B, C, H, W] in [0, 1], by Gaussian windows of 11 pixels: [B]."""
    found = structural_similarity_index_measure(x, y, data_range=1.0, reduction="none")
    assert isinstance(found, Tensor)
    return found.reshape(len(x))


def squared_errors(images: Tensor, originals: Tensor) -> Tensor:
    """Of uint8 images [B, C, H, W], in units of their range, in float64."""
    if images.shape != originals.shape:
        raise ValueError(f"pairs of one shape are compared, got {tuple(images.shape)} and {tuple(originals.shape)}")
    return ((images.double() - originals.double()) / 255.0).square()


def in_decibels(error: Tensor) -> Tensor:
    """The PSNR of a mean squared error in units of the range."""
    return (-10 * error.log10()).clamp(max=MOST_DECIBELS)
