"""What latents show, of a Poly-INR and of a generator without a mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generative.rendering.images import to_uint8
from lightning_modules.poly_inr.module import PolyINR
from lightning_modules.tasks.latents import truncation
from tests.support.waves import Waves


def test_truncation_runs_from_the_mean_to_the_sample(method: PolyINR, tmp_path: Path) -> None:
    for part in (method.averaged_generator.mapping.average, *method.averaged_generator.synthesis.to_image.parameters()):
        part.data.normal_()
    (path,) = truncation(method, tmp_path, seed=0, resolution=8, psis=[0, 1], rows=2)
    assert path.name == "truncation.png"
    count = method.num_classes or 2
    labels = method.balanced_labels(0, count)
    full = to_uint8(method.sample(0, count, seed=0, labels=labels))
    mean = to_uint8(method.sample(0, count, seed=0, labels=labels, psi=0.0))
    picture, step = np.array(Image.open(path)), 98
    for row in range(count):
        for column, images in enumerate((mean, full)):
            top, left = 20 + 2 + row * step, 8 + 2 + column * step
            tile = picture[top : top + 96 : 12, left : left + 96 : 12, 0]
            assert np.array_equal(tile, images[row, 0].numpy())
    others = to_uint8(method.sample(0, count, seed=1, labels=labels, psi=0.0))
    torch.testing.assert_close(mean, others, rtol=0, atol=1)
    assert not torch.equal(mean, full)


def test_bad_input(method: PolyINR, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="psis is a list of at least one finite number"):
        truncation(method, tmp_path, seed=0, psis=[0.5, "much"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="Waves has no mean to move towards"):
        truncation(Waves(), tmp_path, seed=0, resolution=8)
