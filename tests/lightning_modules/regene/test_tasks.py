"""What ReGene can show, by a method whose images are its latents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from generative.latents.confidence import log_odds
from generative.rendering.images import pixel_scale, read_png
from lightning_modules.regene.pictures import chosen_members, combinations, matrix, source_images, walk
from lightning_modules.regene.trials import latent_tries, limits_of, real_rates, trials
from tests.support.banks import Data, Identity, identity

COUNT = 30


def test_trials_are_what_the_checks_saw(tmp_path: Path) -> None:
    method = identity()
    lines, table = trials(method, tmp_path, seed=0, datamodule=Data(), count=COUNT, sampler="variance_2")  # type: ignore[arg-type]
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["class"] for row in rows] == [0, 1]
    for row in rows:
        labels = torch.full((COUNT,), row["class"])
        found = method.sampled(range(COUNT), labels, seed=0)
        assert row["kept"] == COUNT
        assert COUNT <= row["images"] <= int((found.tries + 1).sum()), "what fails the first check is not drawn"
        assert COUNT <= row["latents"] <= int((found.tries + 1).sum())
    assert "| all |" in table.read_text()


def test_two_ranks_and_a_resumed_run_count_the_tries_of_one(tmp_path: Path) -> None:
    """Each image has its own tries, whoever draws it; a checkpoint has the bank and the thresholds, and needs no data."""
    method = identity()
    lines, _ = trials(method, tmp_path / "one", seed=0, datamodule=Data(), count=COUNT)  # type: ignore[arg-type]
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert any(row["images"] > COUNT for row in rows), "some images take several tries"

    labels = torch.zeros(COUNT, dtype=torch.int64)
    tries = [method.sampled(range(rank, COUNT, 2), labels[rank::2], seed=0).tries for rank in range(2)]
    assert torch.equal(torch.stack(tries, dim=1).flatten(), method.sampled(range(COUNT), labels, seed=0).tries)

    checkpoint: dict[str, Any] = {}
    method.on_save_checkpoint(checkpoint)
    resumed = Identity()
    resumed.on_load_checkpoint(checkpoint)
    again, _ = trials(resumed, tmp_path / "resumed", seed=0, datamodule=Data(), count=COUNT)  # type: ignore[arg-type]
    assert again.read_text() == lines.read_text()


def test_of_sources_on_the_right_side_every_mean_passes_the_first_check() -> None:
    """Lemma 1; one training latent of a class that has some on the wrong side may fail."""

    class Right(Data):
        def split(self, name: str) -> tuple[Tensor, Tensor]:
            images, labels = super().split(name)
            images[:4, 0, 0, 0] *= -1.0  # which were wrong
            return images, labels

    labels = torch.arange(200) % 2
    assert latent_tries(identity(Right(), sampling="convex_3_filtered"), labels, seed=0) == 200  # type: ignore[arg-type]
    assert latent_tries(identity(sampling="training_filtered"), labels, seed=0) > 200  # type: ignore[arg-type]


def test_a_class_that_gives_up_has_fewer_kept(tmp_path: Path) -> None:
    method = identity(max_tries=1)
    lines, _ = trials(method, tmp_path, seed=0, datamodule=Data(), count=COUNT)  # type: ignore[arg-type]
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert all(0 < row["kept"] < COUNT == row["latents"] for row in rows)


def test_real_images_pass_at_the_share_that_is_above_the_threshold() -> None:
    method = identity()
    images, labels = Data().split("test")
    sides = (2.0 * labels - 1.0) * images[:, 0, 0, 0]
    expected = [float((2.0 * sides[labels == c] >= method.thresholds[c]).double().mean()) for c in (0, 1)]
    assert real_rates(method, Data(), method.thresholds) == pytest.approx(expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("accept", [0.8, 0.07, 1.0])
def test_of_every_class_the_share_that_is_asked_for_passes(accept: float, tmp_path: Path) -> None:
    """0.07 x 100 is above 7 in floating point. The own thresholds stay what they are, and hold elsewhere."""

    class Many(Data):
        def split(self, name: str) -> tuple[Tensor, Tensor]:
            images = torch.randn(200, 1, 2, 2, generator=torch.Generator().manual_seed(len(name)))
            return images, torch.arange(200) % 2

    method = identity(Many())
    own = method.thresholds.clone()
    limits = limits_of(method, Many(), accept)  # type: ignore[arg-type]
    images, labels = Many().split("rest")
    odds = log_odds(method.classify(method.latents_of(images)), labels)
    for label in (0, 1):
        some = odds[labels == label]
        share = float((some >= limits[label]).double().mean())
        assert accept <= share < accept + 1 / len(some)
    lines, table = trials(method, tmp_path, seed=0, datamodule=Many(), count=COUNT, accept=accept)  # type: ignore[arg-type]
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["threshold"] for row in rows] == limits.tolist()
    assert [row["accept"] for row in rows] == [accept, accept]
    assert f"that {100 * accept:g} % of the held-out images" in table.read_text()
    for row in rows:
        drawn = method.sampled(range(COUNT), torch.full((COUNT,), row["class"]), seed=0, limits=limits)
        reached = log_odds(method.classify(drawn.latents.float()), torch.full((COUNT,), row["class"]))
        assert (reached >= limits[row["class"]]).all()
    assert torch.equal(method.thresholds, own)


def test_a_lower_threshold_takes_fewer_tries(tmp_path: Path) -> None:
    def images(accept: float | None) -> int:
        lines, _ = trials(identity(), tmp_path, seed=0, datamodule=Data(), count=COUNT, accept=accept)  # type: ignore[arg-type]
        return sum(json.loads(line)["images"] for line in lines.read_text().splitlines())

    assert images(0.95) < images(None) < images(0.2)


def test_a_share_that_is_none_and_data_that_hold_nothing_out_are_refused() -> None:
    class Whole(Data):
        holds_out = False

    with pytest.raises(
        ValueError, match=r"accept is the share of held-out images that pass, .* got 80: set it to 0\.8"
    ):
        limits_of(identity(), Data(), 80)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"there are none: train with \+datamodule\.train_part=\[0,0\.9\]"):
        limits_of(identity(), Whole(), 0.8)  # type: ignore[arg-type]


def test_a_matrix_has_the_decoded_mean_of_its_row_and_column(tmp_path: Path) -> None:
    method = identity()
    (written,) = matrix(method, tmp_path, seed=0, datamodule=Data(), label=1, size=3)  # type: ignore[arg-type]
    sources = source_images(method, Data(), chosen_members(method, 6, label=1, seed=0))  # type: ignore[arg-type]
    picture, scale, gap = read_png(written), pixel_scale(2), 2
    tile = 2 * scale + gap

    def cell(row: int, column: int) -> Tensor:
        corner = picture[:, gap + row * tile :, gap + column * tile :]
        return corner[:, : 2 * scale : scale, : 2 * scale : scale]

    step = 2 / 255
    assert torch.allclose(cell(0, 2), sources[1].clamp(-1, 1), atol=step)
    assert torch.allclose(cell(3, 0), sources[5].clamp(-1, 1), atol=step)
    assert torch.allclose(cell(3, 2), (0.5 * (sources[5] + sources[1])).clamp(-1, 1), atol=step)


def test_walks_and_combinations_are_pictures(tmp_path: Path) -> None:
    method = identity()
    given = {"seed": 0, "datamodule": Data()}
    for written in (
        walk(method, tmp_path, rows=2, frames=3, **given),  # type: ignore[arg-type]
        combinations(method, tmp_path, rows=2, num_sources=[2, 3], classes=1, **given),  # type: ignore[arg-type]
    ):
        assert read_png(written[0]).ndim == 3
    with pytest.raises(ValueError, match="class 1 has 20 members in the bank, and this takes n = 30 distinct ones"):
        combinations(method, tmp_path, num_sources=[30], classes=1, **given)  # type: ignore[arg-type]
