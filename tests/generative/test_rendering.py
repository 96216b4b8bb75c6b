"""Grids, bytes and files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generative.rendering.coordinates import coordinate_grid
from generative.rendering.files import read_images
from generative.rendering.images import from_uint8, image_grid, save_animation, side_by_side, to_uint8


def test_grid_corners_and_shared_points() -> None:
    grid = coordinate_grid(5, 3)
    assert grid.shape == (5, 3, 2)
    assert grid[0, 0].tolist() == [0, 0]
    assert grid[-1, -1].tolist() == [1, 1]
    assert grid[1, 0].tolist() == [0.25, 0.0], "the first coordinate runs over rows"
    assert torch.equal(coordinate_grid(64, 64)[::9, ::9], coordinate_grid(8, 8)), "the same bits, not nearly the same"


def test_window() -> None:
    grid = coordinate_grid(7, 7, window=(-0.25, 1.25))
    assert grid[0, 0].tolist() == [-0.25, -0.25]
    assert grid[-1, -1].tolist() == [1.25, 1.25]
    assert torch.allclose(grid[1:-1, 1:-1], coordinate_grid(5, 5)), "the inner points are the plain grid"


@pytest.mark.parametrize("size", [0, 1, -3])
def test_a_grid_needs_two_pixels(size: int) -> None:
    with pytest.raises(ValueError, match=f"at least 2 pixels a side, got {size} x {size}"):
        coordinate_grid(size, size)
    with pytest.raises(ValueError, match="from its lower to its higher end"):
        coordinate_grid(4, 4, window=(1.0, 0.0))


def test_bytes_round_and_clamp() -> None:
    values = torch.tensor([-5.0, -1.0, -1.0 + 0.6 / 127.5, 0.0, 1.0, 1.01])
    assert to_uint8(values).tolist() == [0, 0, 1, 128, 255, 255]
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(from_uint8(every)), every)


@pytest.mark.parametrize("channels", [1, 3])
def test_image_grid_places_every_pixel(channels: int) -> None:
    images = torch.rand(5, channels, 4, 6) * 2 - 1
    picture = np.array(image_grid(images, num_columns=3, scale=2, gap=2)).reshape(2 * 10 + 2, 3 * 14 + 2, -1)
    for i in range(5):
        top, left = 2 + (i // 3) * 10, 2 + (i % 3) * 14
        tile = torch.from_numpy(picture[top : top + 8 : 2, left : left + 12 : 2]).permute(2, 0, 1)
        assert torch.equal(tile, to_uint8(images[i]))


def test_side_by_side_and_animation(tmp_path: Path) -> None:
    frames = [image_grid(torch.full((1, 1, 8, 8), value), num_columns=1) for value in (-1.0, -0.2, 0.5, 1.0)]
    sheet = side_by_side([("first", frames[0]), ("a long title", frames[1])])
    assert sheet.width > 2 * frames[0].width
    save_animation(frames, tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as animation:
        assert animation.n_frames == 4
        animation.seek(2)
        assert np.array(animation.convert("L"))[5, 5] == to_uint8(torch.tensor(0.5)).item(), "grey levels are exact"


def test_files_in_folder_and_zip(tmp_path: Path) -> None:
    images = torch.randint(0, 256, (3, 3, 5, 5), dtype=torch.uint8)
    folder = tmp_path / "images"
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{i}.png")
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    assert torch.equal(read_images(folder), images)
    assert torch.equal(read_images(tmp_path / "images.zip"), images)
    (folder / "broken.png").write_bytes((folder / "0.png").read_bytes()[:40])
    with pytest.raises(ValueError, match=r"broken\.png is not a readable image"):
        read_images(folder)
    (folder / "broken.png").unlink()
    Image.new("RGB", (4, 5)).save(folder / "other.png")
    with pytest.raises(ValueError, match="bring them to one size"):
        read_images(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no images"):
        read_images(tmp_path / "empty")
    with pytest.raises(ValueError, match="neither a folder nor a zip"):
        read_images(tmp_path / "nothing")
