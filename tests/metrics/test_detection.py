"""Scores of found boxes: COCO's own numbers, and recall at false calls by hand."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from metrics.detection import Inspected, average_precisions, detection_scores, hits, once_each, recall_at_false_calls

CLASSES = ("open", "short", "spur")


def inspected(number: int, found: list[tuple[float, ...]], given: list[tuple[float, ...]]) -> Inspected:
    """Rows of left, top, right, bottom, class and, of what was found, score."""
    rows, truth = (np.array(part, dtype=float).reshape(-1, size) for part, size in ((found, 6), (given, 5)))
    return Inspected(
        number, rows[:, :4], rows[:, 4].astype(np.int64), rows[:, 5], truth[:, :4], truth[:, 4].astype(np.int64)
    )


@pytest.fixture
def images() -> list[Inspected]:
    """Forty images: moved and missed boxes, false calls, other classes; some without boxes, some where nothing was found."""
    random = np.random.default_rng(0)
    made = []
    for number in range(40):
        given, found = [], []
        for _ in range(0 if number % 7 == 0 else random.integers(1, 5)):
            left, top, width, height = random.uniform([0, 0, 10, 10], [80, 80, 60, 60])
            label = int(random.integers(0, 3))
            given.append((left, top, left + width, top + height, label))
            if random.random() < 0.8:
                edges = given[-1][:4] + random.normal(0, 2, 4)
                found.append((*edges, label if random.random() < 0.9 else (label + 1) % 3, random.uniform(0.2, 1)))
        for _ in range(0 if number % 5 == 0 else random.integers(0, 3)):
            left, top = random.uniform(0, 100, 2)
            found.append((left, top, left + 20, top + 30, int(random.integers(0, 3)), random.uniform(0, 0.6)))
        made.append(inspected(number, [] if number % 11 == 1 else found, given))
    assert any(not len(one.given) and len(one.found) for one in made)
    assert any(not len(one.found) and len(one.given) for one in made)
    assert any(not len(one.found) and not len(one.given) for one in made)
    return made


def cocos_own(images: list[Inspected]) -> COCOeval:
    def boxes(edges: np.ndarray) -> list[list[float]]:
        return np.concatenate([edges[:, :2], edges[:, 2:] - edges[:, :2]], axis=1).tolist()

    truth, number = COCO(), 0
    annotations, results = [], []
    for one in images:
        for box, label in zip(boxes(one.given), one.given_names.tolist(), strict=True):
            number += 1
            annotations.append({
                "id": number, "image_id": one.number, "category_id": label + 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0,
            })  # fmt: skip
        for box, label, score in zip(boxes(one.found), one.names.tolist(), one.scores.tolist(), strict=True):
            results.append({"image_id": one.number, "category_id": label + 1, "bbox": box, "score": score})
    truth.dataset = {
        "info": {},
        "images": [{"id": one.number} for one in images],
        "annotations": annotations,
        "categories": [{"id": label + 1, "name": name} for label, name in enumerate(CLASSES)],
    }
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def test_averages_are_cocos_own(images: list[Inspected]) -> None:
    ours, theirs = average_precisions(images, CLASSES), cocos_own(images)
    assert 0.1 < ours["map"] < 0.9
    assert [ours[name] for name in ("map", "map_50", "map_75")] == pytest.approx(theirs.stats[:3].tolist(), abs=1e-6)
    of_classes = theirs.eval["precision"][:, :, :, 0, 2].mean(axis=(0, 1))
    assert [ours[f"map:{name}"] for name in CLASSES] == pytest.approx(of_classes.tolist(), abs=1e-6)


def test_a_class_that_no_image_shows_has_no_average(images: list[Inspected]) -> None:
    scores = average_precisions(images, (*CLASSES, "copper"))
    assert "map:copper" not in scores
    called = [*images, inspected(40, [(0, 0, 9, 9, 3, 0.99)], [])]
    assert average_precisions(called, (*CLASSES, "copper")) == pytest.approx(scores)


def test_nearest_first_class_for_class() -> None:
    """The higher score takes the box; what overlaps less than half of the union, or is of another class, stands for nothing."""
    image = inspected(
        0,
        [
            (0, 0, 10, 9, 0, 0.5),
            (0, 0, 10, 10, 0, 0.9),
            (20, 0, 30, 10, 1, 0.8),
            (40, 0, 50, 5, 2, 0.7),
            (40, 0, 50, 4, 2, 0.9),
        ],
        [(0, 0, 10, 10, 0), (20, 0, 30, 10, 0), (40, 0, 50, 10, 2)],
    )
    assert hits(image).tolist() == [False, True, False, True, False]
    assert hits(inspected(0, [(0, 0, 1, 1, 0, 0.5)], [])).tolist() == [False]


def test_recall_by_hand() -> None:
    """Ten images, four boxes. From the top: right, false, right, then a right and three false ones of one score, right."""
    box, far = (0, 0, 10, 10), (50, 50, 60, 60)
    made = [inspected(number, [], []) for number in range(4, 10)]
    made += [
        inspected(0, [(*box, 0, 0.9), (*far, 0, 0.8)], [(*box, 0)]),
        inspected(1, [(*box, 1, 0.7)], [(*box, 1)]),
        inspected(2, [(*box, 0, 0.6), (*far, 0, 0.6), (*far, 1, 0.6), (*far, 2, 0.6)], [(*box, 0)]),
        inspected(3, [(*box, 2, 0.5)], [(*box, 2)]),
    ]
    found = recall_at_false_calls(made, (0.05, 0.1, 0.3, 0.4, 1.0))
    assert found == {0.05: 0.25, 0.1: 0.5, 0.3: 0.5, 0.4: 1.0, 1.0: 1.0}
    assert recall_at_false_calls(made[::-1], (0.1, 0.4)) == {0.1: 0.5, 0.4: 1.0}
    only_false = [inspected(0, [(*far, 0, 0.9)], [(*box, 0)])]
    assert recall_at_false_calls(only_false, (0.5, 1.0)) == {0.5: 0.0, 1.0: 0.0}
    assert recall_at_false_calls([inspected(0, [], [(*box, 0)])], (0.5,)) == {0.5: 0.0}


def test_an_image_counts_once(images: list[Inspected]) -> None:
    assert once_each([*images[20:], *images[:25]]) == images
    scores = detection_scores(images, CLASSES)
    rates = [f"recall_at_{rate}_false_calls" for rate in ("0.1", "0.5", "1")]
    assert scores.keys() == {"map", "map_50", "map_75", *(f"map:{name}" for name in CLASSES), *rates}


def test_what_cannot_be_measured_says_so(images: list[Inspected], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no test image has a box: label some"):
        detection_scores([inspected(0, [(0, 0, 1, 1, 0, 0.5)], [])], CLASSES)
    monkeypatch.setattr("torchmetrics.detection.mean_ap._PYCOCOTOOLS_AVAILABLE", False)
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(ValueError, match=r"needs the package pycocotools .*: python -m pip install"):
        average_precisions(images, CLASSES)
