"""How well boxes were found: COCO's average precision, and recall at rates of false calls that a line can bear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics.box_matching import Boxes, overlaps

FALSE_CALLS = (0.1, 0.5, 1.0)  # an image
OVERLAP = 0.5  # of a found box with the given one that it stands for
REMEDY = 'python -m pip install -c constraints.txt -e ".[defects]"'

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Inspected:
    """What was found on image ``number`` and what is on it.

    ``found`` float64 [K, 4] (left, top, right, bottom in pixels) of the classes ``names`` [K] with ``scores`` [K];
    ``given`` [M, 4] of the classes ``given_names`` [M].
    """

    number: int
    found: Boxes
    names: Numbers
    scores: NDArray[np.float64]
    given: Boxes
    given_names: Numbers

    @staticmethod
    def of(number: int, found: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Inspected:
        """Of tensors: "boxes", "labels" and "scores" of what was found, "boxes" and "labels" of what is given."""

        def boxes(of: Mapping[str, Tensor]) -> Boxes:
            return of["boxes"].double().cpu().numpy().reshape(-1, 4)

        names, given_names = (of["labels"].long().cpu().numpy() for of in (found, given))
        return Inspected(number, boxes(found), names, found["scores"].double().cpu().numpy(), boxes(given), given_names)


def once_each(images: Sequence[Inspected]) -> list[Inspected]:
    """In the order of their numbers, every number once: ranks may have been given an image twice."""
    return [image for _, image in sorted({image.number: image for image in images}.items())]


def recall_name(rate: float) -> str:
    """Of the measure "recall where ``rate`` calls an image are false"."""
    return f"recall_at_{rate:g}_false_calls"


def detection_scores(images: Sequence[Inspected], classes: tuple[str, ...]) -> dict[str, float]:
    """``map`` (overlaps 0.5 to 0.95), ``map_50``, ``map_75``, ``map:<class>``, and recall at each of ``FALSE_CALLS``.

    All from 0 to 1. A class that no image shows has no average precision and is left out of the means. ValueError without
    any given box.
    """
    if not any(len(image.given) for image in images):
        raise ValueError("no test image has a box: label some, or there is nothing to measure a detector by")
    rates = recall_at_false_calls(images)
    return average_precisions(images, classes) | {recall_name(rate): value for rate, value in rates.items()}


def average_precisions(images: Sequence[Inspected], classes: tuple[str, ...]) -> dict[str, float]:
    """COCO's: the mean over recalls 0, 0.01 .. 1 of the highest precision at that recall or beyond, of classes, of overlaps.

    By pycocotools, with at most 100 boxes an image. ValueError with the remedy where it is missing.
    """
    from torchmetrics.detection import MeanAveragePrecision

    # COCO's thresholds to the last bit: in float32, as they are by default, a recall of 0.2 misses the threshold 0.2.
    thresholds = {
        "iou_thresholds": np.linspace(0.5, 0.95, 10).tolist(),
        "rec_thresholds": np.linspace(0.0, 1.0, 101).tolist(),
    }
    try:
        # The images of all ranks were gathered before: none is to be gathered again.
        metric = MeanAveragePrecision(extended_summary=True, backend="pycocotools", sync_on_compute=False, **thresholds)
    except ModuleNotFoundError as error:
        raise ValueError(f"average precision needs the package pycocotools ({error}): {REMEDY}") from error
    metric.warn_on_many_detections = False
    metric.update(
        [
            {
                "boxes": torch.from_numpy(image.found),
                "labels": torch.from_numpy(image.names),
                "scores": torch.from_numpy(image.scores),
            }
            for image in images
        ],
        [{"boxes": torch.from_numpy(image.given), "labels": torch.from_numpy(image.given_names)} for image in images],
    )
    values = metric.compute()
    scores = {name: float(values[name]) for name in ("map", "map_50", "map_75")}
    # [overlaps, recalls, classes, sizes of boxes, most boxes an image]; -1 of a class that no image shows
    of_classes = values["precision"][:, :, :, 0, -1].double().mean(dim=(0, 1))
    numbers = values["classes"].reshape(-1).tolist()
    by_class = dict(zip(numbers, of_classes.tolist(), strict=True))
    return scores | {f"map:{classes[number]}": value for number, value in by_class.items() if value >= 0}


def hits(image: Inspected, *, overlap: float = OVERLAP) -> NDArray[np.bool_]:
    """Which found boxes stand for a given one, bool [K]: from the highest score down, each for the nearest that is left.

    Class for class, as COCO does it: "nearest" is the largest intersection over union, of at least ``overlap``.
    """
    return paired(image, overlap)[0]


def stood_for(image: Inspected, *, overlap: float = OVERLAP) -> NDArray[np.bool_]:
    """Which given boxes a found one stands for (:func:`hits`), bool [M]."""
    return paired(image, overlap)[1]


def paired(image: Inspected, overlap: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    stands = np.zeros(len(image.found), dtype=bool)
    free = np.ones(len(image.given), dtype=bool)
    if len(image.given):
        shared = overlaps(image.found, image.given) * (image.names[:, None] == image.given_names)
        for row in np.argsort(-image.scores, kind="stable"):
            nearest = int(np.argmax(shared[row] * free))
            if free[nearest] and shared[row, nearest] >= overlap:
                stands[row], free[nearest] = True, False
    return stands, ~free


def recall_at_false_calls(
    images: Sequence[Inspected], rates: Sequence[float] = FALSE_CALLS, *, overlap: float = OVERLAP
) -> dict[float, float]:
    """Rate -> share of the given boxes found at the lowest threshold of the score with at most ``rate`` false calls an image.

    What is found and stands for nothing (:func:`hits`) is a false call. One threshold holds for all classes and images,
    so boxes of one score are called together. ValueError without any given box.
    """
    num_given = sum(len(image.given) for image in images)
    if not num_given:
        raise ValueError("no image has a box: there is nothing to find")
    scores = np.concatenate([image.scores for image in images])
    right = np.concatenate([hits(image, overlap=overlap) for image in images])
    order = np.argsort(-scores, kind="stable")
    found, false = np.cumsum(right[order]), np.cumsum(~right[order])
    # A threshold lies below the last one of equal scores.
    last = np.append(np.diff(scores[order]) != 0, True)[: len(order)]
    return {rate: float(max(found[last & (false <= rate * len(images))], default=0)) / num_given for rate in rates}
