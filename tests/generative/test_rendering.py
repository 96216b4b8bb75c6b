"""Grids, bytes and files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generative.rendering.colours import enlarged, hot, normalized, overlay
from generative.rendering.coordinates import coordinate_grid
from generative.rendering.files import ImageFiles, read_array
from generative.rendering.images import from_uint8, image_grid, save_animation, side_by_side, text_column, to_uint8


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


def save(image: torch.Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = image.permute(1, 2, 0).numpy()
    Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).save(path)


def test_files_in_folder_and_zip(tmp_path: Path) -> None:
    images = torch.randint(0, 256, (3, 3, 5, 5), dtype=torch.uint8)
    for i, image in enumerate(images):
        save(image, tmp_path / "images" / f"{i}.png")
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for file in sorted((tmp_path / "images").iterdir(), reverse=True):
            archive.write(file, file.name)
        archive.writestr("__MACOSX/._0.png", b"what macOS adds")
    assert ImageFiles(tmp_path / "images").fingerprint() == ImageFiles(tmp_path / "images.zip").fingerprint()
    for path in (tmp_path / "images", tmp_path / "images.zip"):
        files = ImageFiles(path)
        assert (len(files), files.shape, files.labels()) == (3, (3, 5, 5), None)
        assert torch.equal(files.images(0, 3), images)
        assert torch.equal(files.images(1, 1), images[1:2])
    before = ImageFiles(tmp_path / "images").fingerprint()
    save(images[0], tmp_path / "images" / "3.png")
    assert ImageFiles(tmp_path / "images").fingerprint() != before


def test_a_damaged_or_locked_zip_is_named(tmp_path: Path) -> None:
    save(torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8), tmp_path / "0.png")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "0.png", "0.png")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[60:90] = bytes(30)
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"0\.png in \S+a\.zip cannot be read"):
        ImageFiles(tmp_path / "a.zip")


def test_class_folders_are_labels(tmp_path: Path) -> None:
    for name in ("b/0", "a/1", "a/2"):
        save(torch.zeros(1, 4, 4, dtype=torch.uint8), tmp_path / f"{name}.png")
    labels = ImageFiles(tmp_path).labels()
    assert labels is not None
    assert labels.tolist() == [1, 0, 0], "numbered through all folders: in the order of the numbers"
    save(torch.zeros(1, 4, 4, dtype=torch.uint8), tmp_path / "b" / "1.png")
    assert ImageFiles(tmp_path).labels().tolist() == [0, 0, 1, 1], "else of the names"  # type: ignore[union-attr]
    for name in ("2", "10", "0"):  # numbers say themselves which class they are
        save(torch.zeros(1, 4, 4, dtype=torch.uint8), tmp_path / "numbers" / name / "0.png")
    labels = ImageFiles(tmp_path / "numbers").labels()
    assert labels is not None
    assert labels.tolist() == [0, 10, 2]
    save(torch.zeros(1, 4, 4, dtype=torch.uint8), tmp_path / "outside.png")
    assert ImageFiles(tmp_path).labels() is None


def test_faulty_files_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for i in range(3):
        save(torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8), folder / f"{i}.png")

    def refused(match: str, name: str, content: bytes | Image.Image) -> None:
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            content.save(folder / name)
        with pytest.raises(ValueError, match=match):
            ImageFiles(folder).images(0, 4)
        (folder / name).unlink()

    refused(r"broken\.png is not a readable image: no known format", "broken.png", b"text")
    refused(r"empty\.png is not a readable image", "empty.png", b"")
    Image.open(folder / "0.png").save(tmp_path / "whole.jpg")
    refused(
        r"short\.jpg is not a readable image: image file is truncated",
        "short.jpg",
        (tmp_path / "whole.jpg").read_bytes()[:700],
    )
    refused(r"wide\.png is 32 x 33 pixels, the images before it 32 x 32", "wide.png", Image.new("RGB", (33, 32)))
    refused(r"deep\.png is of mode I;16, not 8 bits", "deep.png", Image.new("I;16", (32, 32)))
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="holds no images"):
        ImageFiles(tmp_path / "none")
    with pytest.raises(ValueError, match="neither a folder, a zip nor an array file"):
        ImageFiles(tmp_path / "nothing")


def test_array_files(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
    np.savez(tmp_path / "adm.npz", images, np.arange(5))
    found, labels = read_array(tmp_path / "adm.npz")
    assert torch.equal(found, torch.from_numpy(images).permute(0, 3, 1, 2))
    assert labels is not None
    assert labels.tolist() == [0, 1, 2, 3, 4]
    np.save(tmp_path / "grey.npy", images[..., 0])
    assert read_array(tmp_path / "grey.npy")[0].shape == (5, 1, 4, 6)
    np.save(tmp_path / "floats.npy", images / 255)
    with pytest.raises(ValueError, match=r"floats\.npy holds float64 values from 0\S* to 1: give uint8 levels"):
        read_array(tmp_path / "floats.npy")
    np.save(tmp_path / "wrong.npy", images[..., :2])
    with pytest.raises(ValueError, match=r"wrong\.npy holds an array of shape \(5, 4, 6, 2\)"):
        read_array(tmp_path / "wrong.npy")
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(ValueError, match=r"text\.npz is not a readable array file"):
        read_array(tmp_path / "text.npz")


def test_maps_run_from_black_to_white() -> None:
    maps = torch.tensor([[[0.0, 1.0], [2.0, 3.0]], [[5e-20, 5e-20], [5e-20, 6e-20]], [[7.0, 7.0], [7.0, 7.0]]])
    shares = normalized(maps)
    torch.testing.assert_close(shares[0], torch.tensor([[0.0, 1 / 3], [2 / 3, 1.0]]))
    assert shares[1].tolist() == [[0, 0], [0, 1]], "however small the values are"
    assert not shares[2].any(), "a flat map says nothing"
    colours = hot(shares)
    assert colours[0, :, 0, 0].tolist() == [-1, -1, -1]
    torch.testing.assert_close(colours[0, :, 0, 1], torch.tensor([1.0, -1.0, -1.0]), msg="red at a third")
    assert colours[0, :, 1, 1].tolist() == [1, 1, 1]


def test_maps_are_normalized_and_corners_stay() -> None:
    values = torch.tensor([[[-3.0, 1.0], [0.0, 5.0]], [[2.0, 2.0], [2.0, 2.0]]])
    large = enlarged(values, (3, 5))
    assert large.shape == (2, 3, 5)
    torch.testing.assert_close(large[0, ::2, ::4], (values[0] + 3) / 8)
    torch.testing.assert_close(large[0, 0], torch.linspace(0, 0.5, 5), msg="linear from corner to corner")
    assert float(large[0, 1, 2]) == pytest.approx(float((values[0].mean() + 3) / 8)), (
        "the middle is the mean of the corners"
    )
    assert not large[1].any()


def test_overlay_between_image_and_map() -> None:
    images, shares = torch.rand(2, 1, 3, 4) * 2 - 1, torch.rand(2, 3, 4)
    torch.testing.assert_close(overlay(images, shares, opacity=0.0), images.expand(-1, 3, -1, -1))
    torch.testing.assert_close(overlay(images, shares, opacity=1.0), hot(shares))
    with pytest.raises(ValueError, match=r"opacity must be between 0 and 1, got 1\.5"):
        overlay(images, shares, opacity=1.5)


def test_texts_stand_beside_the_rows_of_a_grid() -> None:
    column = text_column(["one", "two\nlines", ""], row_height=40)
    assert column.height == image_grid(torch.zeros(3, 1, 20, 20), num_columns=1, scale=2).height
    ink = np.array(column.convert("L")) < 128
    assert [bool(ink[2 + 42 * row : 2 + 42 * row + 40].any()) for row in range(3)] == [True, True, False]
