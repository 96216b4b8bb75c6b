"""Scores of midpoints, means and points beyond, of an untrained DCGAN and of generators whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.digits import Digits
from generative.rendering.images import from_uint8
from launch.build import build
from launch.compose import compose, plain
from launch.generate.tasks import tasks_of
from lightning_modules.base import Classifies, HasLatents
from lightning_modules.tasks.latent_models import drawn_by
from lightning_modules.tasks.midpoints import midpoints
from metrics.combinations import Combination, combinations_of, samples_of
from metrics.evaluation import Instruments, evaluate
from metrics.features import Pixels
from metrics.image_sets import random_part
from metrics.samples import DrawnImages
from metrics.splits import real_images
from tests.support.dcgans import untrained_dcgan
from tests.support.waves import Waves

DATA = Digits(batch_size=8, seed=0)
FEW: dict[str, Any] = {"seed": 0, "datamodule": DATA, "count": 70, "num_reference": 64}


def rows_of(written: list[Path]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written[0].read_text().splitlines()]


def values_of(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("fd", "precision", "recall", "end_distance")}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[HasLatents, list[Path]]:
    method = untrained_dcgan()
    return method, midpoints(method, tmp_path_factory.mktemp("midpoints"), **FEW)


def test_every_row_stands_once_for_each_way_of_drawing(measured: tuple[HasLatents, list[Path]]) -> None:
    method, written = measured
    rows = rows_of(written)
    combined = ("midpoint", "mean_4", "mean_8", "extrapolation_1.25", "extrapolation_1.5")
    expected = [("prior", "none")]
    expected += [(what, path) for what in combined for path in ("linear", "variance_preserving", "transport")]
    for sampling in ("running_statistics", "batch_statistics"):
        assert [(row["what"], row["path"]) for row in rows if row["sampling"] == sampling] == expected
    assert len(rows) == 2 * len(expected)
    facts = {"prior": "normal", "prior_settings": "", "latent_dim": 100, "normalization": "batch", "train_seed": 0}
    facts |= {"kimg": 0.0, "count": 70, "num_reference": 64, "extractor": "pixels", "extractor_weights": "none"}
    for row in rows:
        assert row.items() >= facts.items()
        assert row["is"] is None, "raw pixels name no classes"
        assert (row["end_distance"] is None) == (row["what"] == "prior")
    assert method.sampling == "running_statistics", "the method draws again as it did"
    assert "midpoints" in tasks_of(method)


def test_paths_of_the_same_codes_have_the_same_rows(measured: tuple[HasLatents, list[Path]], tmp_path: Path) -> None:
    """Transport is the variance-preserving path of a normal prior; of a Cauchy prior it is the straight one, up to the ends."""

    def of(rows: list[dict[str, Any]], what: str, path: str) -> dict[str, Any]:
        chosen = [r for r in rows if (r["what"], r["path"], r["sampling"]) == (what, path, "running_statistics")]
        return values_of(*chosen)

    normal = rows_of(measured[1])
    for what in ("midpoint", "mean_8", "extrapolation_1.5"):
        assert of(normal, what, "transport") == of(normal, what, "variance_preserving")
        assert of(normal, what, "transport") != of(normal, what, "linear")
    settings = FEW | {"means": [4], "extrapolations": [1.5], "paths": ["linear", "transport"]}
    cauchy = rows_of(midpoints(untrained_dcgan("prior@method.prior=cauchy"), tmp_path, **settings))
    assert of(cauchy, "mean_4", "transport") == of(cauchy, "mean_4", "linear")
    assert of(cauchy, "extrapolation_1.5", "transport") != of(cauchy, "extrapolation_1.5", "linear")


def test_the_prior_rows_are_what_evaluation_measures(measured: tuple[HasLatents, list[Path]]) -> None:
    """In either way of drawing, also where the last of 70 images are drawn among 64 that are not measured."""
    method, written = measured
    real = random_part(real_images(DATA, "train"), 64)
    instruments = Instruments(extractor=Pixels(method.image_shape), metrics=["fd", "precision", "recall"])
    of = {row["sampling"]: row for row in rows_of(written) if row["what"] == "prior"}
    for sampling in method.samplings:
        with drawn_by(method, sampling):
            values = evaluate(DrawnImages(method, 70, seed=0), real, instruments)
        assert of[sampling].items() >= values.items()
    assert of["batch_statistics"]["fd"] != of["running_statistics"]["fd"]


def test_the_end_distance_looks_at_all_codes_of_a_mean(measured: tuple[HasLatents, list[Path]]) -> None:
    method, written = measured
    combination = Combination("mean_4", (0.25,) * 4)
    ends = [samples_of(method, 70, place=place, seed=0, cycle=None) for place in range(4)]
    sets = [*ends, combinations_of(method, combination, 70, path="linear", seed=0, cycle=None)]
    *of_ends, of_means = (from_uint8(images.images(0, 70)).double().flatten(1).numpy() for images in sets)
    nearest = np.min([np.linalg.norm(of_means - rows, axis=1) for rows in of_ends], axis=0)
    expected = nearest.mean() / np.linalg.norm(of_ends[0] - of_ends[1], axis=1).mean()
    (row,) = (row for row in rows_of(written)[:16] if (row["what"], row["path"]) == ("mean_4", "linear"))
    assert row["end_distance"] == pytest.approx(expected, rel=1e-6)  # pixels are kept in float32


def test_the_table_has_a_line_a_row_under_each_way_of_drawing(measured: tuple[HasLatents, list[Path]]) -> None:
    rows, table = rows_of(measured[1]), measured[1][1].read_text()
    lines = table.splitlines()
    assert lines[0].startswith("Prior normal in 100 dimensions, 0 kimg: 70 images a row against 64 training images")
    assert sum(line.startswith(("| prior |", "| midpoint |", "| mean", "| extrapolation")) for line in lines) == len(
        rows
    )
    assert lines.index("By running statistics:") < lines.index("By batch statistics:")
    best = rows[2]
    assert f"| midpoint | variance preserving | {best['fd']:.2f} | {best['precision']:.3f} |" in table


def test_the_same_numbers_every_time_and_fewer_rows_are_those_of_all(
    measured: tuple[HasLatents, list[Path]], tmp_path: Path
) -> None:
    written = midpoints(
        measured[0],
        tmp_path,
        **FEW,
        only=["prior", "midpoint"],
        paths=["variance_preserving"],
        samplings=["batch_statistics"],
    )
    again = rows_of(written)
    assert [(row["what"], row["path"]) for row in again] == [("prior", "none"), ("midpoint", "variance_preserving")]
    every = rows_of(measured[1])
    assert all(row in every for row in again)


class OneCode(Waves):
    """All codes of an image are one."""

    def latents(self, first: int, count: int, *, seed: int, stream: str = "evaluation") -> Tensor:
        return super().latents(first, count, seed=seed)


def test_the_midpoint_of_equal_codes_is_the_code(tmp_path: Path) -> None:
    settings = FEW | {"only": ["prior", "midpoint"], "paths": ["linear", "spherical", "normalized"]}
    prior, *others = rows_of(midpoints(OneCode(), tmp_path, **settings))
    for row in others:
        assert values_of(row) == values_of(prior), row["path"]
        assert row["sampling"] is None


def test_a_classifier_measures_and_names_classes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    small = ("method.backbone.architecture=resnet10", "method.backbone.stem=small")
    composed = compose("train", ["experiment=none", "run_dir=x", "method=classifier", "datamodule=digits", *small])
    judge = build(plain(composed))[1].eval()
    assert isinstance(judge, Classifies)
    settings = FEW | {"only": ["prior"], "count": 20, "num_reference": 20, "judge": [judge]}
    (row,) = rows_of(midpoints(Waves(), tmp_path, **settings))
    assert row["extractor"].startswith("classifier_")
    assert 1.0 <= row["is"] <= 10.0
    assert row["trained_against_judge"] is False
    rival = Waves()
    rival.trained_against = (row["extractor"],)
    with pytest.raises(ValueError, match=f"was trained against {row['extractor']}"):
        midpoints(rival, tmp_path, **settings)
    (marked,) = rows_of(midpoints(rival, tmp_path, **settings, allow_trained_judge=True))
    assert marked["trained_against_judge"] is True
    wide = Waves()
    wide.image_shape = (3, 8, 8)
    with pytest.raises(ValueError, match=r"the judge takes images \(1, 8, 8\), and the checkpoint draws \(3, 8, 8\)"):
        midpoints(wide, tmp_path, **settings)
    with pytest.raises(ValueError, match="judge and extractor=pixels both say what measures"):
        midpoints(Waves(), tmp_path, **settings, extractor="pixels")


def test_classes_are_shared_by_the_codes_of_an_image(tmp_path: Path) -> None:
    method = untrained_dcgan("method.conditional=true", "method.generator.normalization=group")
    settings = FEW | {"only": ["prior", "midpoint"], "paths": ["linear"]}
    rows = rows_of(midpoints(method, tmp_path, **settings))
    assert len(rows) == 2
    assert rows[0]["normalization"] == "group"
    cycle = method.label_cycle(DATA.split("train")[1], seed=0)
    ends = [samples_of(method, 20, place=place, seed=0, cycle=cycle).labels() for place in (0, 1)]
    assert cycle is not None
    for labels in ends:
        assert labels is not None
        assert labels.equal(cycle[:20])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 1}, "count must be at least 10, got 1"),
        ({"num_reference": 1}, "num_reference must be at least 10, got 1"),
        ({"num_reference": 2000}, "2000 of them cannot be chosen"),
        ({"paths": ["straight"]}, r"paths names some of linear, .*, each once, got \['straight'\]"),
        ({"paths": []}, "paths names some of linear"),
        ({"paths": ["linear", "linear"]}, "each once"),
        ({"paths": ["spherical"]}, "spherical interpolation takes two latents"),
        ({"paths": ["spherical"], "means": [2]}, "outside the domain of spherical interpolation"),
        ({"means": [1]}, "means must be at least 2, got 1"),
        ({"means": [0]}, "means must be at least 2, got 0"),
        ({"extrapolations": [0.5]}, "at a finite lambda above 1, got 0.5"),
        ({"extrapolations": [float("nan")]}, "at a finite lambda above 1, got nan"),
        ({"only": ["midpiont"]}, "only names some of prior, midpoint, mean_4, mean_8, extrapolation_1.25, "),
        ({"only": []}, "only names some of prior"),
        ({"samplings": ["batch_statistics"]}, "samplings may name nothing: it draws in one way"),
        ({"extractor": "classifier:a.ckpt"}, r"judge=a\.ckpt"),
        ({"extractor": "inceptoin"}, "there is no extractor 'inceptoin'"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        midpoints(Waves(), tmp_path, **(FEW | settings))
    assert not list(tmp_path.iterdir())
