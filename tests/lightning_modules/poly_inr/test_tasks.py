"""What generate.py can show of a Poly-INR."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_modules.poly_inr import tasks
from lightning_modules.poly_inr.module import PolyINR
from lightning_modules.tasks.grid import grid


def test_grid_draws_what_sample_draws(method: PolyINR, tmp_path: Path) -> None:
    (path,) = grid(method, tmp_path, seed=3, rows=2)
    assert path.name == "grid_8px.png"
    picture = np.array(Image.open(path))
    images = method.sample(0, 20, seed=3)
    scale = 96 // 8
    tile = picture[2 : 2 + 8 * scale : scale, 2 : 2 + 8 * scale : scale]
    expected = ((images[0, 0] + 1) * 127.5).round().clamp(0, 255)
    assert np.abs(tile.astype(float) - expected.numpy()).max() <= 1


def test_every_ninth_pixel_of_64_is_the_small_image(method: PolyINR) -> None:
    small, large = (method.sample(0, 10, seed=0, image_size=size) for size in (None, 64))
    assert large.shape == (10, 1, 64, 64)
    torch.testing.assert_close(large[..., ::9, ::9], small, rtol=1e-5, atol=1e-5)


def test_upsample_and_extrapolate(method: PolyINR, tmp_path: Path) -> None:
    (path,) = tasks.upsample(method, tmp_path, seed=0, resolution=32, rows=1)
    assert path.name == "upsample_8to32px.png"
    (path,) = tasks.extrapolate(method, tmp_path, seed=0, resolution=40, rows=2)
    colours = Image.open(path).getcolors(maxcolors=2**16)
    assert any(colour == (255, 255, 0) for _, colour in colours), "the frame of the trained square is drawn"
    with pytest.raises(ValueError, match="margin must be positive, got 0"):
        tasks.extrapolate(method, tmp_path, seed=0, margin=0)


def test_interpolate_begins_and_ends_at_samples(method: PolyINR, tmp_path: Path) -> None:
    written = tasks.interpolate(method, tmp_path, seed=0, resolution=16, rows=2, steps=5, frames=6)
    assert [path.name for path in written] == [
        "interpolate_z.png", "interpolate_z.gif", "interpolate_affine.png", "interpolate_affine.gif",
    ]  # fmt: skip
    with Image.open(written[1]) as animation:
        assert animation.n_frames > 1
    labels = torch.tensor([0, 1]) if method.num_classes else None
    z = method.latents(0, 4, seed=0)
    ends = method.averaged_generator(z[:2], labels, method.grid(16, 16))
    for strip in (written[0], written[2]):
        picture = np.array(Image.open(strip)).astype(float)
        scale = 96 // 16
        first = picture[2 : 2 + 16 * scale : scale, 2 : 2 + 16 * scale : scale]
        expected = ((ends[0, 0] + 1) * 127.5).round().clamp(0, 255).detach().numpy()
        assert np.abs(first - expected).max() <= 1


def test_one_class_or_two(method: PolyINR, tmp_path: Path) -> None:
    if method.num_classes == 0:
        with pytest.raises(ValueError, match="unconditional"):
            grid(method, tmp_path, seed=0, classes=[1])
        with pytest.raises(ValueError, match="unconditional"):
            tasks.interpolate(method, tmp_path, seed=0, classes=[1])
        return
    grid(method, tmp_path, seed=0, classes=[7], rows=2)
    assert Image.open(tmp_path / "grid_8px.png").width == 96 + 4
    tasks.interpolate(method, tmp_path, seed=0, classes=[3, 8], rows=1, steps=3, frames=3, resolution=8)
    with pytest.raises(ValueError, match="class 10 is out of range"):
        grid(method, tmp_path, seed=0, classes=[10])
    with pytest.raises(ValueError, match="rows must be at least 1, got 0"):
        grid(method, tmp_path, seed=0, rows=0)
