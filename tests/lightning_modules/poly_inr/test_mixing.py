"""Style mixing by level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_modules.poly_inr.mixing import level_groups, mix, mixed
from lightning_modules.poly_inr.module import PolyINR
from lightning_modules.poly_inr.tasks import draw_affine, render


def test_groups_are_the_papers_scaled() -> None:
    assert level_groups(10) == [[0, 1, 2], [3, 4, 5], [5, 6, 7], [8, 9]]
    assert level_groups(4) == [[0], [1], [2], [3]]
    assert level_groups(2) == [[0], [1]]
    assert level_groups(1) == [[0]]


def test_the_named_levels_come_from_a_the_rest_from_b() -> None:
    a, b = torch.randn(2, 4, 3, 5), torch.randn(3, 4, 3, 5)
    result = mixed(a, b, [1, 3])
    assert result.shape == (2, 3, 4, 3, 5)
    for i in range(2):
        for j in range(3):
            for level in range(4):
                assert torch.equal(result[i, j, level], (a[i] if level in (1, 3) else b[j])[level])
    assert torch.equal(mixed(a, b, [0, 1, 2, 3])[:, 0], a)


def test_mix_draws_a_table_for_each_group(method: PolyINR, tmp_path: Path) -> None:
    written = mix(method, tmp_path, seed=0, resolution=8, sources=2)
    assert [path.name for path in written] == [f"mix_levels_{level}.png" for level in range(4)]
    (path,) = mix(method, tmp_path, seed=0, resolution=8, sources=2, levels=[2, 1])
    assert path.name == "mix_levels_1_2.png"
    columns = 10 if method.num_classes else 2
    labels = torch.cat([torch.arange(2), torch.arange(10)]) if method.num_classes else None
    a, b = draw_affine(method, 2 + columns, seed=0, labels=labels).split([2, columns])
    expected = ((render(method, mixed(a, b, [1, 2])[1, 0][None], 8)[0, 0] + 1) * 127.5).round().clamp(0, 255)
    picture, step = np.array(Image.open(path)).astype(float), 98
    assert picture.shape == (3 * step + 2, (1 + columns) * step + 2)
    tile = picture[2 + 2 * step : 2 * step + 98 : 12, 2 + step : step + 98 : 12]
    assert np.abs(tile - expected.numpy()).max() <= 1


def test_bad_input(method: PolyINR, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="level 4 is out of range: this model has levels 0 to 3"):
        mix(method, tmp_path, seed=0, levels=[3, 4])
    with pytest.raises(ValueError, match="levels is empty"):
        mix(method, tmp_path, seed=0, levels=[])
    with pytest.raises(ValueError, match="sources must be at least 1, got 0"):
        mix(method, tmp_path, seed=0, sources=0)
