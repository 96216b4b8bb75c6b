"""By what evaluate.py measures: the extractor, and who says which class an image shows on which test images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from datamodules.base import ImageDataModule
from generative.ranks import rank_and_world_size
from launch.evaluate.judges import PREFIX, KnownClassifier, extractor_of, load_classifier
from launch.evaluate.requests import AgainstReference
from metrics.evaluation import Instruments, judged_accuracy, nearest_originals
from metrics.image_sets import ImageSet, KeptImageSet
from metrics.judge import Judge
from metrics.quality import CLASS_METRICS, COMPARISONS
from metrics.splits import pixel_judge, real_images

PictureMaker = Callable[[], Image.Image]  # what show_nearest= asks for: drawn after the numbers are safe


def prepare_instruments(
    request: AgainstReference,
    metrics: Sequence[str],
    *,
    image_shape: tuple[int, int, int],
    labelled: ImageDataModule | None,
) -> tuple[Instruments, dict[str, float]]:
    """What measures ``metrics``, and the accuracy of a classifier that serves as extractor.

    ``labelled``: the data module that the judge of raw pixels learns from, if there is one.
    """
    work = request.work()
    looks_at_features = set(metrics) & {*COMPARISONS, "feature_distance"} or request.show_nearest is not None
    name = request.extractor or (None if looks_at_features else "pixels")
    extractor, own = extractor_of(name, image_shape=image_shape, weights=request.weights, device=request.device)
    facts = {}
    if own is not None:
        facts["extractor_accuracy"] = judged_accuracy(own.judge, own.test_images(), work=work, what="classifier")
    judge, test = judge_of(request, metrics, labelled, own)
    settings = request.conventions
    return Instruments(
        extractor=extractor, metrics=metrics, settings=settings, judge=judge, test=test, work=work
    ), facts


def judge_of(
    request: AgainstReference, metrics: Sequence[str], labelled: ImageDataModule | None, own: KnownClassifier | None
) -> tuple[Judge | None, KeptImageSet | None]:
    """Who names the classes, and the test images that it never saw; nobody where ``metrics`` do not ask.

    ``own``: the classifier that serves as extractor, so that it is not read twice.
    """
    asked = [name for name in metrics if name in CLASS_METRICS]
    if not asked:
        if request.judge != "pixels":
            raise ValueError(f"judge= has no effect on metrics={list(metrics)}: add accuracy, or leave it out")
        return None, None
    if request.judge.startswith(PREFIX):
        if "tstr_accuracy" in metrics and rank_and_world_size()[1] > 1:
            raise ValueError("tstr_accuracy trains a network, which several ranks cannot do here: measure it with one")
        is_own = own is not None and request.judge == request.extractor
        path = Path(request.judge.removeprefix(PREFIX))
        known = own if own is not None and is_own else load_classifier(path, device=request.device)
        return known.judge, known.test_images()
    if labelled is None:
        raise ValueError(
            f"{' and '.join(asked)} need a judge: give a data module as reference, or judge=classifier:<checkpoint>"
        )
    return pixel_judge(labelled, metrics), real_images(labelled, "test")


def picture_of(samples: ImageSet, real: KeptImageSet, instruments: Instruments) -> PictureMaker:
    """A picture of samples, each above the real images that come nearest to it."""
    return partial(nearest_originals, samples, real, extractor=instruments.extractor, work=instruments.work)
