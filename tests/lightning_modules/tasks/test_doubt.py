"""Doubt of several answers, where it is known by thought."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr

from lightning_modules.tasks.doubt import Answered, covered, measured_doubt, rank_correlation, write_doubt


def test_errors_of_the_size_of_the_spread_are_covered_as_a_normal_law_is() -> None:
    random = torch.Generator().manual_seed(0)
    spreads = [torch.rand(20_000, generator=random) + 0.1 for _ in range(4)]
    errors = [(spread * torch.randn(20_000, generator=random)).abs() for spread in spreads]
    doubt = measured_doubt(spreads, errors, answers=8)
    assert doubt.coverage == pytest.approx(0.9545, abs=0.005)
    assert doubt.factor == pytest.approx(1.96 / 2, abs=0.02)
    assert doubt.calibrated_coverage == pytest.approx(0.95, abs=0.01)
    assert list(doubt.error_by_quartile) == sorted(doubt.error_by_quartile)
    narrow = measured_doubt([spread / 3 for spread in spreads], errors, answers=8)
    assert narrow.coverage < 0.6
    assert narrow.factor == pytest.approx(3 * doubt.factor, rel=1e-4)
    assert narrow.calibrated_coverage == pytest.approx(doubt.calibrated_coverage, abs=1e-3)
    assert narrow.rank_correlation == pytest.approx(doubt.rank_correlation, abs=1e-6)


def test_rank_correlation_is_spearmans() -> None:
    random = np.random.default_rng(0)
    x, y = random.integers(0, 5, size=(2, 50)).astype(float)  # with ties
    assert rank_correlation(torch.from_numpy(x), torch.from_numpy(y)) == pytest.approx(spearmanr(x, y).statistic)
    assert rank_correlation(torch.ones(4), torch.arange(4.0)) == 0.0
    assert covered([torch.tensor([1.0, 3.0]), torch.tensor([2.0, 5.0])], 2.0) == 0.5


def test_only_hidden_pixels_count_and_the_picture_shows_them(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    originals = torch.zeros(4, 1, 8, 8)
    known = torch.ones(4, 1, 8, 8, dtype=torch.bool)
    known[:, :, 2:6, 2:6] = False
    answers = originals[:, None] + torch.where(known[:, None], 9.0, 0.2) * torch.randn(4, 6, 1, 8, 8, generator=random)
    images = [Answered(*parts) for parts in zip(originals, answers, known, strict=True)]
    written = write_doubt(tmp_path, "z", iter(images), shown=2)
    doubt = json.loads(written[1].read_text())
    assert doubt["answers"] == 6
    assert max(doubt["error_by_quartile"]) < 0.5
    assert [path.name for path in written] == ["doubt_z.png", "doubt_z.json"]
    Image.open(written[0]).verify()
    with pytest.raises(ValueError, match="give at least two"):
        write_doubt(tmp_path, "z", iter(images[:1]), shown=1)
