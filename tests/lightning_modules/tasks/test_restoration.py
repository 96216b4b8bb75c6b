"""The task `inpaint`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.digits import Digits
from generative.inversion.fills import harmonic_fill
from generative.rendering.holes import random_blocks
from generative.rendering.images import to_uint8
from lightning_modules.base import Invertible
from lightning_modules.tasks.restoration import all_fills, inpaint, make_holes
from metrics.quality import hole_psnr
from tests.support.waves import Waves

DATA = Digits(batch_size=8, seed=0)
FAST = {"seed": 0, "datamodule": DATA, "steps": 4, "count": 3}


def test_it_writes_a_picture_a_line_an_image_and_a_table(method: Invertible, tmp_path: Path) -> None:
    written = inpaint(method, tmp_path, **FAST)  # type: ignore[arg-type]
    assert [path.name for path in written] == [f"inpaint_blocks2_25pct.{end}" for end in ("png", "jsonl", "md")]
    lines = [json.loads(line) for line in written[1].read_text().splitlines()]
    arms = ["mean", "harmonic", "raw", "pasted", "seamless"]
    assert [(line["filled_by"], line["image"]) for line in lines] == [(arm, k) for arm in arms for k in range(3)]
    assert {line["steps"] for line in lines} == {4}
    assert {line.get("classes") for line in lines} == {"given" if method.num_classes else None}
    assert {line["space"] for line in lines} == {"z"}
    known = random_blocks(3, 8, 8, share=0.25, block=2, seed=0)
    originals = DATA.split("test")[0][:3]
    expected = hole_psnr(to_uint8(harmonic_fill(originals, known)), to_uint8(originals), known)["hole_psnr"].tolist()
    assert [line["hole_psnr"] for line in lines if line["filled_by"] == "harmonic"] == pytest.approx(expected)
    of = {(line["filled_by"], line["image"]): line for line in lines}
    for k in range(3):
        assert of["pasted", k]["hole_psnr"] == of["raw", k]["hole_psnr"]
        assert of["pasted", k]["known_psnr"] == of["seamless", k]["known_psnr"] == 100
        assert of["raw", k]["known_psnr"] < 100
    rows = written[2].read_text().splitlines()
    assert [row.split(" | ")[0] for row in rows[2:]] == [f"| {arm}" for arm in arms]
    mean = sum(expected) / 3
    assert rows[3].split(" | ")[1] == f"{mean:.2f}"


def test_the_picture_shows_what_is_known(method: Invertible, tmp_path: Path) -> None:
    written = inpaint(method, tmp_path, mask="centre", block=4, **FAST)  # type: ignore[arg-type]
    assert written[0].name == "inpaint_centre4.png"
    picture = np.array(Image.open(written[0]).convert("L"))
    originals = to_uint8(DATA.split("test")[0][:1])[0, 0].numpy()
    first = picture[22 : 22 + 96 : 12, 10 : 10 + 96 : 12]
    left = 10 + 100 + 8  # one column of a grid and the gap further
    second = picture[22 : 22 + 96 : 12, left : left + 96 : 12]
    assert np.array_equal(first, originals)
    assert (second[2:6, 2:6] == 128).all()
    second[2:6, 2:6] = originals[2:6, 2:6]
    assert np.array_equal(second, originals)


def test_all_but_the_drawing_is_consistent() -> None:
    originals, drawn = torch.rand(2, 2, 1, 8, 8) * 2 - 1
    known = random_blocks(2, 8, 8, share=0.3, block=3, seed=1)
    arms = all_fills(torch.where(known, originals, float("nan")), known, drawn=drawn)
    assert torch.equal(arms.pop("raw"), drawn)
    for images in arms.values():
        assert images.isfinite().all()
        assert torch.equal(images[known], originals[known])


def test_a_hole_is_filled_by_what_the_generator_knows(tmp_path: Path) -> None:
    """Images of the generator's own waves: from the known pixels the search comes to the rest, which no fill can."""
    method = Waves()
    drawn = method.sample(0, 4, seed=5)
    np.savez(tmp_path / "own.npz", to_uint8(drawn).permute(0, 2, 3, 1).numpy())
    written = inpaint(method, tmp_path, images=str(tmp_path / "own.npz"), **(FAST | {"steps": 300, "count": 4}))  # type: ignore[arg-type]
    lines = [json.loads(line) for line in written[1].read_text().splitlines()]
    least = {
        arm: min(line["hole_psnr"] for line in lines if line["filled_by"] == arm) for arm in ("harmonic", "pasted")
    }
    assert least["harmonic"] < 20
    assert least["pasted"] > 30


def test_classes_can_be_guessed(method: Invertible, tmp_path: Path) -> None:
    if method.num_classes == 0:
        return
    written = inpaint(method, tmp_path, guess_classes=True, **FAST)  # type: ignore[arg-type]
    assert json.loads(written[1].read_text().splitlines()[0])["classes"] == "found"
    with pytest.raises(ValueError, match=r"classes=\[1\] says what guess_classes is to find: give one of them"):
        inpaint(method, tmp_path, guess_classes=True, classes=[1], **FAST)  # type: ignore[arg-type]


def test_a_space_that_is_none_is_refused_before_an_image_is_read(method: Invertible, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"space must be one of .*, got 'zz'"):
        inpaint(method, tmp_path, space="zz", images="nowhere", **FAST)  # type: ignore[arg-type]


def test_time_runs_out(method: Invertible, tmp_path: Path) -> None:
    written = inpaint(method, tmp_path, seconds=0.3, **(FAST | {"steps": 10**6}))  # type: ignore[arg-type]
    assert 1 <= json.loads(written[1].read_text().splitlines()[0])["steps"] < 10**6


def test_holes_by_rule() -> None:
    holes = make_holes("blocks", 2, (32, 24), share=None, block=None, seed=3)
    assert holes.name == "blocks6_25pct"
    assert torch.equal(holes.known, random_blocks(2, 32, 24, share=0.25, block=6, seed=3))
    assert make_holes("blocks", 1, (8, 8), share=0.125, block=3, seed=0).name == "blocks3_12.5pct"
    assert make_holes("centre", 1, (8, 8), share=None, block=None, seed=0).name == "centre4"
    with pytest.raises(ValueError, match="mask must be blocks or centre, got 'text'"):
        make_holes("text", 1, (8, 8), share=None, block=None, seed=0)
    with pytest.raises(ValueError, match=r"leave out share=0\.3"):
        make_holes("centre", 1, (8, 8), share=0.3, block=None, seed=0)
