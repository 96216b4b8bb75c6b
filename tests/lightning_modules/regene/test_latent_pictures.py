"""Bar codes, units and embeddings of latents, by a method whose latents are its images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from generative.rendering.images import read_png
from lightning_modules.regene.embeddings import embedded, neighbour_accuracy
from lightning_modules.regene.latent_pictures import (
    BROAD,
    NEAR_ZERO,
    STRIPE,
    barcodes,
    darkest_of,
    effective_directions,
    embedding,
    shaded,
)
from lightning_modules.regene.pictures import chosen_members
from tests.support.banks import Data, identity

WHITE, BLUE, RED = (1.0, 1.0, 1.0), (-1.0, -1.0, 1.0), (1.0, -1.0, -1.0)


@pytest.mark.parametrize(("equal", "dim"), [(3, 3), (3, 5), (3, 20), (1, 2)])
def test_effective_directions_are_the_number_of_equal_ones(equal: int, dim: int) -> None:
    """Both products, of latents fewer and more than their numbers."""
    points = torch.cat([torch.eye(equal), -torch.eye(equal)]).double() @ torch.eye(equal, dim).double() + 7.0
    assert effective_directions(points) == pytest.approx(equal, abs=1e-9)


@pytest.mark.parametrize("shape", [(30, 6), (6, 30)])
def test_effective_directions_are_those_of_the_eigenvalues(shape: tuple[int, int]) -> None:
    rows = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.eigvalsh(torch.cov(rows.T))
    expected = float(values.sum() ** 2 / values.square().sum())
    assert effective_directions(rows) == pytest.approx(expected, abs=1e-9)
    with pytest.raises(ValueError, match="3 latents that are all the same have no directions: give others"):
        effective_directions(torch.ones(3, 4))


def test_zero_is_white_and_signs_have_their_colours() -> None:
    found = shaded(torch.tensor([[0.0, 2.0, -2.0, 9.0, 1.0]]), darkest=2.0)[:, 0]
    assert [tuple(column) for column in found.T.tolist()] == [WHITE, BLUE, RED, BLUE, (0.0, 0.0, 1.0)]
    assert darkest_of(torch.arange(-100.0, 0.0).view(10, 10)) == 99.0


def test_a_bar_code_has_a_stripe_an_image_and_a_column_a_unit(tmp_path: Path) -> None:
    method = identity()
    codes, units, lines = barcodes(method, tmp_path, seed=0, rows=3)  # type: ignore[arg-type]
    picture = read_png(codes)
    scale, gap, title = BROAD // 4, 2, 20
    broad = 6 * scale  # four numbers between the two borders of 2 pixels, all drawn so much wider
    left = picture.shape[2] - 8 - (4 + 2 * gap) * scale
    darkest = darkest_of(method.bank.latents)
    for place, label in enumerate((0, 1)):
        members = chosen_members(method, 3, label=label, seed=0)  # type: ignore[arg-type]
        expected = shaded(method.bank.rows(members), darkest=darkest)
        top = title + gap + place * (3 * STRIPE + gap)
        seen = picture[:, top : top + 3 * STRIPE : STRIPE, left + gap * scale : left + broad : scale]
        torch.testing.assert_close(seen, expected.to(seen), atol=1.01 / 127.5, rtol=0)
    assert read_png(units).ndim == 3
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    bank = method.bank
    small = NEAR_ZERO * float(bank.latents.square().mean().sqrt())
    for row in rows:
        latents = bank.rows(bank.members(row["class"]))
        assert row["count"] == 20
        assert row["dim"] == 4
        assert row["near_zero"] == pytest.approx(float((latents.abs() < small).sum()) / 80)
        assert 1.0 <= row["effective_directions"] <= 4.0
    assert sum(row["near_zero"] for row in rows) > 0


def test_neighbours_name_the_class_of_what_lies_together() -> None:
    near = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    rows, labels = torch.cat([near, near + 50.0]), torch.arange(24) // 12
    assert neighbour_accuracy(rows, labels) == 1.0
    labels[0] = 1
    assert neighbour_accuracy(rows, labels) == pytest.approx(23 / 24)
    pairs = torch.tensor([[0.0], [0.1], [9.0], [9.1]])
    assert neighbour_accuracy(pairs, torch.tensor([0, 1, 0, 1]), neighbours=1) == 0.0, "no row votes for itself"
    with pytest.raises(ValueError, match="5 neighbours take at least 6 images, got 5"):
        neighbour_accuracy(rows[:5], labels[:5])


def test_an_embedding_keeps_apart_what_is_apart_and_is_the_same_again() -> None:
    near = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    rows, labels = torch.cat([near, near + 50.0]), torch.arange(40) // 20
    points = embedded(rows, perplexity=5.0, seed=0)
    assert points.shape == (40, 2)
    assert neighbour_accuracy(points, labels) > 0.9
    assert torch.equal(points, embedded(rows, perplexity=5.0, seed=0))
    with pytest.raises(ValueError, match="above 0 and below the number of images, 40, got 40: set it to 10"):
        embedded(rows, perplexity=40.0, seed=0)


class Named(Data):
    name = "made"


def test_embeddings_are_of_latents_or_of_pixels(tmp_path: Path) -> None:
    method, given = identity(), {"seed": 0, "datamodule": Named(), "count": 30, "perplexity": 5.0}
    for of in ("latents", "pixels"):
        picture, lines = embedding(method, tmp_path, of=of, **given)  # type: ignore[arg-type]
        assert read_png(picture).ndim == 3
        (row,) = [json.loads(line) for line in lines.read_text().splitlines()]
        assert (row["of"], row["count"], row["perplexity"], row["seed"]) == (of, 30, 5.0, 0)
        assert 0.0 <= row["accuracy_in_plane"] <= 1.0
    with pytest.raises(ValueError, match="unknown of 'images': choose one of latents, pixels"):
        embedding(method, tmp_path, of="images", **given)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="count must be between 1 and 40, the images of made's test split"):
        embedding(method, tmp_path, **(given | {"count": 41}))  # type: ignore[arg-type]
