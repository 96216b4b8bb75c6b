"""Masks from files: what white means, whose mask is whose, and what is no mask."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generative.rendering.mask_files import read_masks

HEIGHT, WIDTH = 12, 20


def levels(left: int = 5) -> np.ndarray:
    """White below row 4 from column ``left`` on, black elsewhere."""
    drawn = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    drawn[4:, left:] = 255
    return drawn


def save(array: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


@pytest.mark.parametrize("name", ["mask.png", "mask.jpg", "mask.bmp", "mask.webp"])
@pytest.mark.parametrize("images", [3, ["a.png", "b.png", "c.png"]])
def test_one_mask_for_all_images(name: str, images: list[str] | int, tmp_path: Path) -> None:
    path = save(levels(8), tmp_path / name)
    known = read_masks(path, images, HEIGHT, WIDTH)
    assert known.dtype == torch.bool
    assert torch.equal(known, torch.from_numpy(levels(8) == 0).expand(3, 1, HEIGHT, WIDTH))
    assert torch.equal(read_masks(str(path), images, HEIGHT, WIDTH, white="known"), ~known)


def test_grey_is_cut_at_half_and_some_of_it_is_borne(tmp_path: Path) -> None:
    drawn = levels()
    drawn[0, :6], drawn[1, :6] = 127, 128  # 12 of 240 pixels: 5 percent
    known = read_masks(save(drawn, tmp_path / "mask.png"), 1, HEIGHT, WIDTH)[0, 0]
    assert known[0, :6].all()
    assert not known[1, :6].any()
    drawn[0, 6] = 120
    with pytest.raises(
        ValueError, match=r"mask\.png is no mask of black and white: 13 of its 240 pixels are grey .* 5%; make"
    ):
        read_masks(save(drawn, tmp_path / "mask.png"), 1, HEIGHT, WIDTH)
    drawn[drawn == 255] = 231  # a faint white and a faint black are such
    drawn[drawn == 0] = 24
    drawn[0, 6] = 255
    known_faint = read_masks(save(drawn, tmp_path / "mask.png"), 1, HEIGHT, WIDTH)[0, 0]
    assert torch.equal(known_faint[1:], known[1:])


def test_modes_of_pictures(tmp_path: Path) -> None:
    drawn = Image.fromarray(levels())
    for mode in ("1", "RGB", "RGBA", "P"):
        drawn.convert(mode).save(tmp_path / "mask.png")
        known = read_masks(tmp_path / "mask.png", 1, HEIGHT, WIDTH)
        assert torch.equal(known[0, 0], torch.from_numpy(levels() == 0)), mode
    Image.merge("LA", (drawn, drawn)).save(tmp_path / "mask.png")
    with pytest.raises(ValueError, match=r"mask\.png has transparent parts, .*: save it without transparency"):
        read_masks(tmp_path / "mask.png", 1, HEIGHT, WIDTH)


def test_masks_are_found_by_the_names_of_images(tmp_path: Path) -> None:
    save(levels(3), tmp_path / "masks" / "b.png")
    save(levels(9), tmp_path / "masks" / "below" / "a.bmp")
    save(levels(7), tmp_path / "masks" / "of no image.png")
    (tmp_path / "masks" / "notes.txt").write_text("no image")
    known = read_masks(tmp_path / "masks", ["photos/a.jpg", "b.png", "a.jpg"], HEIGHT, WIDTH)
    expected = [torch.from_numpy(levels(left) == 0) for left in (9, 3, 9)]
    assert torch.equal(known, torch.stack(expected)[:, None])
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive:
        for file in ("b.png", "below/a.bmp"):
            archive.write(tmp_path / "masks" / file, file)
    assert torch.equal(read_masks(tmp_path / "masks.zip", ["a.jpg", "b.png", "a.jpg"], HEIGHT, WIDTH), known)


def test_masks_that_are_missing_or_meant_twice(tmp_path: Path) -> None:
    save(levels(), tmp_path / "b.png")
    with pytest.raises(
        ValueError,
        match=r"has no mask for 2 of 3 images, the first of which is photos/c\.jpg: put one called c\.png there",
    ):
        read_masks(tmp_path, ["b.jpg", "photos/c.jpg", "a.jpg"], HEIGHT, WIDTH)
    with pytest.raises(
        ValueError, match="found by the images' file names, and these 3 images have none: give one mask for all"
    ):
        read_masks(tmp_path, 3, HEIGHT, WIDTH)
    save(levels(), tmp_path / "b.bmp")
    with pytest.raises(ValueError, match="holds 2 masks called b: leave one of them"):
        read_masks(tmp_path, ["b.jpg"], HEIGHT, WIDTH)
    with pytest.raises(ValueError, match=r"there is no .*nowhere\.png"):
        read_masks(tmp_path / "nowhere.png", 1, HEIGHT, WIDTH)


def test_what_is_no_mask_of_the_images(tmp_path: Path) -> None:
    path = save(levels(), tmp_path / "mask.png")
    with pytest.raises(ValueError, match=r"mask\.png is 12 x 20 pixels, the images 20 x 12 .*: bring it to their size"):
        read_masks(path, 1, WIDTH, HEIGHT)
    with pytest.raises(ValueError, match="unknown meaning of white 'hidden': choose one of missing, known"):
        read_masks(path, 1, HEIGHT, WIDTH, white="hidden")
    path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"mask\.png is not a readable image"):
        read_masks(path, 1, HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("level", "white", "hides"),
    [(255, "missing", "everything"), (0, "missing", "nothing"), (255, "known", "nothing"), (0, "known", "everything")],
)
def test_a_mask_hides_some_pixels_and_leaves_some(level: int, white: str, hides: str, tmp_path: Path) -> None:
    path = save(np.full((HEIGHT, WIDTH), level, dtype=np.uint8), tmp_path / "mask.png")
    colour = {0: "black", 255: "white"}[level]
    with pytest.raises(ValueError, match=rf"mask\.png hides {hides}, since it is all {colour}: draw what is missing"):
        read_masks(path, 1, HEIGHT, WIDTH, white=white)


def test_masks_in_folders_and_names_with_points(tmp_path: Path) -> None:
    """Each image has the mask of its whole name; where only one of all folders holds that name, it may leave them out."""
    places = {"x/1.png": (0, 0), "y/1.png": (1, 1), "shot.v1.png": (2, 2), "shot.png": (3, 3)}
    for name, (row, column) in places.items():
        mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
        mask[row, column] = 255
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(mask).save(tmp_path / name)
    names = ["y/1", "x/1.jpg", "shot.v1", "photos/shot"]
    known = read_masks(tmp_path, names, HEIGHT, WIDTH)
    assert [tuple((~one[0]).nonzero()[0].tolist()) for one in known] == [(1, 1), (0, 0), (2, 2), (3, 3)]
    with pytest.raises(
        ValueError, match=r"no mask for 1 of 1 images, the first of which is z/1: put one called 1\.png there"
    ):
        read_masks(tmp_path, ["z/1"], HEIGHT, WIDTH)
