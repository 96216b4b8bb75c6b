"""The tests of shape against what they do to known images and known classifiers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from generative.rendering.patches import patch_orders, shuffled
from lightning_modules.dgm.shape import (
    PATCHES,
    ROTATIONS,
    SCALES,
    SHEARS,
    cue_shares,
    distortions,
    measure,
    measured,
    moved,
    partners,
    rotation,
    scaling,
    shape,
    shearing,
    with_amplitudes_of,
)
from tests.lightning_modules.dgm.test_maps import data, dgm, noise, resnet


def ramp(size: int = 9) -> tuple[Tensor, Tensor]:
    """Offsets from the centre in pixels, x to the right and y down, as images [1, 1, size, size] each."""
    offsets = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    return offsets.expand(1, 1, size, size), offsets[:, None].expand(1, 1, size, size)


@pytest.mark.parametrize("fill", ["reflection", "grey"])
def test_no_amount_leaves_the_image(fill: str) -> None:
    images = noise(2, 12)[..., :10]
    unmoved = [
        d for test, amount, d in distortions(seed=0, fill=fill) if amount == (1 if test in ("scale", "patches") else 0)
    ]
    assert len(unmoved) == 4
    for distort in unmoved:
        torch.testing.assert_close(distort(images, torch.arange(2)), images, rtol=0, atol=1e-6)


def test_quarter_turns() -> None:
    images = noise(2, 8)
    turned = moved(images, rotation(90), fill="grey")
    torch.testing.assert_close(turned, images.rot90(1, (2, 3)), rtol=0, atol=1e-6)
    for _ in range(3):
        turned = moved(turned, rotation(90), fill="grey")
    torch.testing.assert_close(turned, images, rtol=0, atol=1e-6)


@pytest.mark.parametrize("matrix", [rotation(20), scaling(1.3), shearing(0.3)], ids=["rotation", "scale", "shear"])
def test_points_go_where_the_matrix_sends_them(matrix: Tensor) -> None:
    """A linear image stays linear under bilinear sampling: its value at p is that of the point that went to p."""
    x, y = ramp()
    back = torch.linalg.inv(matrix)
    for image, row in ((x, back[0]), (y, back[1])):
        found = moved(image, matrix, fill="grey")
        torch.testing.assert_close(found[..., 3:6, 3:6], (row[0] * x + row[1] * y)[..., 3:6, 3:6])


def test_images_need_not_be_square() -> None:
    x, y = torch.zeros(1, 1, 6, 10), torch.zeros(1, 1, 6, 10)
    x[..., :] = torch.arange(10) - 4.5
    y[..., :] = (torch.arange(6) - 2.5)[:, None]
    torch.testing.assert_close(moved(x, rotation(90), fill="grey")[..., 2:4, 4:6], -y[..., 2:4, 4:6])


def test_borders() -> None:
    images = torch.ones(1, 1, 8, 8)
    assert moved(images, scaling(0.5), fill="grey")[0, 0, 0, 0] == 0
    assert moved(images, scaling(0.5), fill="reflection").eq(1).all()
    with pytest.raises(ValueError, match="unknown fill 'black': choose one of reflection, grey"):
        moved(images, scaling(0.5), fill="black")


def test_phase_and_amplitude() -> None:
    images, others = noise(2, 8, seed=0), noise(2, 8, seed=1)
    torch.testing.assert_close(with_amplitudes_of(images, images), images, rtol=0, atol=1e-6)
    # A cyclic shift changes phases alone.
    torch.testing.assert_close(with_amplitudes_of(images, images.roll((2, 3), (2, 3))), images, rtol=0, atol=1e-6)
    quiet, other = images / 20, others / 20  # so that nothing is clamped
    spectrum = torch.fft.fft2((with_amplitudes_of(quiet, other).double() + 1) / 2)
    expected = torch.fft.fft2((other.double() + 1) / 2)
    torch.testing.assert_close(spectrum.abs(), expected.abs(), rtol=1e-4, atol=1e-5)
    phases = torch.fft.fft2((quiet.double() + 1) / 2).angle()
    assert (spectrum * torch.exp(-1j * phases)).imag.abs().max() < 1e-4


def test_partners_are_of_another_class() -> None:
    numbers, labels = torch.tensor([4, 7, 1, 0, 3]), torch.tensor([0, 1, 1, 0, 2])
    found = partners(numbers, labels, seed=0)
    assert (labels[found] != labels).all()
    assert torch.equal(found, partners(numbers, labels, seed=0))
    with pytest.raises(ValueError, match="of one class"):
        partners(numbers[:2], labels[[0, 0]], seed=0)


def test_shares_of_known_decisions() -> None:
    shape_class, texture_class = torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)
    found = cue_shares("m", "all", torch.tensor([0, 0, 1, 2]), shape_class, texture_class)
    assert found[2:] == (0.5, 0.25, 0.25, pytest.approx(2 / 3), 4)
    assert cue_shares("m", "all", torch.tensor([2]), shape_class[:1], texture_class[:1]).shape_bias is None
    assert cue_shares("m", "rightly", shape_class[:0], shape_class[:0], texture_class[:0]).num_images == 0
    point = measured("m", "rotation", 15.0, torch.tensor([True] * 8 + [False] * 2))
    # Wilson's interval: (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4 n^2)) / (1 + z^2 / n)
    z2 = 1.959964**2
    middle, half = 0.8 + z2 / 20, (z2 * (0.16 / 10 + z2 / 400)) ** 0.5
    assert point[3:6] == pytest.approx(
        (0.8, (middle - half) / (1 + z2 / 10), (middle + half) / (1 + z2 / 10)), abs=1e-6
    )


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
    points, cues = measure({"always 1": method}, data(count=12), torch.arange(12), seed=0, fill="reflection")
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
    mixed = shuffled(images, patch_orders(torch.arange(3), 4, seed=0))
    assert not torch.equal(mixed, images)
    with torch.no_grad():
        torch.testing.assert_close(method(mixed), method(images))
