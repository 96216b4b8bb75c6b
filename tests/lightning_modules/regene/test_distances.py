"""Three distances and the decoder's error, by a method whose reconstructions are its images times a number."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from generative.rendering.images import from_uint8, read_png, to_uint8
from lightning_modules.regene.distances import (
    blended,
    check_triangle,
    decoder_error,
    distances_of,
    halves,
    rounding,
    three_distances,
)
from metrics.functional import Gaussian, frechet_distance
from metrics.image_sets import ImagesInMemory
from tests.support.banks import SmallData, shrinking


class Seen(SmallData):
    """Its test images are those of the training: nothing new is asked of a memoriser."""

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        return super().split("train")


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_memoriser_has_no_distance_to_reconstructions_and_is_far_from_images(tmp_path: Path) -> None:
    method = shrinking(Seen())
    lines, table = three_distances(method, tmp_path, seed=0, datamodule=Seen(), count=600)  # type: ignore[arg-type]
    rows = {row["arm"]: row for row in lines_of(lines)}
    assert list(rows) == ["convex_2", "variance_2", "training", "pixels_2"]
    training = rows["training"]
    assert training["recon_gen"] < 0.02 * training["org_gen"]
    assert training["recon_gen"] < 0.2 * min(row["recon_gen"] for row in (rows["convex_2"], rows["pixels_2"]))
    assert training["recon_gen"] < training["recon_recon"], "the floor has half the images"
    assert rows["pixels_2"]["org_gen"] < rows["convex_2"]["org_gen"], "the decoder is not asked"
    for row in rows.values():
        assert row["org_recon"] == rows["convex_2"]["org_recon"]
        org_gen, org_recon, recon_gen = (math.sqrt(row[name]) for name in ("org_gen", "org_recon", "recon_gen"))
        assert abs(org_recon - recon_gen) <= org_gen + 1e-6
        assert org_gen <= org_recon + recon_gen + 1e-6
        assert (row["count"], row["num_reference"]) == (600, 60)
    assert "Recon-Gen is no score of a generator" in table.read_text()


def test_distances_are_those_of_the_images(tmp_path: Path) -> None:
    """Reconstructions are half the originals: FD is a quarter of |mean|^2 + tr C, and floors are in the ratio 1 : 1/4."""
    method = shrinking()
    lines, _ = three_distances(method, tmp_path, seed=0, datamodule=SmallData(), arms=["pixels_2"])  # type: ignore[arg-type]
    (row,) = lines_of(lines)
    pixels = from_uint8(to_uint8(SmallData().split("test")[0])).flatten(1)
    law = Gaussian.of(pixels)
    assert row["org_recon"] == pytest.approx(0.25 * float(law.mean.square().sum() + law.trace()), rel=0.01)
    assert row["recon_recon"] == pytest.approx(0.25 * row["org_org"], rel=0.05)
    assert row["org_org"] > 0.01
    assert row["count"] == 60, "as many as originals"


@pytest.mark.parametrize("count", [10, 11])
def test_halves_share_no_image(count: int) -> None:
    first, second = halves(ImagesInMemory("made up", torch.zeros(count, 1, 3, 3, dtype=torch.uint8)))
    assert len(first) == len(second) == 5
    assert len({*first.chosen, *second.chosen} & {*range(count)}) == 10


def test_without_a_loss_originals_and_reconstructions_are_one(tmp_path: Path) -> None:
    given: Any = {"seed": 0, "datamodule": SmallData(), "arms": ["variance_2"]}
    lines, _ = three_distances(shrinking(shrinks=1.0), tmp_path, **given)  # type: ignore[arg-type]
    (row,) = lines_of(lines)
    assert row["org_recon"] < 1e-6
    assert row["org_gen"] == pytest.approx(row["recon_gen"], rel=1e-6)


def some_laws(count: int, size: int) -> list[Gaussian]:
    """Of rows in which the last two features are constant or a sum of others."""
    generator = torch.Generator().manual_seed(size)
    rows = [torch.randn(count, size, generator=generator, dtype=torch.float64) * (1 + place) for place in range(3)]
    for table in rows:
        table[:, -1], table[:, -2] = 1.0, table[:, 0] + table[:, 1]
    return [Gaussian.of(table) for table in rows]


@pytest.mark.parametrize("count", [5, 40])
def test_roots_of_distances_are_a_metric(count: int) -> None:
    org, recon, gen = some_laws(count, 8)
    found = distances_of(org, recon, gen)
    assert found["org_gen"] == frechet_distance(org, gen)
    with pytest.raises(AssertionError, match="are not of three sets of features"):
        check_triangle([4.1, 1.0, 1.0], tolerance=1e-6)
    check_triangle([4.0, 1.0, 1.0], tolerance=1e-6)
    for one in (org, recon, gen):
        assert frechet_distance(one, one) <= rounding(one, one) < 1e-3, "what is left of a law and itself"


def test_distances_in_other_features_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    org, recon, gen = some_laws(40, 8)

    def of_other_features(a: Gaussian, b: Gaussian) -> float:
        return frechet_distance(a, b) * (9.0 if a is org and b is gen else 1.0)

    monkeypatch.setattr("lightning_modules.regene.distances.frechet_distance", of_other_features)
    with pytest.raises(AssertionError, match="are not of three sets of features"):
        distances_of(org, recon, gen)


def test_a_blend_of_pixels_has_the_distance_of_its_share(tmp_path: Path) -> None:
    """(1 - a) x + a x / 2 = (1 - a / 2) x, so FD is (a / 2)^2 (|mean|^2 + tr C)."""
    given = {"seed": 0, "datamodule": SmallData(), "steps": 3}
    lines, table, plot = decoder_error(shrinking(), tmp_path, **given)  # type: ignore[arg-type]
    rows = lines_of(lines)
    law = Gaussian.of(from_uint8(to_uint8(SmallData().split("test")[0])).flatten(1))
    size = float(law.mean.square().sum() + law.trace())
    assert [row["share"] for row in rows] == [0.0, 0.5, 1.0]
    assert [row["fd"] for row in rows] == pytest.approx([0.0, size / 16, size / 4], rel=0.02, abs=1e-6)
    assert rows[0]["accuracy"] == rows[0]["judge_accuracy"]
    assert "| 0.5 |" in table.read_text()
    assert read_png(plot).ndim == 3
    lines, *_ = decoder_error(shrinking(), tmp_path, blend="share", **given)  # type: ignore[arg-type]
    of_shares = lines_of(lines)
    assert of_shares[2]["fd"] == pytest.approx(rows[2]["fd"], rel=1e-9)
    assert of_shares[1]["fd"] != pytest.approx(rows[1]["fd"], rel=0.01)
    with pytest.raises(ValueError, match="unknown blend 'half': choose one of pixels, share"):
        decoder_error(shrinking(), tmp_path, blend="half", **given)  # type: ignore[arg-type]


def test_a_share_of_the_set_is_made_of_whole_images_and_grows() -> None:
    originals, remade = torch.zeros(40, 1, 3, 3, dtype=torch.uint8), torch.full((40, 1, 3, 3), 200, dtype=torch.uint8)
    found = [blended(originals, remade, step / 8, "share", 0)[:, 0] == 200 for step in range(9)]
    for step, is_remade in enumerate(found):
        assert torch.equal(is_remade.all(dim=(1, 2)), is_remade.any(dim=2).any(dim=1))
        assert int(is_remade[:, 0, 0].sum()) == 5 * step
    assert all(not (earlier & ~later).any() for earlier, later in pairwise(found))
    assert blended(originals, remade, 0.25, "pixels", 0).unique().tolist() == [50]
    for blend in ("pixels", "share"):
        assert torch.equal(blended(originals, remade, 0.0, blend, 0), originals)
        assert torch.equal(blended(originals, remade, 1.0, blend, 0), remade)
