"""Sets of images as users have them: photos of several sizes, prepared folders, pairs of numbered files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from benchmarks.harness import growth_of_peak
from datamodules.preparation import prepare
from tests.test_evaluate import evaluated


def picture(seed: int, width: int, height: int) -> Image.Image:
    small = np.random.Generator(np.random.Philox(key=seed)).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def write_photos(folder: Path, count: int, *, seed: int) -> None:
    folder.mkdir()
    for i in range(count):
        picture(seed + i, 40 + 5 * (i % 4), 40 + 3 * (i % 3)).save(folder / f"{i}.png")


def test_photos_of_several_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each by the network's own resize, which the protocol says; the same images cut to one size beforehand agree."""
    write_photos(tmp_path / "real", 5, seed=100)
    write_photos(tmp_path / "fake", 5, seed=0)
    picture(7, 64, 48).convert("L").save(tmp_path / "fake" / "grey.png")
    record = evaluated("images=fake", "reference=real", "metrics=[fd,kid]", "cache=null")
    said = capsys.readouterr().err
    assert "fake: 1 of 6 images are grey and count as images in colour" in said
    assert "real: images of 5 sizes, from 40 x 40 to 46 x 50 pixels (height x width)" in said
    assert record["protocol"]["extractor"] == "efficientnet_lite0", "raw pixels cannot be compared"
    assert record["protocol"]["resize"].endswith("central square, each image from its own size")
    assert record["protocol"]["image_shape"] == [3, 0, 0]
    assert "fd_efficientnet_lite0_several_sizes_6" in record["names"]
    assert record["metrics"]["fd"] > 1
    evaluated("images=real", "save_statistics=real.npz", "metrics=[fd]", "cache=null")
    again = evaluated("images=fake", "reference=real.npz", "metrics=[fd]", "cache=null")
    assert again["metrics"]["fd"] == pytest.approx(record["metrics"]["fd"], rel=1e-6)
    assert again["protocol"]["resize"] == record["protocol"]["resize"]
    for settings, message in (
        (["extractor=pixels"], "fake has images of several sizes, which pixels does not compare: choose a network"),
        (["metrics=[psnr]", "extractor=efficientnet_lite0"], "compare pairs: fake has 6 images and real 5"),
        (["show_nearest=2", "metrics=[kid]", "num_images=2", "num_reference=2"], "here images of one are compared"),
    ):
        with pytest.raises(ValueError, match=message):
            draw_all("images=fake", "reference=real", *settings)


def draw_all(*settings: str) -> None:
    from launch.compose import compose, plain
    from launch.evaluate.images import measure_images
    from launch.evaluate.requests import request_of

    _, draw = measure_images(request_of(plain(compose("evaluate", ["cache=null", *settings]))))
    assert draw is not None
    draw()


def test_own_images_of_64_pixels_need_little_memory(tmp_path: Path) -> None:
    """By default in a network's features, of few images at a time: 22 GB were asked for once, and 300 images fit in 3."""
    images = np.random.Generator(np.random.Philox(key=0)).integers(0, 256, (64, 64, 64, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=images[:32])
    np.savez(tmp_path / "b.npz", images=images[32:])
    evaluated("images=a.npz", "reference=b.npz", "num_images=2", "num_reference=2", "metrics=[kid]", "cache=null")
    megabytes = growth_of_peak(lambda: evaluated("images=a.npz", "reference=b.npz", "cache=null"))
    assert megabytes < 500
    (line,) = (tmp_path / "results.jsonl").read_text().splitlines()[1:]
    assert "fd_efficientnet_lite0_64px_32" in json.loads(line)["names"]


def test_what_looks_at_no_features_needs_no_network(tmp_path: Path) -> None:
    """Results of pairs compare with those of before networks were the default."""
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 64, 64, 3), np.uint8))
    record = evaluated("images=a.npz", "reference=a.npz", "metrics=[psnr,mae]")
    assert record["protocol"]["extractor"] == "pixels"
    assert record["metrics"] == {"psnr": 100, "mae": 0}


def test_pairs_of_several_sizes_are_refused(tmp_path: Path) -> None:
    write_photos(tmp_path / "a", 4, seed=0)
    with pytest.raises(ValueError, match="a and a has images of several sizes, and here images of one are compared"):
        evaluated("images=a", "reference=a", "metrics=[psnr]", "extractor=efficientnet_lite0")


def test_a_prepared_folder_is_a_set_with_its_labels(tmp_path: Path) -> None:
    digits = load_digits()
    for i, (image, label) in enumerate(zip(digits.images[:400], digits.target[:400], strict=True)):
        folder = tmp_path / "raw" / ("test" if i % 4 == 0 else "train") / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 255 / 16).round().astype("uint8")).save(folder / f"{i}.png")
    prepare(tmp_path / "raw", tmp_path / "set", resolutions=[8, 16])
    known = json.loads((tmp_path / "set" / "prepared.json").read_text())["fingerprints"]
    record = evaluated("images=set:train", "reference=set:test", "metrics=[fd,accuracy]")
    assert record["metrics"]["accuracy"] > 0.95
    assert record["metrics"]["fd"] > 0.1
    assert (record["num_images"], record["num_reference"]) == (300, 100)
    assert record["protocol"]["image_shape"] == [1, 16, 16], "the largest"
    assert record["protocol"]["reference"] == "set:test"
    assert record["protocol"]["reference_hash"] == known["16"]["test"]
    whole = evaluated("images=digits:test", f"reference={tmp_path / 'set'}", "metrics=[fd]")
    assert whole["protocol"]["reference_hash"] == known["8"]["all"], "at the size of what is measured"
    assert whole["num_reference"] == 400
    tested = evaluated("images=digits:test", f"reference={tmp_path / 'set'}", "split=test", "metrics=[fd]")
    assert tested["protocol"]["reference_hash"] == known["8"]["test"]
    shutil.rmtree(tmp_path / "raw" / "train" / "9")
    shutil.rmtree(tmp_path / "raw" / "test" / "9")
    prepare(tmp_path / "raw", tmp_path / "nine", resolutions=[8])
    with pytest.raises(ValueError, match="nine:all has 9 classes and the judge knows 10: folders"):
        evaluated("images=nine", "reference=digits", "metrics=[accuracy]")
    with pytest.raises(ValueError, match=r"unknown split 'half': choose one of train, test or all"):
        evaluated("images=set:half", "reference=set")


@pytest.mark.parametrize("reference", ["digits:test", "originals.npz"])
def test_numbered_files_pair_with_images_by_number(tmp_path: Path, reference: str) -> None:
    """Exact copies of the first test images, 0 to 23: in the order of text 10 would come before 2, at 9 dB."""
    images = (load_digits().images[4::5] * 255 / 16).round().astype("uint8")
    np.savez(tmp_path / "originals.npz", images[..., None])
    (tmp_path / "copies").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "copies" / f"{i}.png")
    for sides in (("copies", reference), (reference, "copies")):
        record = evaluated(f"images={sides[0]}", f"reference={sides[1]}", "metrics=[psnr]")
        assert record["metrics"]["psnr"] == 100
    (tmp_path / "copies" / "7.png").rename(tmp_path / "copies" / "7000.png")
    with pytest.raises(ValueError, match="copies has a number twice or leaves one out, so its files do not say which"):
        evaluated("images=copies", f"reference={reference}", "metrics=[psnr]")
    (tmp_path / "copies" / "7000.png").rename(tmp_path / "copies" / "seven.png")
    with pytest.raises(ValueError, match="copies has a file 'seven', so its files do not say which of the images of"):
        evaluated("images=copies", f"reference={reference}", "metrics=[psnr]")
