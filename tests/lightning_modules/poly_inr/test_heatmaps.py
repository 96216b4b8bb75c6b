"""Heat maps and effective degrees of the levels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generative.rendering.coordinates import coordinate_grid
from lightning_modules.poly_inr.heatmaps import (
    degrees,
    effective_degree,
    heat_maps,
    heatmaps,
    level_features,
    unexplained,
)
from lightning_modules.poly_inr.module import PolyINR
from lightning_modules.poly_inr.networks import Generator
from lightning_modules.poly_inr.tasks import draw_affine

POSITIONS = coordinate_grid(24, 24, dtype=torch.float64).flatten(0, 1)


def test_the_last_level_makes_the_image(method: PolyINR) -> None:
    labels = torch.arange(3) if method.num_classes else None
    affine = draw_affine(method, 3, seed=0, labels=labels)
    synthesis, positions = method.averaged_generator.synthesis, method.grid(6, 5).flatten(0, 1)
    features = level_features(synthesis, affine, positions)
    assert len(features) == 4
    torch.testing.assert_close(synthesis.to_image(features[-1]), synthesis(affine, positions), rtol=1e-4, atol=1e-5)


def test_without_activations_level_k_has_degree_k_plus_1_exactly() -> None:
    torch.manual_seed(0)
    generator = Generator(image_channels=3, parameterization="text", num_levels=6, width=8, latent_dim=4, w_dim=8)
    generator = generator.double()
    generator.synthesis.activation_slope = 1.0
    affine = 3 * generator.affine(torch.randn(2, 4, dtype=torch.float64))
    for k, features in enumerate(level_features(generator.synthesis, affine, POSITIONS)):
        left = unexplained(features, POSITIONS, max_degree=k + 3)
        assert left[:, k + 1].max() < 1e-20, f"level {k} is a polynomial of degree {k + 1}"
        assert left[:, k].min() > 1e-10, f"level {k} is none of degree {k}"


def test_with_style_codes_only_the_degree_stays_1() -> None:
    """Section 6.3: without slopes above level 0 only the activations bend what level 0 took from the position."""
    torch.manual_seed(0)
    generator = Generator(image_channels=3, parameterization="style", num_levels=6, width=8, latent_dim=4, w_dim=8)
    generator = generator.double()
    affine = generator.affine(torch.randn(2, 4, dtype=torch.float64))
    assert affine[:, 1:, :2].eq(0).all()
    assert affine[:, 0, :2].ne(0).all()
    bent = level_features(generator.synthesis, affine, POSITIONS)
    generator.synthesis.activation_slope = 1.0
    for plane, features in zip(level_features(generator.synthesis, affine, POSITIONS), bent, strict=True):
        left = unexplained(plane, POSITIONS, max_degree=3)
        assert left[:, 1].max() < 1e-20
        assert left[:, 0].min() > 0.9
        assert unexplained(features, POSITIONS, max_degree=3)[:, 1].min() > 1e-6


def test_shares_and_degrees_of_known_polynomials() -> None:
    x, y = POSITIONS.unbind(dim=1)
    features = torch.stack([0.3 * torch.ones_like(x), 2 * x - y, 5 * x * y**2])[:, :, None]
    left = unexplained(features, POSITIONS, max_degree=4)
    assert effective_degree(left) == [0, 1, 3]
    # The best plane leaves the variance that least squares leave.
    design = torch.stack([torch.ones_like(x), x, y], dim=1)
    residual = features[2] - design @ torch.linalg.lstsq(design, features[2]).solution
    expected = float(residual.square().sum() / (features[2] - features[2].mean()).square().sum())
    assert float(left[2, 1]) == pytest.approx(expected, rel=1e-9)
    assert effective_degree(torch.tensor([[1.0, 0.5, 0.02]])) == [None]


def test_heat_map_is_the_mean_weighted_sum() -> None:
    features = torch.randn(2, 5, 3)
    expected = sum(features[:, :, c] * features[:, :, c].mean(dim=1, keepdim=True) for c in range(3))
    torch.testing.assert_close(heat_maps(features), expected)


def test_tasks_write_pictures_and_numbers(method: PolyINR, tmp_path: Path) -> None:
    (path,) = heatmaps(method, tmp_path, seed=0, resolution=8, samples=2)
    assert Image.open(path).width > 5 * 96
    written = degrees(method, tmp_path, seed=0, samples=2, max_degree=6)
    assert [path.name for path in written] == ["degrees.png", "degrees.json", "degrees.md"]
    rows = json.loads(written[1].read_text())["rows"]
    assert [row["of"] for row in rows] == ["level 0", "level 1", "level 2", "level 3", "image"]
    assert all(0 <= row["degree"] <= 6 for row in rows)
    assert "| level 0 |" in written[2].read_text()
    assert np.array(Image.open(written[0])).std() > 0
    with pytest.raises(ValueError, match="max_degree must be below 40, got 40"):
        degrees(method, tmp_path, seed=0, max_degree=40)
