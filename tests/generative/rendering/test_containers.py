"""The one walk over folders and archives: what is found, what is passed over, what is refused."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import warnings
import zipfile
import zlib
from pathlib import Path

import lmdb
import pytest
from PIL import Image

from generative.rendering.containers import base
from generative.rendering.containers.formats import SUFFIXES
from generative.rendering.containers.sets import open_container
from generative.rendering.files import ImageFiles

STUBS = {"BUFR", "GRIB", "HDF5", "MPEG", "WMF", "EPS"}  # need a program beside Pillow, or may hold anything


def png(level: int = 0, side: int = 8) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (level, 0, 0)).save(file, "PNG", compress_level=0)
    return file.getvalue()


def test_every_format_that_pillow_reads_is_an_image() -> None:
    Image.init()
    read = {
        suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN and kind not in STUBS
    }
    # The extra `codec` teaches this process JPEG XL, if a test of its peers came before.
    assert read - SUFFIXES <= {".jxl"}


def test_measuring_and_preparing_see_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "a/.ipynb_checkpoints").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for name in ("0.png", ".ipynb_checkpoints/0.png", "notes.txt", "._0.png"):
        (tmp_path / "a" / name).write_bytes(png())
    (tmp_path / "elsewhere/3.png").write_bytes(png(3))
    (tmp_path / "a/linked").symlink_to(tmp_path / "elsewhere")
    Image.new("RGB", (8, 8)).save(tmp_path / "a/1.jfif", "JPEG")
    Image.new("RGB", (8, 8)).save(tmp_path / "a/2.tga")
    files = ImageFiles(tmp_path / "a")
    assert files.names == ["0.png", "1.jfif", "2.tga", "linked/3.png"] == open_container(tmp_path / "a").names
    (note,) = files.notes
    assert note.endswith(
        "a holds 4 images; passed over, as none: 1 .txt, 1 folders .ipynb_checkpoints, 1 of macOS (._)"
    )


def test_a_set_is_measured_as_it_is_prepared(tmp_path: Path) -> None:
    """Upright, in colour where one is, transparency on the background: and its fingerprint says so."""
    wide = Image.new("RGB", (12, 8), (200, 10, 10))
    wide.save(tmp_path / "0.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    wide.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "1.png", exif=exif)
    Image.new("RGBA", (12, 8), (0, 0, 0, 0)).save(tmp_path / "2.png")
    Image.new("L", (12, 8), 7).save(tmp_path / "3.png")
    files = ImageFiles(tmp_path)
    assert files.shape == (3, 8, 12)
    assert files.images(0, 4)[:, :, 0, 0].tolist() == [[200, 10, 10], [200, 10, 10], [255, 255, 255], [7, 7, 7]]
    assert [note.split(": ")[1] for note in files.notes] == [
        "1 images are turned upright, as their EXIF data say",
        "1 images have transparent parts, which are shown on white",
        "1 of 4 images are grey and count as images in colour",
    ]
    assert ImageFiles(tmp_path, background="black").fingerprint() != files.fingerprint()


def test_fingerprints_of_plain_sets_stay(tmp_path: Path) -> None:
    """Kept statistics of real images, and results, name sets by them."""
    (tmp_path / "cat").mkdir()
    for name, mode in (("cat/a.png", "RGB"), ("b.png", "RGBA"), ("c.bmp", "L")):
        Image.new(mode, (2, 2), "gray").save(tmp_path / name, compress_level=0)
    marks = [(name, zlib.crc32((tmp_path / name).read_bytes())) for name in ("b.png", "c.bmp", "cat/a.png")]
    assert ImageFiles(tmp_path).fingerprint() == hashlib.sha256(repr(marks).encode()).hexdigest()[:12]


def test_a_name_twice_in_an_archive_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("cat/0.png", png(1))
        archive.writestr("cat/0.png", png(2))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("cat/0.png", png(1))
        archive.writestr("cat\\0.png", png(2))
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for level in (1, 2):
            file = tarfile.TarInfo("cat/0.png")
            file.size = len(png(level))
            tar.addfile(file, io.BytesIO(png(level)))
    for name in ("a.zip", "b.zip", "a.tar"):
        with pytest.raises(ValueError, match=rf"{name} holds cat/0\.png twice, and which one is meant it does not say"):
            open_container(tmp_path / name)


def test_a_hard_link_to_nothing_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        link = tarfile.TarInfo("1.png")
        link.type, link.linkname = tarfile.LNKTYPE, "0.png"
        tar.addfile(link)
    with pytest.raises(
        ValueError, match=r"a\.tar says that 1\.png is a second name of 0\.png, which is not in it before"
    ):
        open_container(tmp_path / "a.tar")


def test_a_negative_size_ends_the_reading_of_a_tar(tmp_path: Path) -> None:
    file = tarfile.TarInfo("0.png")
    file.size = -1024
    (tmp_path / "a.tar").write_bytes(file.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(ValueError, match=r"a\.tar is (neither|damaged or cut short)"):
        open_container(tmp_path / "a.tar")


def test_backslashes_in_a_zip_are_folders_and_said(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("set\\", "set\\cat\\0.png", "set\\dog\\0.png"):
            archive.writestr(name, b"" if name.endswith("\\") else png())
    found = open_container(tmp_path / "a.zip")
    assert (found.names, found.others) == (["set/cat/0.png", "set/dog/0.png"], [])
    assert found.content("set/cat/0.png") == png()
    assert found.notes == [f"{tmp_path / 'a.zip'} writes folders with backslashes in 3 names: taken as folders"]
    assert ImageFiles(tmp_path / "a.zip").notes == found.notes


def test_what_claims_to_be_too_large_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "MOST_BYTES", 1000)
    (tmp_path / "a").mkdir()
    for name, size in (("0.png", 1000), ("1.png", 1001)):
        (tmp_path / "a" / name).write_bytes(bytes(size))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "a/0.png", "0.png")
        archive.write(tmp_path / "a/1.png", "1.png")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "a", ".")
    for name in ("a", "a.zip", "a.tar"):
        found = open_container(tmp_path / name)
        monkeypatch.setattr(found, "read", lambda name: b"unpacked")
        assert found.content("0.png") == b"unpacked"
        with pytest.raises(ValueError, match=rf"1\.png in \S+{name} cannot be read: it has .+: take it out"):
            found.content("1.png")


def test_the_largest_of_several_sizes_in_an_lmdb_is_taken(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path / "a"), map_size=2**20) as database, database.begin(write=True) as transaction:
        for side in (8, 128, 16):
            for number in range(2):
                transaction.put(f"{side}-{number:05d}".encode(), png(side=side))
        transaction.put(b"length", b"2")
    found = open_container(tmp_path / "a")
    assert (found.names, found.others) == (["128-00000", "128-00001"], ["length"])
    assert found.notes == [
        f"{tmp_path / 'a'} holds each image at 8, 16, 128 pixels: those at 128 are taken, and 4 smaller copies passed over"
    ]
    found.close()


def test_marks_change_with_contents(tmp_path: Path) -> None:
    """A resumed preparation asks them which images are still the same."""

    def marks(level: int) -> list[str]:
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a/0.png").write_bytes(png(level))
        os.utime(tmp_path / "a/0.png", ns=(level, level))
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo("0.png"), png(level))
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            tar.add(tmp_path / "a/0.png", "0.png")
        return [open_container(tmp_path / name).mark("0.png") for name in ("a", "a.zip")]

    first = marks(1)
    assert len(png(1)) == len(png(2)), "of one size"
    assert all(a != b for a, b in zip(first, marks(2), strict=True))
    assert first == marks(1)
    (tmp_path / "a/0.png").unlink()
    assert open_container(tmp_path / "a").mark("0.png") == "No such file or directory"
