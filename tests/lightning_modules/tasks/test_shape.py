"""The tests of shape on known classifiers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from generative.rendering.patches import patch_orders, shuffle_patches
from lightning_modules.tasks.shape import (
    PATCHES,
    ROTATIONS,
    SCALES,
    SHEARS,
    distortions,
    measure_shape,
    partners,
    shape,
)
from tests.support.classifiers import data, dgm, noise, resnet


@pytest.mark.parametrize("fill", ["reflection", "grey"])
def test_no_amount_leaves_the_image(fill: str) -> None:
    images = noise(2, 12)[..., :10]
    unmoved = [
        d for test, amount, d in distortions(seed=0, fill=fill) if amount == (1 if test in ("scale", "patches") else 0)
    ]
    assert len(unmoved) == 4
    for distort in unmoved:
        torch.testing.assert_close(distort(images, torch.arange(2)), images, rtol=0, atol=1e-6)


def test_partners_are_of_another_class() -> None:
    numbers, labels = torch.tensor([4, 7, 1, 0, 3]), torch.tensor([0, 1, 1, 0, 2])
    found = partners(numbers, labels, seed=0)
    assert (labels[found] != labels).all()
    assert torch.equal(found, partners(numbers, labels, seed=0))
    with pytest.raises(ValueError, match="of one class"):
        partners(numbers[:2], labels[[0, 0]], seed=0)


def test_task_measures_all_models_on_the_same_images(tmp_path: Path) -> None:
    method = dgm()
    settings = {"seed": 0, "datamodule": data(count=9), "count": 6, "fill": "grey"}
    written = shape(method, tmp_path / "a", baselines=[resnet()], **settings)  # type: ignore[arg-type]
    assert [path.name for path in written] == ["shape_examples.png", "shape.jsonl", "shape.md", "shape.png"]
    assert all(Image.open(path).width > 400 for path in (written[0], written[3]))
    rows = [json.loads(line) for line in written[1].read_text().splitlines()]
    points, cues = [row for row in rows if "accuracy" in row], [row for row in rows if "phase" in row]
    assert len(points) == 2 * (len(ROTATIONS) + len(SCALES) + len(SHEARS) + len(PATCHES))
    assert {row["num_images"] for row in points} == {6}
    unmoved = {
        row["accuracy"] for row in points[: len(points) // 2] if row["amount"] == (row["test"] in ("scale", "patches"))
    }
    assert len(unmoved) == 1, "undistorted, the tests agree"
    assert [(row["model"], row["of"]) for row in cues] == [
        (name, of) for name in ("dgm-cifar10", "classifier-cifar10") for of in ("all", "rightly")
    ]
    assert cues[0]["phase"] + cues[0]["amplitude"] + cues[0]["neither"] == pytest.approx(1)
    table = written[2].read_text()
    assert "| rotation | 15 |" in table
    assert "Not the stylised images of Geirhos et al. (2019)" in table
    alone = shape(method, tmp_path / "b", **settings)[1].read_text().splitlines()  # type: ignore[arg-type]
    assert alone == [json.dumps(row) for row in rows if row["model"] == "dgm-cifar10"], "whatever it is compared with"


def test_a_classifier_of_one_answer_is_right_for_a_third_and_for_no_pair() -> None:
    method = dgm()
    with torch.no_grad():
        method.averaged_network.classifier.bias[1] += 100
    points, cues = measure_shape({"always 1": method}, data(count=12), torch.arange(12), seed=0, fill="reflection")
    assert {point.accuracy for point in points} == {4 / 12}
    whole, rightly = cues
    assert whole.phase == 4 / 12
    # Of the pairs the images of class 1 lend their phases to 4, and their amplitudes to those they were drawn for.
    labels = torch.arange(12) % 3
    drawn = float((labels[partners(torch.arange(12), labels, seed=0)] == 1).float().mean())
    assert whole.amplitude == pytest.approx(drawn)
    assert drawn > 0
    assert (rightly.num_images, rightly.shape_bias) == (0, None), "no pair has two originals of class 1"


def test_a_classifier_of_mean_colours_is_blind_to_where_patches_lie() -> None:
    """With neither neighbours nor bases, the features' mean is the same in any order of whole pixels."""
    method = dgm("method.backbone.moments=false", "method.backbone.block=pointwise", size=16)
    for network in (method.network, method.averaged_network):  # the stem's 5 x 5 becomes its middle
        with torch.no_grad():
            network.stem.weight *= torch.nn.functional.pad(torch.ones(1, 1), (2, 2, 2, 2))
    images = noise(3, 16)
    mixed = shuffle_patches(images, patch_orders(torch.arange(3), 4, seed=0))
    assert not torch.equal(mixed, images)
    with torch.no_grad():
        torch.testing.assert_close(method(mixed), method(images))
