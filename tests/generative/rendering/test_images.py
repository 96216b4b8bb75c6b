"""Images as bytes, in grids and beside each other, and as animations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generative.rendering.images import (
    as_floats,
    from_uint8,
    image_grid,
    save_animation,
    side_by_side,
    text_column,
    to_uint8,
)


def test_bytes_round_and_clamp() -> None:
    values = torch.tensor([-5.0, -1.0, -1.0 + 0.6 / 127.5, 0.0, 1.0, 1.01])
    assert to_uint8(values).tolist() == [0, 0, 1, 128, 255, 255]
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(from_uint8(every)), every)


def test_stored_images_are_floats_whatever_they_are_kept_as() -> None:
    assert as_floats(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]
    kept = torch.tensor([-1.0, 0.5])
    assert as_floats(kept) is kept, "a second division would darken them"


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


def test_texts_stand_beside_the_rows_of_a_grid() -> None:
    column = text_column(["one", "two\nlines", ""], row_height=40)
    assert column.height == image_grid(torch.zeros(3, 1, 20, 20), num_columns=1, scale=2).height
    ink = np.array(column.convert("L")) < 128
    assert [bool(ink[2 + 42 * row : 2 + 42 * row + 40].any()) for row in range(3)] == [True, True, False]
