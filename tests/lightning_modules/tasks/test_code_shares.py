"""The task `code_shares`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from datamodules.digits import Digits
from generative.rendering.images import to_uint8
from lightning_modules.base import Invertible
from lightning_modules.tasks.code_shares import code_shares, drawn_together
from lightning_modules.tasks.completion import searching
from lightning_modules.tasks.originals import open_source
from lightning_modules.tasks.shared_images import shared_images
from metrics.quality import in_decibels, squared_errors
from tests.support.pggans import small_pggan
from tests.support.waves import Waves

DATA = Digits(batch_size=8, seed=0)
FAST: dict[str, Any] = {"seed": 0, "datamodule": DATA, "steps": 3, "count": 2, "perceptual": 0.0}


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def pggan() -> Invertible:
    return small_pggan()


def test_a_line_an_image_says_how_much_places_tell_about_codes(pggan: Invertible, tmp_path: Path) -> None:
    written = code_shares(pggan, tmp_path, num_codes=3, layer=2, shuffles=5, **FAST)
    assert [path.name for path in written] == ["code_shares.png", "code_shares.jsonl"]
    lines = lines_of(written[1])
    assert [line["image"] for line in lines] == ["0", "1"]
    for line in lines:
        assert (line["codes"], line["places"], line["mask"]) == (3, [4, 4], None)
        assert line["information"] == pytest.approx(line["entropy_of_mean"] - line["entropy_at_places"], abs=1e-9)
        assert 0 < line["information"] < math.log(3)
        assert line["shuffled_deviation"] > 0
        assert line["unrelated_information"] > line["shuffled_information"]
        assert sum(line["mean_shares"]) == pytest.approx(1.0, abs=1e-6)
        entropy = -sum(share * math.log(share) for share in line["mean_shares"])
        assert line["entropy_of_mean"] == pytest.approx(entropy, abs=1e-6), "shares are float32"
    alone = code_shares(pggan, tmp_path / "alone", num_codes=3, layer=2, shuffles=5, images=[1], **FAST)
    (line,) = lines_of(alone[1])
    for name in ("information", "shuffled_information", "unrelated_information"):
        assert line[name] == pytest.approx(lines[1][name], rel=1e-4), "by the number of the image"


def test_what_is_drawn_together_and_alone(pggan: Invertible) -> None:
    source, count = open_source(DATA, images=[3, 5], count=None, fit=False)
    wanted = shared_images(pggan, source, count, classes=None, masks=None, white="missing", seed=0)
    search = {"steps": 2, "rate": None, "batch_size": 1, "settings": {"num_codes": 1, "layer": 3}}
    drawing = drawn_together(wanted, searching(pggan, search, seed=0, perceptual=0.0), space="codes")
    torch.testing.assert_close(drawing.alone[:, 0], drawing.together)
    assert torch.equal(drawing.shares, torch.ones(2, 1, 8, 8))
    psnr = in_decibels(squared_errors(to_uint8(drawing.together), to_uint8(wanted.originals)).mean(dim=(1, 2, 3)))
    assert wanted.scores(drawing.together) == {"psnr": psnr.tolist()}


def test_what_is_hidden_is_shown_grey(pggan: Invertible) -> None:
    source, count = open_source(DATA, images=[3], count=None, fit=False)
    wanted = shared_images(pggan, source, count, classes=None, masks="centre4", white="missing", seed=0)
    hidden = torch.zeros(8, 8, dtype=torch.bool)
    hidden[2:6, 2:6] = True
    original, known = (wanted.panels()[title][0, 0] for title in ("original", "known"))
    assert (known[hidden] == 0).all()
    assert torch.equal(known[~hidden], original[~hidden])
    assert not (original[hidden] == 0).all()


def test_images_with_holes(pggan: Invertible, tmp_path: Path) -> None:
    """The hole is shown grey, and scored apart; the picture has one column more."""
    settings = {"num_codes": 2, "layer": 2, "shuffles": 2, **FAST}
    whole = code_shares(pggan, tmp_path / "whole", **settings)
    holes = code_shares(pggan, tmp_path / "holes", masks="blocks2_25pct", **settings)
    (line, _) = lines_of(holes[1])
    assert line["mask"] == "blocks2_25pct"
    assert {"psnr_known", "psnr_hole"} <= line.keys()
    assert "psnr" not in line
    with Image.open(whole[0]) as one, Image.open(holes[0]) as other:
        assert one.height == other.height
        assert other.width - one.width == 8 * 12 + 4 + 8


def test_what_cannot_be_shown(pggan: Invertible, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Waves draws every image by one point of code, so .* no codes to tell apart"):
        code_shares(Waves(), tmp_path, **FAST)
    with pytest.raises(ValueError, match="layer is a number of blocks from 1 to 4, got 9"):
        code_shares(pggan, tmp_path, layer=9, **FAST)
    with pytest.raises(ValueError, match="shuffles must be at least 1, got 0"):
        code_shares(pggan, tmp_path, shuffles=0, **FAST)
    assert not list(tmp_path.iterdir())
