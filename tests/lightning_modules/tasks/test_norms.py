"""Norms of latents and of their midpoints: of laws whose overlap is known, as numbers and as a picture."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import integrate, stats

from generative.priors.cauchy import Cauchy
from generative.priors.norm_histograms import CELLS, norm_histograms
from generative.priors.normal import Normal
from generative.randomness import Stream
from launch.generate.tasks import tasks_of
from lightning_modules.tasks.norms import norms
from tests.support.waves import Waves

COUNT = 5000


def overlap_of_normal_norms(dim: int) -> float:
    """Of chi(dim), and of chi(dim) divided by the root of 2, whose densities cross once (eq. 4.2)."""
    chi, shrunk = stats.chi(dim), stats.chi(dim, scale=1 / math.sqrt(2))
    return integrate.quad(lambda r: min(chi.pdf(r), shrunk.pdf(r)), 0, chi.isf(1e-9), limit=200)[0]


@pytest.mark.parametrize("dim", [1, 5, 50])
def test_the_overlap_of_the_normal_prior(dim: int) -> None:
    histograms = norm_histograms(Normal(), dim, count=COUNT, stream=Stream(0, "norms"))
    noise = math.sqrt(CELLS / COUNT)  # twice what counts take off at most, and five deviations of a share
    assert abs(histograms.overlap - overlap_of_normal_norms(dim)) < noise
    for shares in (histograms.prior, histograms.midpoints):
        assert shares.sum() == pytest.approx(1)
    assert len(histograms.edges) == CELLS + 1
    assert (np.diff(histograms.edges) > 0).all()


def test_midpoints_of_cauchy_codes_have_the_norms_of_codes() -> None:
    histograms = norm_histograms(Cauchy(), 5, count=COUNT, stream=Stream(0, "norms"))
    assert histograms.overlap > 1 - math.sqrt(CELLS / COUNT)
    assert histograms.overlap < 1, "the midpoints are of other latents"


def test_the_task_writes_a_panel_and_a_line_a_dimension(tmp_path: Path) -> None:
    lines, picture = norms(Waves(), tmp_path, seed=0, dims=[2, 3], count=COUNT)
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["dim"] for row in rows] == [2, 3]
    expected = norm_histograms(Normal(), 3, count=COUNT, stream=Stream(0, "norms")).overlap
    assert rows[1] == {
        "prior": "normal",
        "prior_settings": "",
        "count": COUNT,
        "seed": 0,
        "dim": 3,
        "overlap": expected,
    }
    assert picture.name == "norms.png"
    assert Image.open(picture).width == 2 * 340
    assert "norms" in tasks_of(Waves())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 1}, "count must be at least 2, got 1"),
        ({"dims": [5, 0]}, "dims must be at least 1, got 0"),
        ({"dims": []}, "dims is empty: name at least one dimension"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        norms(Waves(), tmp_path, seed=0, **settings)
