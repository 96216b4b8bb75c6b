"""Averages of averages, by a method whose images are its latents times a number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.optimize import nnls
from torch import Tensor

from generative.randomness import Stream
from generative.rendering.images import pixel_scale, read_png
from lightning_modules.regene.generations import generations, generations_of
from tests.support.banks import Shrinking, SmallData, shrinking


class Contrary(Shrinking):
    """A judge that always names the other class."""

    def classify(self, features: Tensor) -> Tensor:
        return super().classify(-features)


def by_name(label: int = 1, **given: Any) -> dict[str, Tensor]:
    """The latents of each generation of a class."""
    settings = {"levels": 3, "num_sources": 2, "count": 5, "seed": 0} | given
    return {its.name: its.latents for its in generations_of(shrinking(), label, **settings)}  # type: ignore[arg-type]


def outside(members: Tensor, latent: Tensor) -> float:
    """How far a latent [D] is from the nearest combination of ``members`` [N, D] with weights from 0 of sum 1 (nearly)."""
    heavy = 1e4  # what holds the sum at 1
    system = torch.cat([members.T, torch.full((1, len(members)), heavy, dtype=torch.float64)])
    return float(nnls(system.numpy(), torch.cat([latent, torch.tensor([heavy])]).numpy())[1])


def test_gen_2_of_latents_are_four_sources_with_a_quarter_each() -> None:
    method = shrinking()
    found = by_name()
    drawn = method.sampler("convex_2").draw(range(20), torch.ones(20).long(), Stream(0, "regene").branch("try 0"))
    sources = method.bank.rows(drawn.sources.flatten()).unflatten(0, (10, 4))
    torch.testing.assert_close(found["Gen-2, LS"], sources.mean(dim=1)[:5], rtol=1e-12, atol=1e-12)
    members = method.bank.rows(method.bank.members(1))
    assert all(outside(members, latent) < 1e-8 for latent in found["Gen-2, LS"])
    assert outside(members, 3.0 * members[0]) > 1e-2, "what lies outside is seen"
    assert torch.equal(found["Gen-1"], drawn.latents[:5])
    assert torch.equal(found["Gen-0"], method.bank.rows(drawn.sources[:5, 0]))


def test_variances_follow_the_law_of_sums(tmp_path: Path) -> None:
    method = shrinking()
    given: Any = {"seed": 0, "datamodule": SmallData(), "levels": 2, "count": 700, "classes": 1}
    _, lines, _ = generations(method, tmp_path, **given)  # type: ignore[arg-type]
    rows = {row["generation"]: row for row in map(json.loads, lines.read_text().splitlines())}
    members = len(method.bank.members(1))
    of_pairs = (members / 2 - 1) / (members - 1)  # of the means of two distinct ones
    for name, factor in {"Gen-0": 1.0, "Gen-1": of_pairs, "Gen-2, LS": of_pairs / 2}.items():
        assert rows[name]["expected_ratio"] == pytest.approx(factor, rel=1e-12)
        assert rows[name]["variance_ratio"] == pytest.approx(factor, rel=0.08)
    assert rows["Gen-2, Recon"]["expected_ratio"] is None


def test_an_image_is_a_function_of_its_number_and_level() -> None:
    few, many = by_name(count=3), by_name(count=7)
    assert few.keys() == {"Gen-0", "Gen-1", "Gen-2, LS", "Gen-2, Recon", "Gen-3, LS", "Gen-3, Recon"}
    for name, latents in few.items():
        assert torch.equal(latents, many[name][:3])
    two_levels = by_name(levels=2)
    assert all(torch.equal(two_levels[name], latents) for name, latents in by_name().items() if name in two_levels)
    assert not torch.equal(few["Gen-3, LS"], by_name(count=3, seed=1)["Gen-3, LS"])


def test_images_that_are_encoded_again_lose_what_the_decoder_does() -> None:
    found = by_name(num_sources=3)
    for level, lost in ((2, 0.5), (3, 0.25)):
        expected = lost * found[f"Gen-{level}, LS"]
        torch.testing.assert_close(found[f"Gen-{level}, Recon"], expected, rtol=1e-5, atol=1e-6)


def test_lines_a_table_and_a_picture_are_written(tmp_path: Path) -> None:
    method = shrinking()
    given = {"seed": 0, "datamodule": SmallData(), "count": 8, "shown": 2, "judge": [Contrary()]}
    written, lines, table = generations(method, tmp_path, **given)  # type: ignore[arg-type]
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["generation"] for row in rows][:3] == ["Gen-0", "Gen-1", "Gen-2, LS"]
    assert all(row["head"] == 1.0 for row in rows), "all sources are on the right side"
    settings: Any = {"levels": 3, "num_sources": 2, "count": 8, "seed": 0}
    made = [list(generations_of(method, label, **settings)) for label in (0, 1)]  # type: ignore[arg-type]
    means = [method.bank.mean(label) for label in (0, 1)]
    for place, row in enumerate(rows):
        lengths = [(its[place].latents - mean).norm(dim=1).mean() for its, mean in zip(made, means, strict=True)]
        assert row["distance"] == pytest.approx(float(sum(lengths)) / 2, rel=1e-9)
        assert row["judge"] == 0.0, "the judge is another classifier"
    assert "| Gen-3, Recon |" in table.read_text()
    assert read_png(written).shape[1] > 2 * 3 * pixel_scale(3)
    with pytest.raises(ValueError, match="levels=20 take 8388608 images of the first generation: at most 500000"):
        generations(method, tmp_path, levels=20, **given)  # type: ignore[arg-type]
