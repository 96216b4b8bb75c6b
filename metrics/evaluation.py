"""A set of generated images against a set of real ones: one pass of one extractor over each, shared by all ranks."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor
from torchmetrics import MeanMetric
from tqdm import tqdm

from generative.ranks import on_all_ranks, rank_and_world_size, same_on_all_ranks
from generative.rendering.images import from_uint8, image_grid
from metrics.features import Extractor, Features, Pixels
from metrics.functional import squared_distances
from metrics.image_sets import ImageSet, KeptImageSet, has_several_sizes
from metrics.judge import Judge
from metrics.quality import (
    CLASS_METRICS,
    COMPARISONS,
    DISTANCES,
    RECONSTRUCTION_METRICS,
    GenerationQuality,
    ReconstructionQuality,
    Settings,
    check_metrics,
    needs,
)
from metrics.statistics import NumberedRows, Summary, cached_path, keep_in_cache, load_cached

CPU = torch.device("cpu")
AT_ONCE_OF_SEVERAL_SIZES = 8  # they may be photos of some megapixels
MOST_IN_TABLE = 2**14  # features; a table of their products in float64 takes 2 GiB


@dataclass(frozen=True)
class Work:
    """How an evaluation is carried out; nothing here changes a value by more than rounding."""

    device: torch.device = CPU
    batch_size: int | None = None  # default: that of the extractor
    cache: Path | None = None  # folder for the statistics of real images
    show_progress: bool = False


@dataclass(frozen=True, kw_only=True)
class Instruments:
    """By what images are measured, and how the work is done.

    ``judge`` and ``test``, labelled real images that it never saw, are needed for accuracy and tstr_accuracy.
    """

    extractor: Extractor
    metrics: Sequence[str]
    settings: Settings = field(default_factory=Settings)
    judge: Judge | None = None
    test: ImageSet | None = None
    work: Work = field(default_factory=Work)

    def asked(self, kind: Collection[str]) -> list[str]:
        """The metrics of a kind."""
        return [name for name in self.metrics if name in kind]


def batches(images: ImageSet, *, size: int, what: str, work: Work) -> Iterator[tuple[Tensor | list[Tensor], Tensor]]:
    """This rank's share of a set, with the numbers of the images: batches are dealt out in turn, none is cut or repeated.

    They are on the device, uint8 [B, C, H, W], or a list of images [C, H, W] where these have several sizes.

    The batches are the same for any number of ranks, and so are the features that come of them. To be exhausted by
    every rank: where one cannot read or draw an image, all of them end with a ValueError.
    """
    rank, world_size = rank_and_world_size()
    size = work.batch_size or (min(size, AT_ONCE_OF_SEVERAL_SIZES) if has_several_sizes(images) else size)
    bar = tqdm(
        total=len(images),
        desc=what,
        unit=" images",
        file=sys.stderr,
        mininterval=0.5 if sys.stderr.isatty() else 20,
        delay=1,  # what takes no time shows no bar
        disable=not work.show_progress or rank > 0,
        leave=False,
    )
    failed: ValueError | None = None
    with bar:
        for first in range(0, len(images), size)[rank::world_size]:
            try:
                batch = batch_of(images, first, min(size, len(images) - first), device=work.device)
            except ValueError as error:
                failed = error
                break
            yield batch, torch.arange(first, first + len(batch))
            bar.update(min(len(batch) * world_size, len(images) - int(bar.n)))
    if not on_all_ranks(failed is None, device=work.device):
        raise failed or ValueError(f"another rank failed with its part of {images.name}")


def batch_of(images: ImageSet, first: int, count: int, *, device: torch.device) -> Tensor | list[Tensor]:
    if not has_several_sizes(images):
        return images.images(first, count).to(device)
    several = cast(KeptImageSet, images)  # what is drawn has one size
    return [image.to(device) for image in several.each(range(first, first + count))]


def batches_of_one_size(images: ImageSet, *, size: int, what: str, work: Work) -> Iterator[tuple[Tensor, Tensor]]:
    """As :func:`batches`; ValueError where the images have several sizes."""
    if has_several_sizes(images):
        raise ValueError(
            f"{images.name} has images of several sizes, and here images of one are compared: bring them to one size, by "
            "python -m datamodules.prepare"
        )
    for batch, numbers in batches(images, size=size, what=what, work=work):
        assert isinstance(batch, Tensor)
        yield batch, numbers


def real_facts(real: ImageSet, extractor: Extractor) -> dict[str, Any]:
    """What the statistics of a set depend on."""
    return {
        "extractor": extractor.name,
        "weights": extractor.weights,
        "resize": extractor.resize,
        "image_shape": list(real.shape),
        "images": real.fingerprint(),
    }


def real_summary(real: ImageSet, extractor: Extractor, *, metrics: Sequence[str], work: Work) -> Summary:
    """What ``metrics`` need of the real images, from the cache or by a pass that fills it.

    Raw pixels are not cached: reading them is the whole work.
    """
    facts = real_facts(real, extractor)
    path, found = None, None
    if work.cache is not None and extractor.name != "pixels" and facts["images"]:
        path = cached_path(work.cache, facts)
        found = load_cached(path, facts)
        if on_all_ranks(found is not None and found.has(**needs(metrics, generated=False)), device=work.device):
            assert found is not None
            return found.to(work.device)
    check_memory(real, extractor, metrics)
    quality = GenerationQuality(extractor, metrics=metrics).to(work.device)
    for images, numbers in batches(real, size=extractor.batch_size, what="real", work=work):
        quality.update(extractor(images), real=True, numbers=numbers)
    shown = quality.real_summary()
    assert shown is not None
    summary = replace(shown, facts=facts)
    if path is not None and rank_and_world_size()[0] == 0:
        keep_in_cache(summary if found is None else summary.with_parts_of(found), path)
    return summary


def hit_rate(device: torch.device) -> MeanMetric:
    """The share of hits over all ranks, in float64."""
    metric = MeanMetric()
    metric.set_dtype(torch.float64)
    return metric.to(device)


class AskedClass:
    """Accuracy of the class that was asked for, and of a student that learned from the generated images."""

    def __init__(self, fake: ImageSet, instruments: Instruments) -> None:
        labels, judge, test = fake.labels(), instruments.judge, instruments.test
        if labels is None or judge is None or test is None or test.labels() is None:
            raise ValueError("accuracy and tstr_accuracy need labels on both sides: leave them out of metrics=[...]")
        self.labels, self.judge, self.test = labels, judge, test
        self.shape, self.instruments = fake.shape, instruments
        device = instruments.work.device
        self.hits = hit_rate(device)
        keeps_images = "tstr_accuracy" in instruments.metrics
        self.kept = NumberedRows(math.prod(fake.shape), dtype=torch.uint8).to(device) if keeps_images else None

    def check_classes(self, *, name: str) -> None:
        """ValueError where a label of the set ``name`` is no class that the judge knows."""
        if int(self.labels.max()) >= self.judge.num_classes:
            raise ValueError(
                f"{name} has labels up to {int(self.labels.max())}, and the judge knows {self.judge.num_classes} classes"
            )

    def update(self, images: Tensor, numbers: Tensor, features: Features) -> None:
        """``features`` of the images, as far as they are known: those of the judge's own extractor name the classes."""
        knows = self.judge.extractor is self.instruments.extractor and "logits" in features
        named = features["logits"].argmax(dim=1).cpu() if knows else self.judge.predict(images)
        self.hits.update((named == self.labels[numbers]).double().to(self.hits.device))
        if self.kept is not None:
            self.kept.update(images.flatten(1), numbers)

    def compute(self) -> dict[str, float]:
        values, work = {}, self.instruments.work
        if "accuracy" in self.instruments.metrics:
            values["accuracy"] = float(self.hits.compute())
            values["judge_accuracy"] = judged_accuracy(self.judge, self.test, work=work)
        if self.kept is not None:
            student = self.judge.student(self.kept.compute().unflatten(1, self.shape), self.labels)
            values["tstr_accuracy"] = judged_accuracy(student, self.test, work=work, what="student")
        return values


def judged_accuracy(judge: Judge, images: ImageSet, *, work: Work, what: str = "judge") -> float:
    """Share of a labelled set that ``judge`` names rightly, over all ranks."""
    labels = images.labels()
    assert labels is not None
    hits = hit_rate(work.device)
    size = judge.extractor.batch_size if judge.extractor is not None else Pixels.batch_size
    for batch, numbers in batches_of_one_size(images, size=size, what=what, work=work):
        hits.update((judge.predict(batch) == labels[numbers]).double().to(work.device))
    return float(hits.compute())


def evaluate(fake: ImageSet, real: ImageSet | Summary | None, instruments: Instruments) -> dict[str, float]:
    """The metrics of ``fake`` against ``real``: one pass over the fakes, and one over the real images or none.

    ``real`` may be a summary of earlier, and None where only scores of the fakes are asked for. Where the asked class is
    measured, ``judge_accuracy`` on the judge's test images stands beside it. Every rank of a process group gets the
    same values.
    """
    check_sides(fake, real, instruments)
    classes = AskedClass(fake, instruments) if instruments.asked(CLASS_METRICS) else None
    if "is" in instruments.metrics and len(fake) < instruments.settings.num_splits:
        raise ValueError(
            f"{fake.name} has {len(fake)} images, which cannot be cut into {instruments.settings.num_splits} splits"
        )
    values: dict[str, float] = {}
    if instruments.asked(RECONSTRUCTION_METRICS):
        values |= reconstruction(fake, real, instruments)
    if classes is not None or instruments.asked(COMPARISONS):
        values |= of_one_pass(fake, real, instruments, classes)
    return same_on_all_ranks(values, device=instruments.work.device)


def of_one_pass(
    fake: ImageSet, real: ImageSet | Summary | None, instruments: Instruments, classes: AskedClass | None
) -> dict[str, float]:
    """What is measured of each image by itself: comparisons of features, and the asked class."""
    extractor, work, metrics = instruments.extractor, instruments.work, instruments.asked(COMPARISONS)
    check_memory(fake, extractor, metrics)
    quality = GenerationQuality(extractor, metrics=metrics, settings=instruments.settings).to(work.device)
    if any(needs(metrics, generated=False).values()):
        if real is None:
            raise ValueError(f"{', '.join(metrics)} compare with real images: give a reference")
        quality.use_reference(
            real.to(work.device)
            if isinstance(real, Summary)
            else real_summary(real, extractor, metrics=metrics, work=work)
        )
    if classes is not None:
        classes.check_classes(name=fake.name)
    show = batches if classes is None else batches_of_one_size
    for batch, numbers in show(fake, size=extractor.batch_size, what="images", work=work):
        features = extractor(batch) if metrics else {}
        if metrics:
            quality.update(features, real=False, numbers=numbers)
        if classes is not None:
            assert isinstance(batch, Tensor)
            classes.update(batch, numbers, features)
    return (quality.compute() if metrics else {}) | ({} if classes is None else classes.compute())


def check_sides(fake: ImageSet, real: ImageSet | Summary | None, instruments: Instruments) -> None:
    """ValueError for metrics that are none, and for two sets that cannot be compared as they are."""
    check_metrics(instruments.metrics)
    images = real if real is not None and not isinstance(real, Summary) else None
    sides = [part for part in (fake, images) if part is not None]
    for part in sides:
        if len(part) < 2:
            raise ValueError(f"an evaluation needs at least 2 images on each side: {part.name} has {len(part)}")
    for part in sides:
        check_sizes(part, instruments.extractor)
    if images is not None:
        check_shapes(fake, images)


def check_sizes(images: ImageSet, extractor: Extractor) -> None:
    """ValueError where images have several sizes and the extractor does not resize them."""
    if has_several_sizes(images) and extractor.resize == "none":
        raise ValueError(
            f"{images.name} has images of several sizes, which {extractor.name} does not compare: choose a network that "
            "resizes each, such as extractor=efficientnet_lite0, or bring them to one size, by python -m datamodules.prepare"
        )


def check_shapes(fake: ImageSet, real: ImageSet) -> None:
    """ValueError where two sets cannot be compared as they are."""
    if fake.shape[0] != real.shape[0]:
        grey, colour = (fake, real) if fake.shape[0] == 1 else (real, fake)
        raise ValueError(f"{grey.name} is grey and {colour.name} in colour: bring them to one number of channels first")
    if fake.shape != real.shape and not (has_several_sizes(fake) or has_several_sizes(real)):
        sizes = [" x ".join(map(str, part.shape)) for part in (fake, real)]
        raise ValueError(f"{fake.name} is {sizes[0]} and {real.name} {sizes[1]}: bring them to one size first")


class Pairs:
    """Image k of one set and image k of another of the same shape, channels one after the other."""

    def __init__(self, images: ImageSet, originals: ImageSet) -> None:
        self.parts = (images, originals)
        self.name = f"{images.name} and {originals.name}"
        self.shape = (2 * images.shape[0], *images.shape[1:])

    def __len__(self) -> int:
        return len(self.parts[0])

    def images(self, first: int, count: int) -> Tensor:
        return torch.cat([part.images(first, count) for part in self.parts], dim=1)

    def labels(self) -> Tensor | None:
        return None

    def fingerprint(self) -> str:
        return ""


def reconstruction(
    images: ImageSet, originals: ImageSet | Summary | None, instruments: Instruments
) -> dict[str, float]:
    """Metrics of pairs: image k of one set is the reconstruction of image k of the other."""
    extractor, work, metrics = instruments.extractor, instruments.work, instruments.asked(RECONSTRUCTION_METRICS)
    if originals is None or isinstance(originals, Summary):
        raise ValueError(f"{', '.join(metrics)} compare pairs of images: give the originals as reference")
    if len(images) != len(originals):
        raise ValueError(
            f"{', '.join(metrics)} compare pairs: {images.name} has {len(images)} images and {originals.name} {len(originals)}"
        )
    deep = extractor.to(work.device).stages if "feature_distance" in metrics else None
    quality = ReconstructionQuality(metrics=metrics, stages=deep).to(work.device)
    for batch, _ in batches_of_one_size(Pairs(images, originals), size=extractor.batch_size, what="pairs", work=work):
        quality.update(*batch.chunk(2, dim=1))
    return quality.compute()


def check_memory(images: ImageSet, extractor: Extractor, metrics: Sequence[str]) -> None:
    """ValueError for a Frechet distance whose table of features x features no ordinary machine holds."""
    for name in (name for name in metrics if name in DISTANCES):
        size = extractor.provides.get(DISTANCES[name], 0)
        if MOST_IN_TABLE < size < len(images):
            raise ValueError(
                f"{name} of {len(images)} images in {size} features needs a table of {8 * size**2 / 1e9:.0f} GB ({images.name}): "
                f"choose a network, such as extractor=efficientnet_lite0, or at most {size} images of a side"
            )


def small_sample_note(count: int, extractor: Extractor, metrics: Sequence[str]) -> str | None:
    """What to know about a Frechet distance of few images; None where there are enough."""
    biased = [name for name in DISTANCES if name in metrics]
    if not biased:
        return None
    least = max(extractor.provides[DISTANCES[name]] for name in biased)
    if count >= least:
        return None
    return (
        f"{' and '.join(biased)} of {count} images in {least} features is too large by its bias and compares only with "
        f"the same count: {'see kid, which has none' if 'kid' in metrics else 'add kid, which has none'}"
    )


def negative_distance_note(values: dict[str, float]) -> str | None:
    """What to know about a kernel distance below 0; None where it is not."""
    if values.get("kid", 0.0) >= 0:
        return None
    return (
        "kid is below 0, as an estimate without bias may be where the sets hardly differ; of a set and itself, or copies "
        "of its images, it always is"
    )


def nearest_originals(
    samples: ImageSet, real: KeptImageSet, *, extractor: Extractor, work: Work, num_nearest: int = 3
) -> Image.Image:
    """A grid with a column a sample: the sample, then the real images nearest to it in the extractor's features."""
    rows: list[Tensor] = []
    for part, what in ((samples, "samples"), (real, "real")):
        keeper = NumberedRows(extractor.provides["features"]).to(work.device)
        for images, numbers in batches_of_one_size(part, size=extractor.batch_size, what=what, work=work):
            keeper.update(extractor.to(work.device)(images)["features"], numbers)
        rows.append(keeper.compute())
    centre = rows[1].mean(dim=0)
    distances = squared_distances(rows[0] - centre, rows[1] - centre)
    nearest = distances.topk(min(num_nearest, len(real)), largest=False).indices.T.flatten().tolist()
    drawn = torch.cat([samples.images(0, len(samples)).cpu(), real.select(nearest).cpu()])
    return image_grid(from_uint8(drawn), num_columns=len(samples), scale=max(1, 64 // samples.shape[1]))
