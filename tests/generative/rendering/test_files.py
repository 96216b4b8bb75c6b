"""Sets of images in folders, zips and array files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generative.rendering.files import ImageFiles, read_array


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
