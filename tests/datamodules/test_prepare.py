"""datamodules.prepare as a program and its files as a data module reads them."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor

from datamodules import preparation, prepared_set
from datamodules import prepare as program
from datamodules.preparation import check_disk_space, prepare
from datamodules.prepared_set import read_description, read_split
from datamodules.presets import crop_bilinear
from tests.conftest import ROOT
from tests.datamodules.test_sources import encoded, lmdb_of, stylegan, tar_of, write_folder, zip_of

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "datamodules.prepare", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=ENVIRONMENT)


def photo(number: int, width: int = 20, height: int = 16) -> Image.Image:
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8))


def photos(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        photo(number).save(folder / name)
    return folder


def opened(file: Path) -> Image.Image:
    return Image.open(io.BytesIO(file.read_bytes()))


def data_files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix in (".u8", ".i64")}


def test_pixels_and_labels_at_several_resolutions(tmp_path: Path) -> None:
    names = ["train/dog/0.png", "train/cat/0.png", "train/cat/1.png", "test/dog/0.png"]
    photos(tmp_path / "a", *names)
    facts = prepare(tmp_path / "a", tmp_path / "b", resolutions=[16, 8, 8])
    assert facts == read_description(tmp_path / "b")
    assert (facts["classes"], facts["resolutions"], facts["channels"]) == (["cat", "dog"], [8, 16], 3)
    assert facts["splits"] == {"test": {"count": 1}, "train": {"count": 3}}
    for side in (8, 16):
        expected = {name: pil_to_tensor(crop_bilinear(photo(i), side)) for i, name in enumerate(names)}
        images, labels = read_split(tmp_path / "b", "train", side)
        assert torch.equal(images, torch.stack([expected[name] for name in sorted(names)[1:]]))
        assert labels.tolist() == [0, 0, 1]
        images, labels = read_split(tmp_path / "b", "test", side)
        assert torch.equal(images, expected["test/dog/0.png"][None])
        assert labels.tolist() == [1]


def test_folder_zip_and_a_second_run_have_the_same_hashes(tmp_path: Path) -> None:
    photos(tmp_path / "a", "cat/0.png", "dog/0.png", "cat/10.png", "cat/9.png")
    sources = [tmp_path / "a", tmp_path / "a", zip_of(tmp_path / "a", tmp_path / "a.zip")]
    hashes = [prepare(path, tmp_path / f"b{i}", resolutions=[8])["hashes"] for i, path in enumerate(sources)]
    assert hashes[0] == hashes[1] == hashes[2]
    photo(7).save(tmp_path / "a/cat/0.png")
    assert prepare(tmp_path / "a", tmp_path / "c", resolutions=[8])["hashes"] != hashes[0]


def test_stylegan_tar_and_lmdb(tmp_path: Path) -> None:
    labels = [[f"0000{i // 2}/img0000000{i}.png", i] for i in range(4)]
    source = zip_of(stylegan(tmp_path / "a", labels), tmp_path / "a.zip")
    assert prepare(source, tmp_path / "b", resolutions=[8])["classes"] == ["0", "1", "2", "3"]
    assert read_split(tmp_path / "b", "train", 8)[1].tolist() == [0, 1, 2, 3]
    facts = prepare(tar_of(tmp_path / "a", tmp_path / "a.xz"), tmp_path / "c", resolutions=[8])
    assert facts["splits"] == {"train": {"count": 4}}
    source = lmdb_of(tmp_path / "a", tmp_path / "lmdb")
    for name in ("d", "e"):
        facts = prepare(source, tmp_path / name, resolutions=[4], preset="area")
        assert (facts["classes"], facts["splits"]) == ([], {"train": {"count": 4}})
    assert read_split(tmp_path / "d", "train", 4)[1].tolist() == [0] * 4


def test_a_grey_set_stays_grey_and_grey_images_join_a_colour_set(tmp_path: Path) -> None:
    for number, mode in enumerate(["L", "1", "LA"]):
        (tmp_path / "grey").mkdir(exist_ok=True)
        photo(number).convert("L").convert(mode).save(tmp_path / f"grey/{number}.png")
    facts = prepare(tmp_path / "grey", tmp_path / "b", resolutions=[16])
    assert (facts["channels"], facts["splits"]["train"]["count"]) == (1, 3)
    images, _ = read_split(tmp_path / "b", "train", 16)
    assert torch.equal(images[0], pil_to_tensor(crop_bilinear(photo(0).convert("L"), 16)))
    photo(3).save(tmp_path / "grey/3.png")  # the first is grey all the same
    assert prepare(tmp_path / "grey", tmp_path / "c", resolutions=[16])["channels"] == 3
    images, _ = read_split(tmp_path / "c", "train", 16)
    assert torch.equal(images[0], pil_to_tensor(crop_bilinear(photo(0).convert("L"), 16)).expand(3, -1, -1))
    assert torch.equal(images[3], pil_to_tensor(crop_bilinear(photo(3), 16)))
    facts = prepare(tmp_path / "grey", tmp_path / "d", resolutions=[16], channels=1)
    assert facts["skipped"] == ["3.png is in colour (RGB) among grey images: give --channels 3"]


SLOW = """
import sys, time
from datamodules import preparation, prepare
from generative.rendering.containers.folders import Folder
read = Folder.read
Folder.read = lambda self, name: time.sleep(0.02) or read(self, name)
preparation.CHUNK = 8
prepare.main()
"""


def test_a_killed_run_goes_on_to_the_same_files(tmp_path: Path) -> None:
    source = photos(tmp_path / "a", *(f"{split}/{i}.png" for split in ("test", "train") for i in range(60)))
    (source / "test/3.png").write_bytes(b"text")
    (source / "train/3.png").write_bytes(b"text")
    whole = prepare(source, tmp_path / "whole", resolutions=[8, 16])
    arguments = [str(source), str(tmp_path / "b"), "--resolution", "8", "--resolution", "16"]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments],
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
    )
    journal = tmp_path / "b" / prepared_set.JOURNAL
    end = time.monotonic() + 60
    while not (journal.exists() and json.loads(journal.read_text())["done"] >= 64):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.01)
    with pytest.raises(ValueError, match="another process is preparing"):
        prepare(source, tmp_path / "b", resolutions=[8, 16])
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert json.loads(journal.read_text())["done"] < 120
    with pytest.raises(ValueError, match="was interrupted: start the same command again, and it goes on"):
        read_split(tmp_path / "b", "test", 8)
    with pytest.raises(
        ValueError, match=r"unfinished preparation of another kind \(resolutions \[8, 16\], not \[8\]\)"
    ):
        prepare(source, tmp_path / "b", resolutions=[8])
    facts = prepare(source, tmp_path / "b", resolutions=[8, 16])
    assert {**facts, "seconds": 0} == {**whole, "seconds": 0}
    assert len(facts["skipped"]) == 2
    assert data_files(tmp_path / "b") == data_files(tmp_path / "whole")
    assert not journal.exists()


@pytest.mark.parametrize("after", [0, 1, 9, 15])
def test_a_run_that_broke_off_anywhere_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    source = photos(tmp_path / "a", *(f"{i}.png" for i in range(16)))
    prepare(source, tmp_path / "whole", resolutions=[8])
    monkeypatch.setattr(preparation, "CHUNK", 4)
    add = preparation.Preparation.add

    def broken(self: preparation.Preparation, entry: Any, made: Any) -> None:
        add(self, entry, made)
        if self.done > after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(preparation.Preparation, "add", broken)
        with pytest.raises(KeyboardInterrupt):
            prepare(source, tmp_path / "b", resolutions=[8])
    prepare(source, tmp_path / "b", resolutions=[8])
    assert data_files(tmp_path / "b") == data_files(tmp_path / "whole")


def test_a_cut_unfinished_set_is_refused(tmp_path: Path) -> None:
    source = photos(tmp_path / "a", "0.png", "1.png", "2.png")
    (source / "1.png").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"1\.png is not a readable image"):
        prepare(source, tmp_path / "b", resolutions=[8], on_error="stop")
    (tmp_path / "b/train_8px.u8").write_bytes(b"")
    with pytest.raises(ValueError, match=r"train_8px\.u8 is shorter than preparing\.json says: remove"):
        prepare(source, tmp_path / "b", resolutions=[8])


def test_images_that_changed_during_an_interruption_are_not_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{i}.png" for i in range(6)]

    def stopped(source: Path, folder: Path) -> None:
        """Until the fifth image."""
        with pytest.raises(ValueError, match=r"4\.png is not a readable image"):
            prepare(source, folder, resolutions=[8], on_error="stop")

    for kind in ("folder", "zip"):
        source = photos(tmp_path / kind, *names)
        (source / "4.png").write_bytes(b"text")
        pack = (lambda source=source: source) if kind == "folder" else (
            lambda source=source: zip_of(source, source.with_suffix(".zip"))
        )  # fmt: skip
        stopped(pack(), tmp_path / f"{kind}_set")
        before = (source / "1.png").stat()
        changed = (source / "1.png").read_bytes()
        photo(77).save(source / "1.png")
        with pytest.raises(
            ValueError, match=r"set holds an unfinished preparation, and of its 4 images some have changed in"
        ):
            prepare(pack(), tmp_path / f"{kind}_set", resolutions=[8])
        (source / "1.png").write_bytes(changed)
        os.utime(source / "1.png", ns=(before.st_atime_ns, before.st_mtime_ns))
        photo(4).save(source / "4.png")  # what was not done yet may be mended
        assert prepare(pack(), tmp_path / f"{kind}_set", resolutions=[8])["splits"]["train"]["count"] == 6


def test_a_file_system_without_locks_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("datamodules.preparation.fcntl.flock", refused)
    with preparation.folder_lock(tmp_path):
        pass
    assert f"the file system of {tmp_path} has no locks (No locks available)" in capsys.readouterr().err


def test_a_set_that_another_process_finished_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = photos(tmp_path / "a", "0.png", "1.png")
    folder_lock = preparation.folder_lock

    @contextmanager
    def after_the_other(folder: Path) -> Iterator[None]:
        monkeypatch.setattr(preparation, "folder_lock", folder_lock)
        prepare(source, folder, resolutions=[8])
        with folder_lock(folder):
            yield

    monkeypatch.setattr(preparation, "folder_lock", after_the_other)
    with pytest.raises(ValueError, match="b holds a finished set: choose another folder, or remove it"):
        prepare(photos(tmp_path / "c", "7.png"), tmp_path / "b", resolutions=[8])
    facts = read_description(tmp_path / "b")
    assert facts is not None
    assert (facts["source"], facts["splits"]["train"]["count"]) == ("a", 2)


def test_grey_images_before_colour_ones_do_not_decide(tmp_path: Path) -> None:
    for number in range(130):
        (tmp_path / "a/a_scans").mkdir(parents=True, exist_ok=True)
        photo(number, 4, 4).convert("L").save(tmp_path / f"a/a_scans/{number:03d}.png")
    photos(tmp_path / "a", "b_photos/0.png")
    facts = prepare(tmp_path / "a", tmp_path / "b", resolutions=[4])
    assert (facts["channels"], facts["splits"]["train"]["count"], facts["skipped"]) == (3, 131, [])


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (["cat/0.png"], None),
        (["cat/0.png", "cat/1.png"], "all train images of class cat cannot be used"),
        (["dog/0.png", "dog/1.png", "dog/2.png", "dog/3.png", "cat/0.png"], "5 of the 8 images cannot be used"),
    ],
)
def test_a_class_or_most_images_lost_is_an_error(tmp_path: Path, broken: list[str], message: str | None) -> None:
    source = photos(tmp_path / "a", "cat/0.png", "cat/1.png", *(f"dog/{i}.png" for i in range(6)))
    for name in broken:
        (source / name).write_bytes(b"text")
    if message is None:
        assert len(prepare(source, tmp_path / "b", resolutions=[8])["skipped"]) == 1
        return
    for _ in range(2):
        with pytest.raises(
            ValueError, match=rf"{message}, the first .* because: cat/0\.png is not .*--on-error accept"
        ):
            prepare(source, tmp_path / "b", resolutions=[8])
        with pytest.raises(ValueError, match="was interrupted"):
            read_description(tmp_path / "b")
    facts = prepare(source, tmp_path / "b", resolutions=[8], on_error="accept")
    assert (facts["splits"]["train"]["count"], len(facts["skipped"])) == (8 - len(broken), len(broken))


def test_upright_and_on_a_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos(tmp_path / "a", "0.png", "train/1.png")
    exif = Image.Exif()
    exif[0x0112] = 8
    photo(0).transpose(Image.Transpose.ROTATE_270).save(tmp_path / "a/2.png", exif=exif)
    Image.new("RGBA", (9, 9)).save(tmp_path / "a/3.png")
    arguments = ["--resolution", "8", "--background", "#102030", "--no-classes", "--no-splits"]
    monkeypatch.setattr(sys, "argv", ["prepare", str(tmp_path / "a"), str(tmp_path / "b"), *arguments])
    program.main()
    said = capsys.readouterr().out
    assert "turned upright, as their EXIF data say: 1 images\n" in said
    assert "transparent parts put on #102030 (--background): 1 images\n" in said
    images, _ = read_split(tmp_path / "b", "train", 8)
    assert torch.equal(images[0], images[1])
    assert images[2].flatten(1).unique(dim=1).flatten().tolist() == [0x10, 0x20, 0x30]
    with pytest.raises(ValueError, match="'blanc' is no colour for a background"):
        prepare(tmp_path / "a", tmp_path / "c", resolutions=[8], background="blanc")


def test_sets_that_were_prepared_before_are_read(tmp_path: Path) -> None:
    """Whose description says nothing of backgrounds and notes."""
    facts = prepare(photos(tmp_path / "a", "0.png", "1.png"), tmp_path / "b", resolutions=[8])
    for key in ("background", "turned", "transparent", "notes"):
        del facts[key]
    (tmp_path / "b" / prepared_set.DESCRIPTION).write_text(json.dumps(facts))
    assert len(read_split(tmp_path / "b", "train", 8)[0]) == 2


def test_a_finished_set_is_not_overwritten(tmp_path: Path) -> None:
    source = photos(tmp_path / "a", "0.png")
    prepare(source, tmp_path / "b", resolutions=[8])
    before = data_files(tmp_path / "b")
    with pytest.raises(ValueError, match="b holds a finished set: choose another folder, or remove it"):
        prepare(photos(tmp_path / "c", "0.png", "1.png"), tmp_path / "b", resolutions=[8])
    assert data_files(tmp_path / "b") == before


def test_a_full_disk_is_told_before_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = photos(tmp_path / "a", "0.png")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=8 * 8 * 3 + 7))
    with pytest.raises(ValueError, match=r"the set takes 0\.0 GB and \S+ has 0\.0 GB left: choose another disk"):
        prepare(source, tmp_path / "b", resolutions=[8])
    assert not (tmp_path / "b").exists()
    check_disk_space(tmp_path / "b", 8 * 8 * 3 + 7)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/train_8px.u8").write_bytes(bytes(100))
    check_disk_space(tmp_path / "b", 8 * 8 * 3 + 107)


def test_source_and_set_lie_apart(tmp_path: Path) -> None:
    photos(tmp_path / "a/b", "0.png")
    for source, folder in (("a", "a"), ("a/b", "a"), ("a", "a/b/c"), ("a/b/0.png", "a")):
        with pytest.raises(ValueError, match="are one, or one lies in the other: choose another folder for the set"):
            prepare(tmp_path / source, tmp_path / folder, resolutions=[8])


def test_bad_settings_are_refused(tmp_path: Path) -> None:
    source = photos(tmp_path / "a", "0.png")
    with pytest.raises(ValueError, match="no preset 'stretch': choose one of crop_bilinear"):
        prepare(source, tmp_path / "b", resolutions=[8], preset="stretch")
    with pytest.raises(ValueError, match=r"at least 1 pixel, got \[0\]"):
        prepare(source, tmp_path / "b", resolutions=[0])


def test_nothing_is_left_of_a_set_without_images(tmp_path: Path) -> None:
    source = photos(tmp_path / "a", "0.png", "1.png")
    message = r"none of the 2 images of \S+ can be used: 0\.png: 7 does not divide a picture of 20 x 16 pixels"
    with pytest.raises(ValueError, match=message):
        prepare(source, tmp_path / "b", resolutions=[7], preset="area")
    assert prepare(source, tmp_path / "b", resolutions=[8])["splits"]["train"]["count"] == 2
    (source / "0.png").write_bytes(b"")
    (source / "1.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"none of the 2 images of \S+ can be read: 0\.png is not a readable image"):
        prepare(source, tmp_path / "c", resolutions=[8])


def test_memory_does_not_grow_with_the_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_folder(tmp_path / "a", *(f"{i}.png" for i in range(100)))
    held, most = 0, 0
    decode, add = preparation.pixels_of, preparation.Preparation.add

    def counted(*arguments: Any, **settings: Any) -> Any:
        nonlocal held, most
        held += 1
        most = max(most, held)
        return decode(*arguments, **settings)

    def taken(*arguments: Any) -> None:
        nonlocal held
        held -= 1
        add(*arguments)

    monkeypatch.setattr(preparation, "NUM_THREADS", 1)
    monkeypatch.setattr(preparation, "pixels_of", counted)
    monkeypatch.setattr(preparation.Preparation, "add", taken)
    prepare(source, tmp_path / "b", resolutions=[8])
    assert 1 <= most <= preparation.AHEAD + 1


def save_faults(folder: Path) -> dict[str, str]:
    """Images with faults; what each is left out for."""
    rgb = photo(1, 32, 32)
    rgb.save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:900])
    (folder / "cut.png").write_bytes(encoded(1, side=32)[:1500])
    (folder / "broken.png").write_bytes(encoded(1)[:40] + bytes(40) + encoded(1)[80:])
    Image.new("I;16", (32, 32), 40000).save(folder / "deep.png")
    rgb.save(folder / "moving.gif", save_all=True, append_images=[photo(2, 32, 32)])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("text")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    return {
        "cut.jpg": "image file is truncated",
        "cut.png": "image file is truncated",
        "broken.png": "is not a readable image",
        "deep.png": "is of mode I;16, not 8 bits",
        "moving.gif": "is an animation of 2 frames",
        "empty.png": "is not a readable image: no known format",
        "text.png": "is not a readable image: no known format",
        "gone.png": "cannot be read: No such file",
    }


def test_faulty_images_are_left_out_by_name(tmp_path: Path) -> None:
    source = photos(tmp_path / "a", "whole.png", *(f"z{i}.png" for i in range(8)))
    faults = save_faults(source)
    (source / "notes.txt").write_text("text")
    done = run(source, tmp_path / "b", "--resolution", "8")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "17/17" in done.stderr
    assert "train: 9 images of no classes\npassed over, as no images: 1 .txt\nleft out: 8 images" in done.stdout
    facts = read_description(tmp_path / "b")
    assert facts is not None
    assert facts["passed_over"] == {".txt": 1}
    assert len(facts["skipped"]) == len(faults)
    for name, reason in faults.items():
        (line,) = (line for line in facts["skipped"] if line.startswith(name))
        assert reason in line
        assert f"  {line}\n" in done.stdout
        assert f"left out: {line}" in done.stderr


def test_stopping_at_a_faulty_image_keeps_what_was_done(tmp_path: Path) -> None:
    source = photos(tmp_path / "a", *(f"{i}.png" for i in range(6)))
    prepare(source, tmp_path / "whole", resolutions=[8])
    (source / "4.png").write_bytes(b"text")
    done = run(source, tmp_path / "b", "--resolution", "8", "--on-error", "stop")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("error: 4.png is not a readable image")
    for _ in range(2):
        assert json.loads((tmp_path / "b" / prepared_set.JOURNAL).read_text())["done"] == 4
        with pytest.raises(ValueError, match=r"4\.png is not a readable image"):
            prepare(source, tmp_path / "b", resolutions=[8], on_error="stop")
    photo(4).save(source / "4.png")
    prepare(source, tmp_path / "b", resolutions=[8], on_error="stop")
    assert data_files(tmp_path / "b") == data_files(tmp_path / "whole")


@pytest.mark.filterwarnings("error")
def test_other_modes_become_rgb(tmp_path: Path) -> None:
    whole = photo(1, 16, 16)
    (tmp_path / "a").mkdir()
    palette = whole.quantize(200)
    palette.save(tmp_path / "a/0.png")
    palette.save(tmp_path / "a/1.png", transparency=bytes(range(200)))
    palette.save(tmp_path / "a/2.gif", transparency=3)
    cmyk = Image.fromarray(np.random.default_rng(1).integers(0, 256, (16, 16, 4), np.uint8), "CMYK")
    cmyk.save(tmp_path / "a/3.jpg", quality=100)
    whole.convert("RGBA").save(tmp_path / "a/4.png")
    whole.save(tmp_path / "a/5.jpg", format="MPO", save_all=True, append_images=[photo(2, 16, 16)])
    facts = prepare(tmp_path / "a", tmp_path / "b", resolutions=[16])
    assert facts["skipped"] == []
    images, _ = read_split(tmp_path / "b", "train", 16)
    assert torch.equal(images[0], pil_to_tensor(palette.convert("RGB")))
    assert facts["transparent"] == 2
    for number, name in ((1, "1.png"), (2, "2.gif")):
        shown = np.asarray(opened(tmp_path / "a" / name).convert("RGBA")).astype(float)
        on_white = shown[..., :3] * shown[..., 3:] / 255 + 255 - shown[..., 3:]
        assert np.abs(images[number].permute(1, 2, 0).numpy() - on_white).max() <= 1
    ink = np.asarray(opened(tmp_path / "a/3.jpg")).astype(int)
    expected = (255 - ink[..., :3]) * (255 - ink[..., 3:]) / 255  # no colour profile
    assert np.abs(images[3].permute(1, 2, 0).numpy() - expected).max() <= 1
    assert torch.equal(images[4], pil_to_tensor(whole))
    assert torch.equal(images[5], pil_to_tensor(opened(tmp_path / "a/5.jpg").convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM"])
@pytest.mark.filterwarnings("ignore")
def test_no_damage_leads_to_a_traceback(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    content, generator = encoded(0, kind, side=16), np.random.default_rng(0)
    entry = preparation.Entry("x.png", "train", -1)
    settings = {"channels": 3, "preset": "crop_bilinear", "background": "white", "resolutions": [8]}
    for _ in range(300):
        damaged = bytearray(content[: generator.integers(1, len(content) + 1)])
        for place in generator.integers(0, len(damaged), 3):
            damaged[place] = generator.integers(256)
        made = preparation.pixels_of(entry, bytes(damaged), **settings)
        assert "x.png" in str(made) if isinstance(made, ValueError) else made.arrays[0].shape == (8, 8, 3)


@pytest.mark.parametrize(("source", "folder"), [("missing", "b"), ("file", "b"), ("a", "a"), ("a", "file")])
def test_errors_of_the_program_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], source: str, folder: str
) -> None:
    photos(tmp_path / "a", "0.png")
    (tmp_path / "file").write_text("text")
    monkeypatch.setattr(sys, "argv", ["prepare", source, folder, "--resolution", "8"])
    with pytest.raises(SystemExit) as stopped:
        program.main()
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    photos(tmp_path / "a", "0.png")
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/a/\xff.png")).write_bytes(b"text")
    except OSError:
        pytest.skip("this file system takes only text as names")
    done = run(tmp_path / "a", tmp_path / "b", "--resolution", "8")
    assert done.returncode == 0, done.stderr
    assert "\\udcff.png is not a readable image" in done.stdout


def test_what_read_split_cannot_give(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"b holds no prepared set: make one with python -m datamodules\.prepare"):
        read_split(tmp_path / "b", "train", 8)
    prepare(photos(tmp_path / "a", "0.png", "1.png"), tmp_path / "b", resolutions=[8])
    with pytest.raises(ValueError, match="b has no split 'test', but train"):
        read_split(tmp_path / "b", "test", 8)
    with pytest.raises(
        ValueError, match="prepared at 8 pixels, not at 16: prepare it into another folder with --resol"
    ):
        read_split(tmp_path / "b", "train", 16)
    for name in ("train_8px.u8", "train_labels.i64"):
        content = (tmp_path / "b" / name).read_bytes()
        (tmp_path / "b" / name).write_bytes(content[:-1])
        with pytest.raises(ValueError, match=f"{name} is missing or cut short: remove .+ and prepare the set again"):
            read_split(tmp_path / "b", "train", 8)
        (tmp_path / "b" / name).unlink()
        with pytest.raises(ValueError, match="is missing or cut short"):
            read_split(tmp_path / "b", "train", 8)
        (tmp_path / "b" / name).write_bytes(content)
    description = tmp_path / "b" / prepared_set.DESCRIPTION
    for content, message in ((b'{"format": 0}', "by another version"), (b"{", r"prepared\.json is damaged")):
        description.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_split(tmp_path / "b", "train", 8)


def test_large_sets_are_mapped_and_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(photos(tmp_path / "a", "0.png", "1.png"), tmp_path / "b", resolutions=[8])
    expected, _ = read_split(tmp_path / "b", "train", 8)
    before = data_files(tmp_path / "b")
    monkeypatch.setattr(prepared_set, "MOST_IN_MEMORY", 8 * 8 * 3)
    monkeypatch.setattr(prepared_set.np, "fromfile", lambda *args: np.zeros(2, np.int64))  # of the labels
    images, _ = read_split(tmp_path / "b", "train", 8)
    assert torch.equal(images, expected)
    images.zero_()
    assert not images.any()
    assert data_files(tmp_path / "b") == before


def test_sixteen_bits_of_colour_keep_their_upper_byte(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 2**16, (8, 8, 3)).astype(">u2")

    def part(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/0.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")
    )
    prepare(tmp_path / "a", tmp_path / "b", resolutions=[8])
    images, _ = read_split(tmp_path / "b", "train", 8)
    assert np.array_equal(images[0].permute(1, 2, 0).numpy(), deep >> 8)


def test_an_interruption_by_hand_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    photos(tmp_path / "a", "0.png")
    monkeypatch.setattr(preparation.Preparation, "add", interrupt)
    monkeypatch.setattr(sys, "argv", ["prepare", "a", "b", "--resolution", "8"])
    with pytest.raises(SystemExit) as stopped:
        program.main()
    assert stopped.value.code == 130
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted: the same command goes on"
