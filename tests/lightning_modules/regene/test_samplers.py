"""Samplers side by side, by methods whose images are their latents, or their latents times a number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from generative.rendering.images import to_uint8
from lightning_modules.regene import samplers as task
from lightning_modules.regene.judging import TAUGHT, NetworkJudge
from lightning_modules.regene.samplers import ARMS, METRICS, CombinedPixels, images_of, samplers
from metrics.features import FromClassifier
from metrics.functional import Gaussian, frechet_distance
from tests.support.banks import Shrinking, SmallData, shrinking

COUNT = 60


class Data(SmallData):
    """The test images are far from the others."""

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        images, labels = super().split(name)
        return (images * (0.3 if name == "test" else 1.0)), labels


class Doubled(Shrinking):
    """A judge whose features are twice the pixels."""

    def features(self, images: Tensor) -> Tensor:
        return 2.0 * super().features(images)


def measured(output: Path, method: Shrinking, **given: Any) -> tuple[dict[tuple[str, str], dict[str, Any]], str]:
    """The rows by extractor and arm, and the table."""
    given = {"seed": 0, "datamodule": Data(), "count": COUNT, "reference": "test"} | given
    lines, table, picture = samplers(method, output, **given)  # type: ignore[arg-type]
    assert picture.exists()
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    return {(row["extractor"].partition("_")[0], row["arm"]): row for row in rows}, table.read_text()


def rows_of_split(name: str) -> Tensor:
    """The pixels that a measure sees, [60, 9]."""
    return to_uint8(Data().split(name)[0]).flatten(1).double() / 127.5 - 1.0


def test_every_arm_has_a_row_in_pixels_and_in_the_features_of_a_judge(tmp_path: Path) -> None:
    arms = [arm for arm in ARMS if arm != "flow"]  # which learns for many seconds
    assert len(arms) == len(ARMS) - 1
    rows, table = measured(tmp_path, shrinking(Data(), shrinks=1.0), arms=arms, judge=[Doubled()])
    assert list(rows) == [(extractor, arm) for arm in arms for extractor in ("pixels", "classifier")]
    for arm in arms:
        pixels, features = rows["pixels", arm], rows["classifier", arm]
        assert features["fd"] == pytest.approx(4 * pixels["fd"], rel=1e-6), "twice as far, in squares"
        for name in ("precision", "recall", "authenticity", "accuracy", "tstr_accuracy"):
            assert features[name] == pytest.approx(pixels[name], abs=1e-9), f"{arm}: {name} is of the same images"
        assert (pixels["count"], pixels["num_reference"], pixels["num_training"]) == (COUNT, 60, 60)
        assert table.count(f"| {arm} |") == 2
    assert set(METRICS) <= rows["pixels", "convex_2"].keys()


def test_copies_are_of_the_training_images_and_distances_of_the_reference(tmp_path: Path) -> None:
    rows, _ = measured(tmp_path, shrinking(Data(), shrinks=1.0), arms=["training", "images", "gaussian"])
    assert rows["pixels", "training"]["authenticity"] == 0.0
    assert rows["pixels", "images"]["authenticity"] == 0.0
    assert rows["pixels", "gaussian"]["authenticity"] > 0.2
    expected = frechet_distance(Gaussian.of(rows_of_split("train")), Gaussian.of(rows_of_split("test")))
    assert rows["pixels", "images"]["fd"] == pytest.approx(expected, rel=1e-4)


def test_details_are_what_the_decoder_misses_of_the_first_source(tmp_path: Path) -> None:
    """With it a training latent is its image again; the detail of a combination is that of its first source alone."""
    data = Data()
    method = shrinking(data, shrinks=0.5)  # which decodes half of an image
    cycle = torch.arange(2)
    found = images_of(method, "training_detailed", data, cycle, 40, seed=0)
    drawn = images_of(method, "training", data, cycle, 40, seed=0)
    originals = to_uint8(data.split("train")[0])
    places = [int((originals == image).flatten(1).all(dim=1).nonzero()[0]) for image in found.images(0, 40)]
    assert data.split("train")[1][places].tolist() == found.labels().tolist()
    assert not torch.equal(drawn.images(0, 40), found.images(0, 40))

    combined = images_of(method, "variance_2_detailed", data, cycle, 40, seed=0)
    method.use_sampling("variance_2")
    sampled = method.sampled(range(40), combined.labels(), seed=0)
    first = data.split("train")[0][method.bank.origins[sampled.sources[:, 0]]]
    expected = to_uint8((sampled.images + 0.5 * first).clamp(-1, 1)).int()
    assert (combined.images(0, 40).int() - expected).abs().max() <= 1
    with pytest.raises(
        ValueError, match="gaussian_detailed: details are those of a source, and gaussian makes latents"
    ):
        measured(tmp_path, method, arms=["gaussian_detailed"])


def test_a_rival_is_measured_as_an_arm_is(tmp_path: Path) -> None:
    method, rival = shrinking(Data()), shrinking(Data(), sampling="training")
    rival.run_config = {"experiment_name": "other/data"}
    rows, table = measured(tmp_path, method, arms=["training"], judge=[Doubled()], rivals=[rival])
    for extractor in ("pixels", "classifier"):
        own, other = rows[extractor, "training"], rows[extractor, "other/data"]
        assert {name: own[name] for name in METRICS} == {name: other[name] for name in METRICS}
    assert table.count("| other/data |") == 2
    rival.num_classes = 0
    with pytest.raises(ValueError, match=r"rivals has other/data, which draws images \(1, 3, 3\) of 0 classes"):
        measured(tmp_path, method, arms=["training"], rivals=[rival])


def test_what_gives_up_has_a_row_that_says_so(tmp_path: Path) -> None:
    method = shrinking(Data(), max_tries=1)
    rows, table = measured(tmp_path, method, arms=["convex_2_filtered", "convex_2"], judge=[Doubled()])
    for extractor in ("pixels", "classifier"):
        assert "1 tries of an image were not enough" in rows[extractor, "convex_2_filtered"]["gave_up"]
        assert "fd" not in rows[extractor, "convex_2_filtered"]
        assert "fd" in rows[extractor, "convex_2"]
    assert table.count("| convex_2_filtered | gave up |") == 2


@pytest.mark.parametrize("num_sources", [2, 3])
def test_means_of_pixels_are_of_the_images_whose_latents_are_combined(num_sources: int) -> None:
    """Of a bank that holds some of the training images alone, by their places among these."""
    data, method = Data(), shrinking(Data(), bank_size=10)
    cycle = method.label_cycle(data.split("train")[1], seed=3)
    assert cycle is not None
    arm, drawn = (
        images_of(method, f"{way}_{num_sources}", data, cycle, 20, seed=3)  # type: ignore[arg-type]
        for way in ("pixels", "convex")
    )
    assert isinstance(arm, CombinedPixels)
    assert torch.equal(arm.labels(), drawn.labels())
    sources = method.sampled(range(20), drawn.labels(), seed=3).sources
    images, labels = data.split("train")
    origins = method.bank.origins[sources]
    assert origins.shape == (20, num_sources)
    assert torch.equal(labels[origins], arm.labels()[:, None].expand(-1, num_sources))
    expected = to_uint8(images[origins].double().mean(dim=1))
    assert (arm.images(0, 20).int() - expected.int()).abs().max() <= 1, "but for rounding"
    assert torch.equal(arm.images(7, 5), arm.images(0, 20)[7:12])


def test_settings_that_cannot_be_are_refused(tmp_path: Path) -> None:
    method, judge = shrinking(Data()), Shrinking()
    many = Shrinking()
    many.num_classes = 3
    method.network = method.averaged_network = judge.network = judge.averaged_network = nn.Linear(9, 2)
    for given, message in (
        ({"arms": ["convex2"]}, "there is no sampler of latents 'convex2': choose one like convex_2"),
        ({"arms": ["pixels_two"]}, "there is no sampler of latents 'convex_two'"),
        ({"arms": ["pixels_2_filtered"]}, "means of pixels are not filtered, leave out _filtered"),
        ({"judge": [many]}, "judge knows 3 classes, and these images have 2: give a classifier of this data"),
        ({"judge": [judge]}, "judge is the classifier whose latents are combined: give one that was trained apart"),
        ({"count": 9}, "count must be at least 10, got 9"),
        ({"reference": "train"}, "'train'.*all, test"),
    ):
        with pytest.raises(ValueError, match=message):
            measured(tmp_path, method, **given)
    assert not list(tmp_path.iterdir())


def test_images_too_large_for_a_machine_on_pixels_have_no_student(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "can_judge", lambda num_pixels: False)
    rows, table = measured(tmp_path, shrinking(Data(), shrinks=1.0), arms=["convex_2"], judge=[Doubled()])
    assert "tstr_accuracy" not in rows["pixels", "convex_2"]
    assert rows["pixels", "convex_2"]["accuracy"] > 0.9
    assert "| - |" in table


def test_a_student_of_images_that_are_sorted_by_class_learns_of_all_classes() -> None:
    labels = torch.arange(2).repeat_interleave(TAUGHT)
    images = (labels * 255).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 3, 3)
    student = NetworkJudge(FromClassifier(Doubled())).student(images, labels)
    assert torch.equal(student.predict(images[[0, -1]]), torch.tensor([0, 1]))


def test_only_images_that_no_try_makes_are_a_row_and_other_faults_are_said(tmp_path: Path) -> None:
    """No image is held out, so a filter has no thresholds."""

    class Whole(Data):
        holds_out = False

    with pytest.raises(ValueError, match="filtered sampling takes its thresholds from images that were not trained on"):
        measured(tmp_path, shrinking(Whole(), shrinks=1.0), arms=["convex_2_filtered"])
