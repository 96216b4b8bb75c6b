"""The task `compositions`."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from PIL import Image

from datamodules.digits import Digits
from lightning_modules.base import Invertible
from lightning_modules.tasks.code_shares import code_shares
from lightning_modules.tasks.compositions import Column, compositions
from tests.support.pggans import small_pggan
from tests.support.waves import Waves

DATA = Digits(batch_size=8, seed=0)
FAST: dict[str, Any] = {"seed": 0, "datamodule": DATA, "steps": 3, "count": 2, "perceptual": 0.0}


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def pggan() -> Invertible:
    return small_pggan()


def test_a_column_for_each_layer_and_number_of_codes(pggan: Invertible, tmp_path: Path) -> None:
    settings = {"masks": "centre4", **FAST}
    written = compositions(pggan, tmp_path, layers=[2, 4], num_codes=[1, 3], **settings)
    assert [path.name for path in written] == ["compositions.png", "compositions.jsonl", "compositions.md"]
    lines, columns = lines_of(written[1]), [(2, 1), (2, 3), (4, 1), (4, 3)]
    assert [(line["layer"], line["num_codes"], line["image"]) for line in lines] == [
        (*column, image) for column in columns for image in "01"
    ]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in written[2].read_text().splitlines()]
    assert rows[0] == ["layer", "codes", "known, dB", "hole, dB", "seconds an image"]
    for row, column, pair in zip(rows[2:], columns, zip(lines[::2], lines[1::2], strict=True), strict=True):
        means = [fmean(line[name] for line in pair) for name in ("psnr_known", "psnr_hole")]
        assert row[:4] == [*map(str, column), *(f"{mean:.2f}" for mean in means)]
    (same, _) = lines_of(code_shares(pggan, tmp_path / "alone", layer=4, num_codes=3, **settings)[1])
    for name in ("psnr_known", "psnr_hole"):
        assert lines[6][name] == pytest.approx(same[name]), "one search, whichever task asks for it"


def test_whole_images_and_a_layer_by_itself(pggan: Invertible, tmp_path: Path) -> None:
    written = compositions(pggan, tmp_path, layers=2, num_codes=2, attention="dot", **FAST)
    lines = lines_of(written[1])
    assert {(line["layer"], line["num_codes"], line["attention"], line["mask"]) for line in lines} == {
        (2, 2, "dot", None)
    }
    assert all("psnr" in line and "psnr_hole" not in line for line in lines)
    with Image.open(written[0]) as picture:
        assert picture.height == 2 * (96 + 2) + 2 + 2 * 20 + 8, "two images below a title of two lines"


def test_a_title_states_the_means() -> None:
    column = Column(4, 1, torch.zeros(2, 1, 8, 8), {"psnr_known": [20.0, 30.0], "psnr_hole": [10.0, 11.0]}, 0.5)
    assert column.title == "layer 4, 1 code\nknown 25.00 dB\nhole 10.50 dB"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "layer is a number of blocks from 1 to 4, got 6"),
        ({"layers": []}, r"layers is a list of at least one number, each once, got \[\]"),
        ({"layers": 2, "num_codes": [3, 3]}, r"num_codes is a list of at least one number, each once, got \[3, 3\]"),
        ({"layers": 2, "num_codes": 0}, "num_codes must be at least 1, got 0"),
    ],
)
def test_columns_that_are_none(pggan: Invertible, settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        compositions(pggan, tmp_path, **settings, **FAST)
    with pytest.raises(ValueError, match="no codes to tell apart"):
        compositions(Waves(), tmp_path, **settings, **FAST)
    assert not list(tmp_path.iterdir())
